"""Handles that are open while their backend goes away, or while another takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from layerstore import BackendUnavailableError, FencedError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from pathlib import Path

    from layerstore.checked import CheckedDriver
    from layerstore.driver import Driver, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

OLD = b"the published bytes"


def _fresh(driver: CheckedDriver) -> Writer:
    return driver.open_writer("d/old")


def _appended(driver: CheckedDriver) -> Writer:
    writer = driver.open_writer("d/old")
    writer.write(b", appended")
    return writer


def _rewritten(driver: CheckedDriver) -> Writer:
    writer = driver.open_writer("d/old")
    writer.seek(4)
    writer.write(b"rewritten")
    return writer


def _flushed(driver: CheckedDriver) -> Writer:
    writer = _rewritten(driver)
    writer.flush()
    return writer


def _appended_after_a_flush(driver: CheckedDriver) -> Writer:
    writer = _flushed(driver)
    writer.seek(0, 2)
    writer.write(b", appended")
    return writer


def _new(driver: CheckedDriver) -> Writer:
    writer = driver.open_writer("e/new")
    writer.write(b"new")
    return writer


def _new_and_flushed(driver: CheckedDriver) -> Writer:
    writer = _new(driver)
    writer.flush()
    writer.write(b", and appended")
    return writer


WRITERS = Axis(
    "begin",
    {
        "fresh": _fresh,
        "appended": _appended,
        "rewritten": _rewritten,
        "flushed": _flushed,
        "appended after a flush": _appended_after_a_flush,
        "new": _new,
        "new and empty": lambda driver: driver.open_writer("e/new"),
        "new and flushed": _new_and_flushed,
    },
)
"""Writers in every state: each has something to flush in another way, or nothing."""

ENDS = Axis(
    "end",
    {
        "flush": lambda writer: writer.flush(),
        "close": lambda writer: writer.close(),
        "end": lambda writer: writer.end(),
        "a block": lambda writer: writer.__exit__(None, None, None),
    },
)
"""All that publishes."""


def _shown(driver: CheckedDriver) -> dict[str, tuple[str, bytes]]:
    """Return the version and the bytes of every object in a store with ``d`` and ``e``."""
    keys = [key for prefix in ("d", "e") for key in driver.list(prefix)]
    return {key: (driver.stat(key).version, driver.get(key, 1000)) for key in keys}


@scenario(
    *("E2", "W6", "W7", "E4"),
    kills=("a-flush-does-not-miss-the-backend", "a-flush-makes-the-backend", "a-failed-flush-is-done-later"),
    rows=(2,),
    needs=("away",),
    axes=(WRITERS, ENDS),
)
def a_writer_does_not_publish_where_there_is_no_backend(
    ctx: Context, begin: Callable[[CheckedDriver], Writer], end: Callable[[Writer], None]
) -> None:
    """If the backend is gone, an open writer's flush raises, and makes none; what it wrote does not appear later.

    A service that goes on writing below the mount point of a disk that is unmounted hides that from everybody.
    """
    ctx.driver.put("d/old", OLD)
    writer = begin(ctx.driver)
    before = _shown(ctx.open())
    with ctx.away():
        for again in range(2):
            with refused(BackendUnavailableError):
                writer.flush() if again == 0 else end(writer)
            with refused(BackendUnavailableError):
                ctx.open().find("d/old")
        writer.discard()
    assert _shown(ctx.open()) == before, "a flush of when the backend was gone is seen, now that it is back"
    assert ctx.stored() == sorted(before)


@scenario(
    *("E2", "W8", "T2"),
    kills=("a-flush-does-not-miss-the-backend", "a-backend-that-was-gone-fences"),
    rows=(2,),
    needs=("away",),
    axes=(WRITERS,),
)
def a_writer_goes_on_when_its_backend_is_back(ctx: Context, begin: Callable[[CheckedDriver], Writer]) -> None:
    """A writer whose flush met no backend publishes everything when it is back, or raises once more; it is not fenced.

    Meanwhile its driver has found the backend missing, too, and found it again.
    """
    ctx.driver.put("d/old", OLD)
    writer = begin(ctx.driver)
    with ctx.away():
        for look in (writer.flush, lambda: ctx.driver.stat("d/old"), lambda: list(ctx.driver.list("d"))):
            with refused(BackendUnavailableError):
                look()
    before = _shown(ctx.driver)
    size = writer.size
    try:
        writer.close()
    except BackendUnavailableError:
        assert _shown(ctx.open()) == before, "a flush raised, and is seen"
        return
    found = ctx.open().stat(writer.key.removeprefix(f"{ctx.prefix}/"))
    assert found.size == size, f"{found.size} of {size} bytes were published"
    assert found.version == writer.version


@scenario("E2", "R4", "L4", kills=("gone-backend-ends-what-is-read",), rows=(2,), needs=("away",))
def nothing_ends_early_when_its_backend_goes_away(ctx: Context) -> None:
    """A reader and a half-read listing whose backend goes away go on, or raise; none ends as if it were whole.

    A layer that is cut short like this is sent to a client as complete.
    """
    data = ctx.payload("read").read(300_000)
    keys = [f"d/{number:03}" for number in range(40)]
    for key in keys:
        ctx.driver.put(key, data if key == keys[0] else b"")
    driver = ctx.driver
    with driver.open_reader(keys[0]) as reader, driver.open_reader(keys[0], len(data) // 2) as unread:
        found, names, told = reader.read(1000), driver.list("d"), driver.scan("d")
        listed = [next(names), next(told)]
        with ctx.away():
            with suppress(BackendUnavailableError):
                ctx.same(found + reader.read(), data, "what was read")
            with suppress(BackendUnavailableError):
                ctx.same(unread.read(), data[len(data) // 2 :], "what was read")
            for rest in (names, told):
                with suppress(BackendUnavailableError):
                    assert [listed[0], *rest] == keys, "a listing has ended early"
        assert listed == keys[:1] * 2


class _Swap(NamedTuple):
    """A store, and another that has taken its place; both have ``d/old``, and nothing else."""

    folder: Path
    opens: str | Callable[[], Driver]
    driver: CheckedDriver
    """Opened when the first store was in place."""

    def swap(self) -> None:
        """Put the other store in place, or the first one back."""
        aside = self.folder / "aside"
        (self.folder / "store").rename(aside)
        (self.folder / "other").rename(self.folder / "store")
        aside.rename(self.folder / "other")


@contextmanager
def _two_stores(ctx: Context) -> Iterator[_Swap]:
    with a_folder() as folder, ExitStack() as opened:
        opens = store_in(ctx, folder / "store")
        driver = opened.enter_context(closing(ctx.at(opens)))
        driver.put("d/old", OLD)
        with closing(ctx.at(store_in(ctx, folder / "other"))) as other:
            other.put("d/old", b"of another store")
        yield _Swap(folder, opens, driver)


@scenario(
    *("X2", "E2", "F4", "W7"),
    kills=("a-flush-into-a-store-that-took-the-place", "a-failed-flush-is-done-later"),
    rows=(2,),
    needs=("traced", "url", "shared"),
    axes=(WRITERS,),
)
def a_writer_does_not_publish_into_another_store(ctx: Context, begin: Callable[[CheckedDriver], Writer]) -> None:
    """If another store takes the place of a writer's, its flush raises, and publishes neither here nor there.

    A backup that is put in place while an upload goes on must not get half of a layer, in a repository of its own.
    """
    with _two_stores(ctx) as stores:
        writer = begin(stores.driver)
        with closing(ctx.at(stores.opens)) as looks:
            before = _shown(looks)
        stores.swap()
        with closing(ctx.at(stores.opens)) as looks:
            there = _shown(looks)
            for act in (writer.flush, writer.flush, writer.close):
                with refused(FencedError, BackendUnavailableError):
                    act()
                assert _shown(looks) == there, "the store that took the place was changed"
        stores.swap()
        with closing(ctx.at(stores.opens)) as looks:
            assert _shown(looks) == before, "what was not flushed is in the store of before"


@scenario(
    *("T2", "F1", "W6"),
    kills=("a-discard-fences-whoever-has-the-key",),
    rows=(2, 120),
    needs=("traced", "url", "shared"),
    axes=(WRITERS,),
)
def a_writer_of_another_store_leaves_its_writers_alone(ctx: Context, begin: Callable[[CheckedDriver], Writer]) -> None:
    """If another store takes the place of a writer's, a discard of the writer fences none of the store in place.

    Nor does a driver that was opened before take the writers of one that was opened later for dead, or the reverse.
    """
    with _two_stores(ctx) as stores, closing(ctx.at(stores.opens)) as another:
        writer = begin(stores.driver)
        stores.swap()
        later = [
            each
            for name, driver in (("1", stores.driver), ("2", another))
            for each in _opened(driver, f"{writer.key}-{name}")
        ]
        later += _opened(another, writer.key)
        writer.discard()
        with closing(ctx.at(stores.opens)) as sweeps:
            sweeps.put("more", b"more")
            for each in later:
                each.close()
                assert sweeps.get(each.key, 1000)[-1:] == b"!"


def _opened(driver: CheckedDriver, key: str) -> list[Writer]:
    """Return a writer that has written; none if the driver has found out that another store is in place, and raises."""
    with suppress(BackendUnavailableError):
        writer = driver.open_writer(key)
        writer.write(b"!")
        return [writer]
    return []

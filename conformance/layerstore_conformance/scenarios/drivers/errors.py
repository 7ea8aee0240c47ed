"""Errors: one kind for each cause, with key and driver; and an error changes nothing."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from layerstore import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    FencedError,
    InvalidOffsetError,
    InvalidURLError,
    NoSpaceError,
    PathNotFoundError,
    UnknownOptionError,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.failing import FailingDriver, FailingHalfWay, FailingHandles, FailingReleases
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


def _missing(driver: CheckedDriver) -> dict[str, Callable[[], object]]:
    """Return the calls that ask for a missing key, by name."""
    return {
        "stat": lambda: driver.stat("dir/missing"),
        "open_reader": lambda: driver.open_reader("dir/missing"),
        "move": lambda: driver.move("dir/missing", "target"),
    }


@scenario("E1", kills=("error-without-key", "error-without-driver"), rows=(10, 11))
def an_error_names_key_and_driver(ctx: Context) -> None:
    """An error has the key and the driver as fields, and its message names both.

    Otherwise the log of a service with two stores does not show which key is missing from which.
    """
    ctx.driver.put("dir/there", b"there")
    driver = ctx.open()
    for name, ask in _missing(driver).items():
        with refused(PathNotFoundError) as refusal:
            ask()
        error = refusal.error
        assert error.key.endswith("dir/missing"), f"{name}: {error.key!r} instead of a key that ends in dir/missing"
        assert error.driver == driver.scheme, f"{name}: driver {error.driver!r} instead of {driver.scheme!r}"
        assert "dir/missing" in str(error), f"{name}: no key in {str(error)!r}"
        assert driver.scheme in str(error), f"{name}: no driver in {str(error)!r}"


@scenario("E1", kills=("error-without-key", "fenced-without-key"), rows=(11,))
def a_refusal_names_its_key(ctx: Context) -> None:
    """A refusal for an offset, a version or a later writer names the key."""
    ctx.driver.put("dir/key", ctx.payload("key").read(600))
    first = ctx.driver.open_writer("dir/key")
    ctx.driver.open_writer("dir/key").discard()
    with refused(InvalidOffsetError) as offset:
        ctx.driver.open_reader("dir/key", 601)
    with refused(FencedError) as fenced:
        first.flush()
    with refused(FencedError) as moved:
        ctx.driver.move("dir/key", "target", version="no such version")
    first.discard()
    for refusal in (offset, fenced, moved):
        assert refusal.error.key.endswith("dir/key"), f"{refusal.error!r} does not name the key"


@scenario("E1", kills=("error-does-not-pickle",), rows=(11,))
def an_error_travels_between_processes(ctx: Context) -> None:
    """A driver's error survives pickling, and has the same message afterwards."""
    ctx.driver.put("dir/there", b"there")
    for name, ask in _missing(ctx.open()).items():
        with refused(PathNotFoundError) as refusal:
            ask()
        copy = _travelled(refusal.error)
        assert type(copy) is type(refusal.error), f"{name}: {type(copy)} instead of {type(refusal.error)}"
        assert str(copy) == str(refusal.error), f"{name}: {copy} instead of {refusal.error}"


def _travelled(error: Exception) -> object:
    try:
        return pickle.loads(pickle.dumps(error))  # noqa: S301  (pickled in the same line)
    except Exception as failure:
        raise AssertionError(f"{type(error).__name__} does not pickle: {failure}") from failure


KINDS = {
    errno.ENOSPC: NoSpaceError,
    errno.EDQUOT: NoSpaceError,
    errno.EFBIG: NoSpaceError,
    errno.EACCES: AccessDeniedError,
    errno.EPERM: AccessDeniedError,
    errno.EROFS: AccessDeniedError,
    errno.EIO: BackendUnavailableError,
    errno.ECONNRESET: BackendUnavailableError,
    errno.ETIMEDOUT: BackendUnavailableError,
    errno.ENOENT: BackendUnavailableError,
    errno.ENOTDIR: BackendUnavailableError,
    errno.EISDIR: BackendUnavailableError,
    errno.EEXIST: BackendUnavailableError,
    errno.EMFILE: BackendUnavailableError,
    errno.ESTALE: BackendUnavailableError,
    errno.EINVAL: BackendUnavailableError,
}

CALLS: dict[str, Callable[[CheckedDriver], object]] = {
    "stat": lambda driver: driver.stat("d/key"),
    "find": lambda driver: driver.find("d/key"),
    "get": lambda driver: driver.get("d/key", 1),
    "open_reader": lambda driver: driver.open_reader("d/key", 1),
    "open_writer": lambda driver: driver.open_writer("d/key"),
    "put": lambda driver: driver.put("d/key", b""),
    "list": lambda driver: list(driver.list("d/key")),
    "scan": lambda driver: list(driver.scan("d/key")),
    "move": lambda driver: driver.move("d/key", "target"),
    "move at a version": lambda driver: driver.move("d/key", "target", version="1"),
    "delete": lambda driver: driver.delete("d/key"),
    "settle": lambda driver: driver.settle("d/key"),
    "drop_cache": lambda driver: driver.drop_cache("d/key"),
    "redirect_url": lambda driver: driver.redirect_url("d/key", timedelta(seconds=1)),
    "close": lambda driver: driver.close(),
}
"""Every method of a driver, the optional ones too, of one key."""


@scenario(
    "E1",
    kills=(
        *("system-errors-pass", "system-errors-of-one-kind", "system-errors-without-key"),
        *("delete-is-not-translated", "eperm-is-unavailable"),
    ),
    rows=(2, 168, 181),
)
def an_error_of_the_system_is_told_by_its_kind(ctx: Context) -> None:
    """In every method, a full disk, a denied access and an unreachable backend raise three different errors.

    So they do in the middle of a listing. Who asked is told what to do: make room, ask for a right, or wait.
    """
    for number, kind in KINDS.items():
        for name, call in CALLS.items():
            ctx.step(f"{name}, {errno.errorcode[number]}")
            with refused(DriverError) as refusal:
                call(CheckedDriver(FailingDriver(ctx.driver, number), "failing"))
            _check_translated(refusal.error, number, kind, "" if name == "close" else "d/key")
        for name in ("list", "scan"):
            with refused(DriverError) as listing:
                CALLS[name](CheckedDriver(FailingHalfWay(ctx.driver, number), "failing"))
            _check_translated(listing.error, number, kind, "d/key")


READS: dict[str, Callable[[Reader], object]] = {
    "read": lambda reader: reader.read(1),
    "read to the end": lambda reader: reader.read(),
    "readall": lambda reader: reader.readall(),
    "readinto": lambda reader: reader.readinto(bytearray(10)),
    "close": lambda reader: reader.close(),
}
ENDS: dict[str, Callable[[Writer], object]] = {
    "write": lambda writer: writer.write(b"+"),
    "flush": lambda writer: writer.flush(),
    "close": lambda writer: writer.close(),
    "end": lambda writer: writer.end(),
}


@scenario("E1", kills=("system-errors-pass", "system-errors-pass-handles", "end-is-not-translated"), rows=(2, 168, 181))
def an_error_of_the_system_is_told_by_its_handle(ctx: Context) -> None:
    """In every method, readers and writers raise the same three errors for a full disk, a denied access and so on."""
    ctx.driver.put("key", ctx.payload("handle").read(600))
    for number, kind in KINDS.items():
        driver = CheckedDriver(FailingHandles(ctx.driver, number), "failing")
        reader = driver.open_reader("key")
        for name, read in READS.items():
            _fails(ctx, number, kind, partial(read, reader), name)
        writer = driver.open_writer("key")
        for name, end in ENDS.items():
            writer = driver.open_writer("key") if writer.closed else writer
            _fails(ctx, number, kind, partial(end, writer), name)
        assert writer.closed, "a writer whose end failed is still open"
        last = CheckedDriver(FailingReleases(ctx.driver, number), "failing").open_writer("key")
        _fails(ctx, number, kind, last.discard, "discard")
        assert last.closed, "a writer whose discard failed is still open"
        for closed in (reader.close, writer.close, last.close, last.discard):
            closed()
    ctx.expect("key", ctx.payload("handle").read(600))


def _fails(ctx: Context, number: int, kind: type[DriverError], act: Callable[[], object], name: str) -> None:
    ctx.step(f"{name}, {errno.errorcode[number]}")
    with refused(DriverError) as refusal:
        act()
    _check_translated(refusal.error, number, kind, "key")


def _check_translated(error: DriverError, number: int, kind: type[DriverError], key: str) -> None:
    assert type(error) is kind, f"{errno.errorcode[number]} is {type(error).__name__}, not {kind.__name__}"
    assert error.driver == "failing", f"driver {error.driver!r} instead of 'failing'"
    assert error.key.endswith(key), f"key {error.key!r} instead of one that ends in {key!r}"


@scenario(
    "E2", kills=("missing-backend-reads-empty", "missing-backend-is-a-missing-key"), rows=(2,), needs=("missing",)
)
def a_missing_backend_is_no_empty_one(ctx: Context) -> None:
    """If there is no backend, a look or a listing raises BackendUnavailableError: the store does not seem empty.

    A purge that took an unmounted disk for an empty store would forget every upload on it.
    """
    driver = ctx.missing()
    looks: dict[str, Callable[[], object]] = {
        "stat": lambda: driver.stat("key"),
        "open_reader": lambda: driver.open_reader("key"),
        "list": lambda: list(driver.list("")),
        "list of a prefix": lambda: list(driver.list("dir")),
        "scan": lambda: list(driver.scan("")),
        "scan of a prefix": lambda: list(driver.scan("dir")),
    }
    for name, look in looks.items():
        ctx.step(name)
        with refused(BackendUnavailableError):
            look()


@scenario("E2", kills=("delete-makes-the-backend", "move-makes-the-backend"), rows=(2,), needs=("missing",))
def a_missing_backend_is_not_made_in_passing(ctx: Context) -> None:
    """If there is no backend, a move or a delete raises an error and creates none.

    An empty store that a purge created in the place of an unmounted disk would look as if all were well.
    """
    changes: dict[str, Callable[[CheckedDriver], object]] = {
        "move": lambda driver: driver.move("key", "target"),
        "delete": lambda driver: driver.delete("key"),
    }
    for name, change in changes.items():
        ctx.step(name)
        with refused(BackendUnavailableError):
            change(ctx.missing())
        ctx.step(f"look after the {name}")
        with refused(BackendUnavailableError):
            ctx.missing().stat("key")


@scenario(
    *("E2", "T2"), kills=("gone-backend-reads-empty", "gone-backend-has-nothing-to-delete"), rows=(2,), needs=("away",)
)
def a_backend_that_goes_away_is_missed(ctx: Context) -> None:
    """If the backend goes away while handles are open, they raise BackendUnavailableError; if it is back, they go on.

    A disk that is unmounted under a service is no store whose layers were all deleted, and is not made anew by it.
    """
    ctx.driver.put("d/key", ctx.payload("stays").read(700))
    used, unused = ctx.driver, ctx.open()
    assert list(used.list("d")) == ["d/key"]
    with ctx.away():
        for driver in (used, unused, used):
            for name, call in _calls_without_a_backend(driver).items():
                ctx.step(name)
                with refused(BackendUnavailableError):
                    call()
    for driver in (used, unused, ctx.open()):
        ctx.same(driver.get("d/key", 1000), ctx.payload("stays").read(700), "once the backend is back")
        driver.put("d/more", b"more")
    assert ctx.stored() == ["d/key", "d/more"]


def _calls_without_a_backend(driver: CheckedDriver) -> dict[str, Callable[[], object]]:
    """Return calls that must not make a backend, by name."""
    return {
        "stat": lambda: driver.stat("d/key"),
        "stat of a missing key": lambda: driver.stat("missing"),
        "open_reader": lambda: driver.open_reader("d/key"),
        "list": lambda: list(driver.list("")),
        "list of a prefix": lambda: list(driver.list("d")),
        "scan": lambda: list(driver.scan("d")),
        "move": lambda: driver.move("d/key", "d/moved"),
        "delete": lambda: driver.delete("d/key"),
        "delete of a prefix": lambda: driver.delete("d"),
    }


@scenario("E3", kills=("urls-shown-whole", "option-values-shown"), rows=(12,))
def no_message_holds_a_credential(ctx: Context) -> None:
    """No message contains a password that was in a URL, as user, option or connection string.

    Messages end up in logs, tickets and screenshots.
    """
    scheme, secret = ctx.driver.scheme, "s3cr3t"
    urls = (f"{scheme}://user:{secret}@host/path", f"{scheme}:AccountKey={secret}#", f"{scheme}://host/?key={secret}#x")
    for url in urls:
        with refused(InvalidURLError) as refusal:
            open_driver(url).close()
        assert secret not in f"{refusal.error} {refusal.error!r}", f"the secret is in {refusal.error!r}"
    if ctx.harness.url is not None:
        with refused(UnknownOptionError) as refusal:
            open_driver(ctx.harness.url, **{"no-such-option": secret}).close()
        assert secret not in f"{refusal.error} {refusal.error!r}", f"the secret is in {refusal.error!r}"


@scenario(
    *("E4", "T6"),
    kills=(
        *("looking-creates", "failed-move-loses-its-source", "move-of-nothing-empties-the-target"),
        "a-turn-is-kept-by-a-refusal",
    ),
    rows=(161, 162),
)
def what_is_refused_has_changed_nothing(ctx: Context) -> None:
    """After every kind of refusal the store is as it was: keys, bytes, times and versions."""
    for key in ("a/b", "c"):
        ctx.driver.put(key, ctx.payload("stays").read(700))
    before = _contents(ctx)
    for what, kind, ask in (
        ("a look at a prefix", PathNotFoundError, lambda: ctx.driver.stat("a")),
        ("a look at a missing key", PathNotFoundError, lambda: ctx.driver.open_reader("missing")),
        ("a look beyond the end", InvalidOffsetError, lambda: ctx.driver.open_reader("c", 701)),
        ("a move of a missing key", PathNotFoundError, lambda: ctx.driver.move("missing", "c")),
        ("a move at no version", FencedError, lambda: ctx.driver.move("c", "a/b", version="no such version")),
    ):
        ctx.step(what)
        with refused(kind):
            ask()
        assert _contents(ctx) == before, f"{what} was refused, and changed the store"


def _contents(ctx: Context) -> dict[str, tuple[Stat, bytes]]:
    return {key: (ctx.open().stat(key), ctx.read(key)) for key in ctx.stored()}

"""Opening: a driver is opened by a URL, of which every part counts, and opening creates and changes nothing."""

from __future__ import annotations

import gc
import os
import re
from contextlib import ExitStack, closing, suppress
from importlib.metadata import EntryPoint
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from layerstore import (
    CONTRACT_VERSION,
    Driver,
    DriverError,
    InvalidURLError,
    StoreURL,
    UnknownOptionError,
    hookimpl,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.registry import GROUP as ENTRY_POINTS
from layerstore.registry import Registry
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

IDS = "declarations"

HOST = "host.invalid"
"""A host that there is nowhere."""


class ListeningDriver(PassingDriver):
    """A driver with two options, which keeps the options that it was opened with."""

    contract_version = CONTRACT_VERSION
    options = MappingProxyType({"region": "where the store is", "retries": "how often to try"})
    opened: ClassVar[list[tuple[StoreURL, dict[str, object]]]] = []

    @classmethod
    def open(cls, url: StoreURL, **options: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Keep what it was opened with."""
        cls.opened.append((url, options))
        return cls(open_driver("memory:"))


class ListeningPlugin:
    """The plugin of that driver."""

    @staticmethod
    @hookimpl
    def layerstore_driver() -> type[Driver]:
        """Return the driver."""
        return ListeningDriver


def _listening(url: str, **options: object) -> tuple[StoreURL, dict[str, object]]:
    """Open a URL of the scheme ``listening``, and return the options that reached the driver."""
    ListeningDriver.opened.clear()
    claim = EntryPoint("listening", f"{__name__}:{ListeningPlugin.__name__}", ENTRY_POINTS)
    Registry(lambda: [claim]).open(url, **options).close()
    return ListeningDriver.opened[-1]


@scenario("O1", kills=("unknown-options-ignored",), rows=(12,), needs=("url",))
def an_unknown_option_is_refused(ctx: Context) -> None:
    """An option that the driver does not have is refused, in the URL and as an argument.

    If a misspelt option were ignored, somebody would believe in a setting that is not there.
    """
    assert ctx.harness.url is not None, "needs url"
    between = "&" if "?" in ctx.harness.url else "?"
    with refused(UnknownOptionError):
        open_driver(f"{ctx.harness.url}{between}no-such-option=1").close()
    with refused(UnknownOptionError):
        open_driver(ctx.harness.url, **{"no-such-option": "1"}).close()


@scenario("O1", kills=("known-options-not-told",), rows=(12,))
def a_refused_option_is_told_the_known_ones(ctx: Context) -> None:
    """The error of a misspelt option lists the options that there are."""
    del ctx
    with refused(UnknownOptionError) as refusal:
        _listening("listening:store?regoin=here")
    assert set(refusal.error.known) == set(ListeningDriver.options), f"known are {refusal.error.known}"
    unsaid = [name for name in ListeningDriver.options if name not in str(refusal.error)]
    assert not unsaid, f"{unsaid} is not in {str(refusal.error)!r}"


@scenario("O1", kills=("options-beside-the-url-dropped",), rows=(12,))
def options_reach_the_driver(ctx: Context) -> None:
    """Options of the URL and options given as arguments reach the driver; an option given as both is refused.

    A secret belongs in an argument, where no log shows it.
    """
    del ctx
    _, options = _listening("listening:store?region=here", retries=5)
    assert options == {"region": "here", "retries": 5}, f"the driver was opened with {options}"
    with refused(InvalidURLError):
        _listening("listening:store?region=here", region="there")


@scenario("O1", kills=("host-taken-for-a-path",), rows=(12,))
def a_url_is_read_by_its_parts(ctx: Context) -> None:
    """URLs with a host and without one, with a relative path and an absolute one, mean four different things."""
    del ctx
    for text, host, path in (
        ("listening:some/path", None, "some/path"),
        ("listening:///some/path", None, "/some/path"),
        ("listening://some/path", "some", "/path"),
        ("listening://some", "some", ""),
    ):
        url, _ = _listening(text)
        assert (url.host, url.path) == (host, path), f"{text}: host {url.host!r}, path {url.path!r}"


@scenario("O1", "O2", kills=("fragments-cut-off",), rows=(12,), needs=("url",))
def a_url_that_means_nothing_is_refused(ctx: Context) -> None:
    """A URL with a part that no store's URL can have is refused when it is opened, and not read as something else."""
    assert ctx.harness.url is not None, "needs url"
    between = "&" if "?" in ctx.harness.url else "?"
    for rest in ("#fragment", f"{between}=1", f"{between}a=%zz", f"{between}a=%00"):
        with refused(InvalidURLError):
            open_driver(f"{ctx.harness.url}{rest}").close()


@scenario("O1", "O2", kills=("hosts-ignored",), rows=(12,), needs=("shared", "url"))
def a_host_is_no_ornament(ctx: Context) -> None:
    """If a store's URL has no host, the same URL with a host is refused, or names another store.

    ``scheme://store/path`` and ``scheme:///store/path`` differ by one slash.
    """
    assert ctx.harness.url is not None, "needs url"
    if StoreURL.parse(ctx.harness.url).host:
        return  # with another host it is another server, and there may be none
    ctx.driver.put("key", b"here")
    with suppress(InvalidURLError, DriverError):
        with closing(ctx.at(re.sub(r"^([^:]*):/*", rf"\1://{HOST}/", ctx.harness.url))) as other:
            found = other.find(f"{ctx.prefix}/key")
        assert found is None, f"with the host {HOST} the URL names the same store"


@scenario("O2", "W1", kills=("opening-the-store-changes-it", "opening-the-store-creates"), rows=(1, 8))
def opening_the_store_changes_nothing(ctx: Context) -> None:
    """To open and close drivers on a store creates nothing and changes nothing."""
    assert ctx.stored() == [], "a fresh store is not empty"
    ctx.driver.put("key", ctx.payload("stays").read(700))
    before = ctx.open().stat("key")
    for _ in range(3):
        ctx.open().close()
    assert ctx.open().stat("key") == before, "the object changed"
    ctx.expect("key", ctx.payload("stays").read(700))
    assert ctx.stored() == ["key"]
    looks = [set(ctx.bare().list("")) for _ in range(4)]
    more = [later - earlier for earlier, later in pairwise(looks)]
    # Others may put something there, too; but hardly between any two looks.
    assert not all(more), f"with every opening the store has more at its top: {more}"


@scenario("O1", "O2", "C5", "S2", kills=("named-store-dies-with-its-last-driver",), rows=(1, 8), needs=("url",))
def what_was_stored_outlives_every_driver_of_a_process(ctx: Context) -> None:
    """A store whose last driver was closed and let go of is as it was when the process opens its URL again.

    A server that opens the store for each request would otherwise lose its layers between two of them.
    """
    data = ctx.payload("stays").read(3000)
    ctx.driver.put("d/put", data[:700])
    with ctx.driver.open_writer("d/written") as writer:
        writer.write(data)
    given_up = ctx.driver.open_writer("d/given-up")
    given_up.write(data)
    given_up.discard()
    del writer, given_up
    before = {key: ctx.driver.stat(key) for key in ctx.stored()}
    assert list(before) == ["d/put", "d/written"]
    for number in range(3):
        ctx.reopen()
        assert {key: ctx.driver.stat(key) for key in ctx.stored()} == before, f"changed when it was opened {number + 1}"
        ctx.expect("d/put", data[:700])
        ctx.expect("d/written", data)
    with ctx.driver.open_writer("d/written") as writer:
        assert (writer.size, writer.version) == (3000, before["d/written"].version), "a writer does not go on"
    ctx.driver.move("d/put", "moved", version=before["d/put"].version)
    assert ctx.stored() == ["d/written", "moved"]


@scenario("T2", "T4", "R4", "W6", kills=("handles-end-with-their-driver",), rows=(9,))
def a_handle_outlives_the_driver_that_opened_it(ctx: Context) -> None:
    """A reader and a writer go on when nobody holds their driver any more, and it is collected.

    A function that opens a store and returns a handle does not keep the driver.
    """
    data = ctx.payload("kept").read(300_000)
    for key in ("key", "read"):
        ctx.driver.put(key, data)
    driver = ctx.lent()
    reader, writer, new = driver.open_reader("read"), driver.open_writer("key"), driver.open_writer("d/new")
    ctx.same(reader.read(1000), data[:1000], "while the driver was held")
    writer.write(data[:500])
    del driver
    gc.collect()
    ctx.same(reader.readall(), data[1000:], "after the driver was let go of")
    reader.close()
    writer.write(data[500:700])
    writer.flush()
    ctx.expect("key", data + data[:700])
    writer.write(data[700:800])
    writer.close()
    new.close()
    ctx.expect("key", data + data[:800])
    ctx.expect("d/new", b"")


@scenario("O1", "O2", "C3", kills=("store-follows-the-working-directory",), rows=(12,), needs=("shared", "url"))
def a_store_stays_where_it_is_when_the_working_directory_changes(ctx: Context) -> None:
    """A program that changes its working directory goes on in the same store, also if its path was a relative one.

    A server that becomes a daemon changes to the root: its layers would be missing, and new ones go elsewhere.
    """
    assert ctx.harness.url is not None, "needs url"
    ctx.driver.put("before", b"put by an absolute path")
    with Elsewhere(ctx) as there:
        there.run(_change_directory, ctx.harness.url, ctx.prefix)
    for key in list(ctx.open().list("")):
        ctx.expect(key, key.encode() if key != "before" else b"put by an absolute path")
    assert "absolute" in ctx.stored(), "what was put after the change of the directory lies elsewhere"


def _change_directory(driver: CheckedDriver, text: str, prefix: str) -> None:
    """Put by a driver that was opened before, and by one that is opened by a relative path, if the URL is a path."""
    url = StoreURL.parse(text)
    folder, name = os.path.split(url.path)
    with ExitStack() as stack:
        drivers = {"absolute": driver}
        if not url.host and os.path.isdir(folder):
            os.chdir(folder)
            with suppress(InvalidURLError):
                relative = stack.enter_context(closing(open_driver(f"{url.scheme}:{name}", **url.options)))
                drivers["relative"] = CheckedDriver(PrefixedDriver(relative, prefix))
        os.chdir("/")
        for key, each in drivers.items():
            assert each.get("before", 100) == b"put by an absolute path", f"not found by the {key} path"
            each.put(key, key.encode())
            assert driver.get(key, 100) == key.encode(), f"what was put by the {key} path lies elsewhere"


MORE = Axis("more", {"a slash": "/", "two slashes": "//", "a dot": "/."})
"""What people and programs leave at the end of a path."""


def _longer(text: str, more: str) -> str:
    """Return a URL with more at the end of its path."""
    path, mark, query = text.partition("?")
    return f"{path}{more}{mark}{query}"


@scenario("O2", "C3", kills=("a-slash-leads-inside",), rows=(12,), needs=("shared", "url"), axes=(MORE,))
def a_url_with_more_at_its_end_is_refused_or_the_same_store(ctx: Context, more: str) -> None:
    """A store's URL with slashes or a dot at the end of its path is refused, or names the very same store.

    Otherwise what one program puts the other never finds, although both show the same URL but for a slash.
    """
    assert ctx.harness.url is not None, "needs url"
    ctx.driver.put("key", b"here")
    with suppress(InvalidURLError), closing(ctx.at(_longer(ctx.harness.url, more))) as other:
        assert other.get(f"{ctx.prefix}/key", 100) == b"here"


@scenario("O2", "E2", kills=("a-slash-leads-inside",), rows=(12,), needs=("traced", "url"), axes=(MORE,))
def a_url_with_more_at_its_end_makes_nothing_elsewhere(ctx: Context, more: str) -> None:
    """Who puts by a URL with slashes or a dot at its end is refused, or puts into the store that it names without.

    The directory in which the store lies, and the one above, are refused as well, or there can be a store in them.
    """
    with a_folder() as folder:
        (folder / "top").mkdir()
        opens = store_in(ctx, folder / "top" / "store")
        assert isinstance(opens, str), "needs url"
        _put_into(ctx, _longer(opens, more), opens)
        made = sorted(str(each.relative_to(folder)) for each in (*folder.iterdir(), *(folder / "top").iterdir()))
        assert made == ["top", "top/store"], f"there are {made}"
        top = opens[: opens.index("/top/") + len("/top")]
        for text in (_longer(top, more), _longer(opens, "/..")):
            _put_into(ctx, text, text)


def _put_into(ctx: Context, text: str, same: str) -> None:
    """Put by a URL, unless it is refused; find that by another, which names the same store."""
    with suppress(InvalidURLError), closing(ctx.at(text)) as driver:
        driver.put("key", b"put")
        with closing(ctx.at(same)) as another:
            assert another.get("key", 100) == b"put"


@scenario("C5", "O2", kills=("paths-name-no-store",), rows=(5, 12), needs=("url",))
def a_url_opened_twice_is_one_store(ctx: Context) -> None:
    """A URL with a path, relative or absolute, is refused, or whoever opens it in this process sees the same store.

    Otherwise two parts of a program that name one store never see each other's layers.
    """
    assert ctx.harness.url is not None, "needs url"
    with a_folder() as folder, Elsewhere(ctx) as there:
        url = StoreURL.parse(ctx.harness.url)
        there.run(_open_twice, url.scheme, dict(url.options), str(folder))


def _open_twice(driver: CheckedDriver, scheme: str, options: dict[str, str], folder: str) -> None:
    del driver
    os.chdir(folder)
    for text in (f"{scheme}:one", f"{scheme}:two/three", f"{scheme}:{folder}/four", f"{scheme}://{folder}/five"):
        with suppress(InvalidURLError, DriverError), closing(open_driver(text, **options)) as first:
            first.put("key", b"by the first")
            with closing(open_driver(text, **options)) as second:
                assert second.find("key") is not None, f"opened twice, {text} is two stores"

"""Declarations: a driver has what it declares, and refuses what it does not declare."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, ClassVar, Final

from layerstore import (
    CONTRACT_VERSION,
    Capabilities,
    ContractVersionError,
    Driver,
    StoreURL,
    UnsupportedOperationError,
    hookimpl,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.registry import GROUP as ENTRY_POINTS
from layerstore.registry import Registry
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


class _Opened:
    """Makes drivers that are written for any contract, and notes whether they are opened."""

    opened: ClassVar[list[str]] = []
    made: ClassVar[type[Driver]]

    @classmethod
    def of(cls, version: object) -> None:
        """Make a driver of this version the plugin's; of none, one that does not name its contract."""
        own = {name: vars(PassingDriver)[name] for name in ("__init__", *Driver.__abstractmethods__)}
        named = {} if version is UNSET else {"contract_version": version}
        cls.made = type("ForeignDriver", (Driver,), {**own, **named, "open": classmethod(_open)})
        cls.opened.clear()


def _open(cls: type[Any], url: StoreURL, /, **options: object) -> Any:  # noqa: ANN401  (a class made above)
    """Note that it was opened."""
    del options
    _Opened.opened.append(str(url))
    return cls(open_driver("memory:"))


class ForeignPlugin:
    """The plugin of that driver."""

    @staticmethod
    @hookimpl
    def layerstore_driver() -> type[Driver]:
        """Return the driver."""
        return _Opened.made


@scenario("C1", kills=("contract-not-spelled-out",), rows=(4,))
def the_contract_is_spelled_out(ctx: Context) -> None:
    """The driver, and every wrapper in front of it, names in full the major version that it was written for."""
    major = CONTRACT_VERSION.partition(".")[0]
    layer: object = ctx.bare()
    while isinstance(layer, Driver):
        spelled = getattr(layer, "contract_version", None)
        assert re.fullmatch(rf"{major}\.[0-9]+", str(spelled)), f"{type(layer).__name__} is written for {spelled!r}"
        layer = getattr(layer, "inner", None)


UNSET: Final = object()

SPOKEN: Final = ("1.0", "1.1", "1.7", "1.10", "1.999")
"""Versions of the major version that layerstore speaks."""

NOT_SPOKEN: Final = (
    *("0.9", "0.1", "2.0", "2.1", "9.0", "10.0", "11.5", "100.0", "999.0", "01.0", "-1.0", "+1.0", "\u0661.0"),
    *("1", "1.", ".0", "1.0.1", "1.0a", "1.x", "v1.0", "1,0", "1.0 ", " 1.0", "1.0\n", "1.\u0660", "", "one"),
    *(None, 1, 2.0, (1, 0), UNSET),
)
"""Other major versions, and what is no version: nobody knows what such a driver must keep."""


@scenario("C1", kills=("contract-unchecked", "contract-by-first-letter", "minor-contracts-refused"), rows=(4,))
def another_contract_is_refused(ctx: Context) -> None:
    """A driver of another major version, or of none, is refused before it is opened; one of a later minor is not.

    A driver that was written for another contract cannot know what it must keep.
    """
    del ctx
    claim = EntryPoint("foreign", f"{__name__}:{ForeignPlugin.__name__}", ENTRY_POINTS)
    for version in NOT_SPOKEN:
        _Opened.of(version)
        with suppress(ContractVersionError):
            Registry(lambda: [claim]).open("foreign:").close()
            raise AssertionError(f"a driver of contract {'none' if version is UNSET else repr(version)} was opened")
        assert not _Opened.opened, f"a driver of contract {version!r} was opened before it was refused"
    for version in SPOKEN:
        _Opened.of(version)
        try:
            Registry(lambda: [claim]).open("foreign:").close()
        except ContractVersionError as error:
            raise AssertionError(f"a driver of contract {version} was refused") from error
        assert _Opened.opened == ["foreign:"], f"opened: {_Opened.opened}"


@scenario("C1", "C3", "C4", "C6", kills=("capabilities-not-yes-or-no", "capabilities-change"), rows=(4,))
def every_handle_declares_the_same(ctx: Context) -> None:
    """Capabilities are booleans, ``memory`` is a number of bytes, and every handle declares the same, used or not."""
    ctx.driver.put("key", ctx.payload("used").read(600))
    declared = [driver.capabilities for driver in (ctx.driver, ctx.open(), ctx.bare())]
    for name in (field.name for field in fields(Capabilities)):
        found = [getattr(each, name) for each in declared]
        kind, words = (int, "a number of bytes") if name == "memory" else (bool, "yes or no")
        assert {type(each) for each in found} == {kind}, f"{name} is declared as {found}, not as {words}"
        assert len(set(found)) == 1, f"{name} is declared as {found}"


@scenario(
    "C2",
    "K3",
    "L2",
    kills=("nested-keys-declared-in-vain", "below-an-object-is-the-object", "ordered-without-the-slash"),
    rows=(24, 63, 81),
    needs=("nested_keys",),
)
def a_key_can_lie_below_another(ctx: Context) -> None:
    """A driver that declares ``nested_keys`` keeps an object and others below its key, and lists both.

    Other keys may sort between the two: ``a-`` comes after ``a`` and before ``a/``.
    """
    for number, key in enumerate(("a", "a/b", "a/b/c/d", "z/y/x", "z", "a-", "source")):
        ctx.driver.put(key, ctx.payload("nested").read(700, 512 * number))
    with ctx.driver.open_writer("a/b/c") as writer:
        writer.write(ctx.payload("written").read(700))
    ctx.driver.move("z", "a/b/c/d/e")
    assert list(ctx.open().list("")) == ["a", "a-", "a/", "source", "z/"], "the keys below did not stay there"
    ctx.driver.move("source", "z")
    for number, key in enumerate(("a", "a/b", "a/b/c/d", "z/y/x", "a/b/c/d/e", "a-", "z")):
        ctx.expect(key, ctx.payload("nested").read(700, 512 * number))
    ctx.expect("a/b/c", ctx.payload("written").read(700))
    for prefix, expected in (("", ["a", "a-", "a/", "z", "z/"]), ("a/b", ["a/b/c", "a/b/c/"])):
        found = list(ctx.open().list(prefix))
        assert found == expected, f"below {prefix!r} lie {found} instead of {expected}"


@scenario(
    "C2",
    "F1",
    "F2",
    kills=("nested-keys-declared-in-vain", "every-change-fences-below-its-prefix"),
    rows=(63, 118),
    needs=("nested_keys",),
)
def a_key_that_comes_above_or_below_leaves_the_writer_be(ctx: Context) -> None:
    """With ``nested_keys``, a writer goes on though keys above and below its own were created since it was opened."""
    data = ctx.payload("nested").read(2100)
    ctx.driver.put("a/old", data[:700])
    for key, begun in (("a/old", 700), ("a/new", 0)):
        writer = ctx.driver.open_writer(key)
        for later in ("a", f"{key}/b", f"{key}/c/d"):
            ctx.open().put(later, later.encode())
        writer.write(data[begun:])
        writer.close()
        ctx.expect(key, data)
        for later in ("a", f"{key}/b", f"{key}/c/d"):
            ctx.expect(later, later.encode())


def _write(driver: CheckedDriver, key: str) -> None:
    with driver.open_writer(key) as writer:
        writer.write(b"written where nothing can be")


ATTEMPTS: dict[str, Callable[[CheckedDriver, str], None]] = {
    "put": lambda driver, key: driver.put(key, b"put where nothing can be"),
    "write": _write,
    "move": lambda driver, key: driver.move("source", key),
}
"""Ways to make an object."""


@scenario(
    "C2",
    "E4",
    kills=(
        *("nested-keys-denied-in-vain", "failed-move-loses-its-source", "failed-put-leaves-a-trace"),
        "a-move-fences-before-it-is-refused",
    ),
    rows=(63, 97, 99),
    without=("nested_keys",),
)
def without_nested_keys_the_attempt_is_refused(ctx: Context) -> None:
    """A driver without ``nested_keys`` refuses a key below or above another one, changes nothing, and fences nobody."""
    data = ctx.payload("stays").read(700)
    keys = ["a/b", "source", "x/y/z"]
    writers = []
    for key in keys:
        ctx.driver.put(key, data)
        writers.append(ctx.open().open_writer(key))
    for name, attempt in ATTEMPTS.items():
        for key in ("a", "a/b/c", "a/b/c/d", "x"):
            ctx.step(f"{name} {key}")
            with refused(UnsupportedOperationError):
                attempt(ctx.driver, key)
            assert ctx.stored() == keys, f"{name} of {key} left {ctx.stored()}"
    for key, writer in zip(keys, writers, strict=True):
        ctx.expect(key, data)
        writer.write(b"goes on")
        writer.close()
        ctx.expect(key, data + b"goes on")


@scenario(
    *("C2", "F2"),
    kills=("a-put-fences-before-it-is-refused", "nested-keys-denied-in-vain"),
    rows=(63, 120),
    without=("nested_keys",),
)
def a_key_that_is_refused_keeps_its_writer(ctx: Context) -> None:
    """Whoever is refused because a key lies below fences no writer of the key, which had it before that."""
    ctx.driver.put("source", b"source")
    for name, attempt in ATTEMPTS.items():
        for below in ("a/b", "a/b/c"):
            ctx.step(f"{name} a, when {below} is there")
            writer = ctx.open().open_writer("a")
            writer.write(b"of its writer")
            ctx.driver.put(below, b"in the way")
            with refused(UnsupportedOperationError):
                attempt(ctx.driver, "a")
            ctx.driver.move(below, "away")
            writer.close()
            ctx.expect("a", b"of its writer")
            ctx.driver.delete("a")
    ctx.expect("source", b"source")


@scenario("C2", "W6", "E4", kills=("nested-keys-denied-in-vain",), rows=(63,), without=("nested_keys",))
def without_nested_keys_the_later_flush_is_refused(ctx: Context) -> None:
    """If the other key was created after a writer was opened, the writer's flush is refused and changes nothing."""
    data = ctx.payload("earlier").read(700)
    for late, early in (("a", "a/b"), ("c/d", "c")):
        writer = ctx.driver.open_writer(late)
        writer.write(ctx.payload("late").read(700))
        ctx.open().put(early, data)
        with refused(UnsupportedOperationError):
            writer.flush()
        writer.discard()
        ctx.expect(early, data)
    assert ctx.stored() == ["a/b", "c"]


@scenario("C3", kills=("every-process-has-its-own",), rows=(5,), needs=("shared", "url"))
def another_process_sees_and_changes_the_same_store(ctx: Context) -> None:
    """With ``shared`` there is one store for all processes: each sees at once what the others did."""
    ctx.driver.put("dir/here", ctx.payload("here").read(700))
    with Elsewhere(ctx) as there:
        ctx.same(there.run(CheckedDriver.get, "dir/here", 1 << 20), ctx.payload("here").read(700), "elsewhere")
        there.run(CheckedDriver.put, "dir/there", ctx.payload("there").read(700))
        ctx.expect("dir/there", ctx.payload("there").read(700))
        assert there.run(CheckedDriver.stat, "dir/here") == ctx.open().stat("dir/here"), "stat differs elsewhere"
        ctx.driver.delete("dir/here")
        assert there.run(_listed, "dir") == ["dir/there"]
        there.run(CheckedDriver.move, "dir/there", "moved")
    assert ctx.stored() == ["moved"]


@scenario("C4", "P2", "W6", kills=("every-process-has-its-own",), rows=(5, 161), needs=("durable", "url"))
def what_is_durable_outlives_its_process(ctx: Context) -> None:
    """With ``durable``, put and flushed bytes are there after the process that stored them was killed.

    No program can see whether they outlive a loss of power, but memory that calls itself durable is found out.
    """
    ctx.driver.close()  # without ``shared`` one process at a time may have the store open
    put, written = ctx.payload("put").read(700), ctx.payload("written").read(700)
    with Elsewhere(ctx) as there:
        there.run(CheckedDriver.put, "put", put)
        there.hold(write, "written", [(0, written)], flush=True)
        there.kill()
    ctx.expect("put", put)
    ctx.expect("written", written)


def _listed(driver: CheckedDriver, prefix: str) -> list[str]:
    return list(driver.list(prefix))


@scenario("C5", "C3", "P1", kills=("every-handle-its-own-store",), rows=(5, 8))
def within_a_process_every_handle_sees_the_same_store(ctx: Context) -> None:
    """Two drivers opened on one store in one process see each other's changes, ``shared`` or not."""
    first, second = ctx.driver, ctx.open()
    first.put("a", ctx.payload("first").read(700))
    second.put("b", ctx.payload("second").read(700))
    for driver in (first, second, ctx.open()):
        ctx.same(driver.get("a", 1000), ctx.payload("first").read(700), "a")
        ctx.same(driver.get("b", 1000), ctx.payload("second").read(700), "b")
        assert list(driver.list("")) == ["a", "b"]

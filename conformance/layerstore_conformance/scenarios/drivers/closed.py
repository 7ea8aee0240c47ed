"""Closed handles: every method that a reader or writer has, whatever class it is of, refuses once it is closed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from layerstore import LayerClosedError
from layerstore.driver import Reader, Writer
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.forking import Forked

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

_ENDS: Final = {"close", "discard", "end", "__exit__"}
_AUTHORS: Final = {"read_at", "release", "write_at", "publish", "publish_last"}
"""Methods that the front calls, and nobody else."""
_OF_ITS_KIND: Final = {"readable", "writable", "seekable", "isatty"}
"""Methods that tell something of every reader."""

ARGUMENTS: Final[tuple[tuple[object, ...], ...]] = ((), (0,), (bytearray(1),))

ENDS: Final[dict[str, Callable[[Reader | Writer], object]]] = {
    "close": lambda handle: handle.close(),
    "discard": lambda handle: handle.discard() if isinstance(handle, Writer) else handle.close(),
    "the end of a block": lambda handle: handle.__exit__(None, None, None),
    "an error in a block": lambda handle: handle.__exit__(ValueError, ValueError(), None),
}


def _expect_refusals(handle: Reader | Writer) -> None:
    """Check that every method refuses, and none returns what it would of an open handle."""
    own = {name for name in dir(handle) if not name.startswith("_") and callable(getattr(type(handle), name, None))}
    idle = {"flush"} if isinstance(handle, Reader) else set()  # Python's own, which does nothing
    for name in sorted(own - _ENDS - _AUTHORS - _OF_ITS_KIND - idle):
        refusal = _refusal_of(getattr(handle, name))
        assert refusal is not None, f"{name} of {handle!r} was done"
        allowed = io.UnsupportedOperation, LayerClosedError, *([ValueError] if _is_of_python(handle, name) else [])
        assert isinstance(refusal, allowed), f"{name} of {handle!r} raised {type(refusal).__name__}"


def _is_of_python(handle: Reader | Writer, name: str) -> bool:
    """Return whether a method is inherited from Python's own files, which raise a bare ``ValueError``."""
    return any(name in vars(each) for each in io.RawIOBase.__mro__) and all(
        name not in vars(each) for each in type(handle).__mro__ if each.__module__ not in {"io", "_io", "builtins"}
    )


def _refusal_of(method: Callable[..., object]) -> Exception | None:
    for arguments in ARGUMENTS:
        try:
            method(*arguments)
        except TypeError:  # it takes others
            continue
        except Exception as error:  # noqa: BLE001  (the caller tells which are right)
            return error
        return None
    raise AssertionError(f"no arguments fit {method!r}")


@scenario("T3", "R6", kills=("a-closed-reader-tells-its-file", "closed-writers-tell-their-place"), rows=(57,))
def every_method_of_a_closed_handle_refuses(ctx: Context) -> None:
    """However a reader or writer was closed, each method that its class has raises ``LayerClosedError``.

    A number of a descriptor that is closed is soon that of another file.
    """
    driver = ctx.open(observed=False)
    driver.put("d/key", b"object")
    for name, end in ENDS.items():
        ctx.step(name)
        for handle in (driver.open_reader("d/key"), driver.open_writer("d/key"), driver.open_writer("d/new")):
            end(handle)
            _expect_refusals(handle)


@scenario("T5", "T3", kills=("a-closed-reader-tells-its-file",), needs=("url", "fork"))
def every_method_of_a_parents_handle_refuses_its_child(ctx: Context) -> None:
    """In a forked child each method of its parent's readers and writers raises ``LayerClosedError``."""
    with Elsewhere(ctx) as there:
        there.run(_refuse_a_child)


def _refuse_a_child(driver: CheckedDriver) -> None:
    driver.put("d/key", b"object")
    handles = driver.open_reader("d/key"), driver.open_writer("d/key"), driver.open_writer("d/new")

    def child(_parent: Connection) -> None:
        for handle in handles:
            _expect_refusals(handle)

    with Forked(child):
        pass
    assert handles[0].read() == b"object"

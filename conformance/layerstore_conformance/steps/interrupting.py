"""Calls that are interrupted at one place after the other, as Ctrl-C may interrupt them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.kit.interruption import Interruption
from layerstore_conformance.steps.calls import MORE, NEW, OLD

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

PLACES: Final[dict[Profile, int]] = {"quick": 4, "default": 24, "full": 1000}
"""Places in each call at which it is interrupted."""


def places(ctx: Context, act: Callable[[], object], most: Mapping[Profile, int] = PLACES) -> list[int]:
    """Count the places in a call at which it may be interrupted, and return some of their numbers.

    Half of them, if there are so many, are right after a change of a file, which the driver does not know to be done.
    The last is always among them: all is done, and the front does not know it.
    """
    counting = Interruption(ctx.driver)
    with counting.lurking():
        act()
    count = most[ctx.profile]
    changed = ctx.sample(counting.changes, count // 2)
    others = [place for place in range(1, counting.places) if place not in changed]
    drawn = sorted({*changed, *ctx.sample(others, count - len(changed)), counting.places})
    ctx.count("interrupted calls", len(drawn))
    return drawn


class Written(NamedTuple):
    """What is written over or behind an object, and not flushed yet."""

    old: bytes
    """The object before; none, if empty."""
    start: int
    """Where it is written."""
    backwards: bool = False
    """Whether its end is written first, so that no write follows the one before it."""

    @property
    def whole(self) -> bytes:
        """The object when it is flushed."""
        return replaced(self.old, self.start, NEW + MORE)

    @property
    def states(self) -> set[bytes]:
        """Before and when it is flushed."""
        return {self.old, self.whole}

    def begun(self, driver: CheckedDriver) -> Writer:
        """Make the object anew, and return a writer that has accepted the bytes."""
        return open_and_write(driver, self.old, self.start, backwards=self.backwards)


WRITTEN = Axis(
    "written",
    {
        "an append": Written(OLD, len(OLD)),
        "a rewrite": Written(OLD, 1000),
        "a rewrite backwards": Written(OLD, 1000, backwards=True),
        "a new object": Written(b"", 0),
    },
)


def flush(writer: Writer) -> None:
    """Flush, and return nothing."""
    writer.flush()


def interrupted_at(
    ctx: Context, written: Written, act: Callable[[Writer], object], most: Mapping[Profile, int] = PLACES
) -> Iterator[tuple[int, Writer, bytes]]:
    """Interrupt a call of a writer; yield each place, the writer, and the object then: as before, or as written."""
    for place in places(ctx, partial(act, written.begun(ctx.driver)), most):
        writer = written.begun(ctx.driver)
        with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
            act(writer)
        shown = shown_to_others(ctx)
        assert shown in written.states, f"interrupted at place {place}, it shows {len(shown)} bytes"
        yield place, writer, shown


def shown_to_others(ctx: Context) -> bytes:
    """Return the object as others see it; empty if there is none."""
    return {each: ctx.read(each) for each in ctx.stored()}.get("d/key", b"")


def open_and_write(
    driver: CheckedDriver, old: bytes = OLD, start: int | None = None, *, backwards: bool = False
) -> Writer:
    """Make an object anew, and return a writer that has accepted bytes from ``start`` on; behind it, by default."""
    driver.delete("d/key")
    if old:
        driver.put("d/key", old)
    writer = driver.open_writer("d/key")
    start = len(old) if start is None else start
    parts = [(start, NEW), (start + len(NEW), MORE)]
    for offset, data in reversed(parts) if backwards else parts:
        writer.seek(offset)
        writer.write(data)
    return writer


def replaced(data: bytes, start: int, part: bytes) -> bytes:
    """Return the bytes with a part of them written over, behind zeros if it begins beyond their end."""
    return data[:start].ljust(start, b"\0") + part + data[start + len(part) :]

"""Interrupted flushes, and what others do before they are repeated: a writer that was fenced meanwhile stays fenced."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from layerstore import DriverError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.scenarios.drivers.interrupted import (
    WRITTEN,
    Written,
    flush,
    interrupted_at,
    shown_to_others,
)

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "faults"


MOST: Final[dict[Profile, int]] = {"quick": 2, "default": 4, "full": 1000}
"""Places in each flush at which it is interrupted: it is tried with every change by others."""


def _put(driver: CheckedDriver) -> None:
    driver.put("d/key", b"of others")


def _move_over(driver: CheckedDriver) -> None:
    driver.put("d/source", b"of others")
    driver.move("d/source", "d/key")


def _write(driver: CheckedDriver) -> None:
    with driver.open_writer("d/key") as writer:
        writer.write(b"of others")


def _delete(driver: CheckedDriver) -> None:
    driver.delete("d/key")


OTHERS = Axis("other", {"a put": _put, "a move over it": _move_over, "a writer": _write, "a delete": _delete})


@scenario(
    *("F1", "F2", "F3", "F4", "E4"),
    kills=("an-interrupted-flush-is-repeated-over-others",),
    axes=(WRITTEN, OTHERS),
)
def a_flush_interrupted_anywhere_is_not_repeated_over_others(
    ctx: Context, written: Written, other: Callable[[CheckedDriver], None]
) -> None:
    """After a flush that was interrupted anywhere, and a change by another handle, the writer publishes nothing.

    Such a writer does not know which version it has published, and must not take another's for it.
    """
    for place, writer, _ in interrupted_at(ctx, written, flush, MOST):
        other(ctx.driver)
        expected = shown_to_others(ctx)
        for _ in range(2):
            with refused(DriverError):
                writer.flush()
        writer.discard()
        ctx.same(shown_to_others(ctx), expected, f"interrupted at place {place}, and fenced")

"""Held up: another process takes long over a change, and calls here wait for it, or go on beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.held import HeldElsewhere
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder

if TYPE_CHECKING:
    from pathlib import Path

    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"
IDS = "processes"

MOMENTS: Final = {"quick": 2, "default": 4, "full": 100}
"""Moments of each change at which it is held."""

AT_ONCE: Final = 0.05
"""Seconds after which a call here is known to wait."""

LONG: Final = 1.3
"""Seconds for which it has to wait then, once; in the full profile each time."""


def _put(driver: CheckedDriver) -> None:
    driver.put("d/key", bytes(MIB))


def _write(driver: CheckedDriver) -> None:
    with driver.open_writer("d/key") as writer:
        writer.write(bytes(MIB))
        writer.flush()
        writer.write(bytes(2 * MIB))


def _move(driver: CheckedDriver) -> None:
    driver.move("d/source", "d/key")


def _delete(driver: CheckedDriver) -> None:
    driver.delete("d")


CHANGES: Final = (_put, _write, _move, _delete)


class _Opening:
    """Opens writers in another thread: of the key that is changed elsewhere, and of one beside it."""

    def __init__(self, driver: CheckedDriver) -> None:
        self._driver = driver
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def waits(self, seconds: float | None) -> bool:
        """Wait until it has ended, for so long at most, and return whether it has not."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            for key in ("d/key", "e/beside"):
                self._driver.open_writer(key).discard()
        except Exception as error:  # noqa: BLE001  (told in the scenario's thread)
            self.failure = error


@scenario(
    *("F1", "T6", "C3"),
    kills=("a-busy-store-is-refused",),
    needs=("shared", "url"),
    profile="default",
)
def a_writer_is_opened_however_long_another_process_takes(ctx: Context) -> None:
    """However long another process takes over a change, at whatever moment of it, no writer is refused because of it.

    A lock that is waited for a second at most is not had while another node stores a large layer on a slow disk.
    """
    patience = [LONG]
    with a_folder() as folder, Elsewhere(ctx) as there:
        for change in CHANGES:
            events = _held(ctx, there, folder, change, 1 << 60, patience)
            for moment in ctx.sample(range(events), MOMENTS[ctx.profile]):
                _held(ctx, there, folder, change, moment, patience)
                ctx.count("moments")


def _held(
    ctx: Context,
    there: Elsewhere,
    folder: Path,
    change: Callable[[CheckedDriver], None],
    moment: int,
    patience: list[float],
) -> int:
    """Open writers while another process is held at a moment of a change; return how many moments it has."""
    ctx.driver.put("d/source", b"source")
    ctx.driver.put("d/key", b"old")
    with HeldElsewhere(there, folder, change, moment) as held:
        opening = _Opening(ctx.driver)
        if opening.waits(AT_ONCE) and patience:
            opening.waits(patience[0] if ctx.profile == "full" else patience.pop())
    opening.waits(None)
    what = f"beside {change.__name__.strip('_')}, held at moment {moment} in another process, writers were refused"
    assert opening.failure is None, f"{what}: {opening.failure!r}"
    return held.events

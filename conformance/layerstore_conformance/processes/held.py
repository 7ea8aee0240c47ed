"""Another process, held in the middle of a call at a moment of it, for as long as a block here lasts."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from layerstore import DriverError
from layerstore_conformance.kit.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType, TracebackType

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.processes.elsewhere import Elsewhere


class HeldElsewhere:
    """Has another process make a call, held at one of its moments while the block lasts. An error there is no matter.

    ::

        with HeldElsewhere(there, folder, _put, 7) as held:
            ...  # the call there is in the middle, or has ended if it has no such moment
    """

    def __init__(self, there: Elsewhere, folder: Path, call: Callable[[CheckedDriver], object], moment: int) -> None:
        """Let ``moment`` moments pass; ``folder`` is empty, and of this alone."""
        self._there, self._folder, self._call, self._moment = there, folder, call, moment
        self.events = 0
        """Moments of the call, when the block has ended."""
        self.is_held = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        for name in ("held", "on"):
            os.mkfifo(self._folder / name)
        self._thread.start()
        self.is_held = (self._folder / "held").read_bytes() == b"held"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_held:
            (self._folder / "on").write_bytes(b"on")
        self._thread.join()
        for name in ("held", "on"):
            (self._folder / name).unlink()

    def _run(self) -> None:
        self.events = self._there.run(_held, self._folder, self._call, self._moment)


def _held(driver: CheckedDriver, folder: Path, call: Callable[[CheckedDriver], object], moment: int) -> int:
    """Make a call, and stand still at a moment of it; return how many moments it has."""
    events, places = 0, Places(driver)

    def ran(frame: FrameType, event: str, called: object) -> None:
        nonlocal events
        if places.have(frame, event, called):
            events += 1
            if events == moment + 1:
                (folder / "held").write_bytes(b"held")
                (folder / "on").read_bytes()

    sys.setprofile(ran)
    try:
        with suppress(DriverError):
            call(driver)
    finally:
        sys.setprofile(None)
        if events <= moment:
            (folder / "held").write_bytes(b"ended")
    return events

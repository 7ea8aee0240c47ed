"""Watch a service at work: count its driver calls, act between two of them, or make one fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, LayerService
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.observed import Call, Counts, ObservedDriver, Observer

if TYPE_CHECKING:
    from layerstore import Verify
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.cutting import Side

When = Callable[[int, Call], bool]
"""Whether this is the call; takes its number since the trap was set, from 0, and the call."""


def watched(ctx: Context, observer: Observer, verify: Verify = "resume") -> LayerService:
    """Open a fresh service on the scenario's store, with an observer beside it."""
    driver = ctx.open()
    return LayerService(CheckedDriver(ObservedDriver(driver, observer), driver.scheme), verify=verify)


class Tally(Counts):
    """Counts, with the bytes read of uploads' data and of blobs by themselves: links and states are small."""

    data_read = 0

    def after(self, call: Call, result: object) -> None:
        """Count a call."""
        super().after(call, result)
        if call.method == "read_at" and call.key.endswith("/data") and isinstance(result, int):
            self.data_read += result

    def forget(self) -> None:
        """Begin anew."""
        self.calls.clear()
        self.bytes_read = self.bytes_written = self.data_read = 0


class Trap:
    """An observer that acts once, at a chosen call after it was set; the call raises what the action raises."""

    def __init__(self, side: Side = "before") -> None:
        """Act ``before`` or ``after`` the call."""
        self.side = side
        self.calls: list[Call] = []
        """Every call since the trap was set."""
        self.sprung = False
        self._when: When | None = None
        self._action: Callable[[], object] = fail

    def set(self, when: When, action: Callable[[], object]) -> None:
        """Begin to count the calls, and act at the first for which ``when`` is true."""
        self.calls = []
        self.sprung = False
        self._when, self._action = when, action

    def before(self, call: Call) -> None:
        """Act, if this is the call."""
        self.calls.append(call)
        if self.side == "before":
            self._act(call)

    def after(self, call: Call, result: object) -> None:
        """Act, if this was the call."""
        del result
        if self.side == "after":
            self._act(call)

    def _act(self, call: Call) -> None:
        if self._when is not None and not self.sprung and self._when(len(self.calls) - 1, call):
            self.sprung = True
            self._action()


def number(wanted: int) -> When:
    """Be true for the call of this number."""
    return lambda at, _: at == wanted


CHANGES = ("put", "write_at", "publish", "move", "delete")
"""Calls that change the backend; between two of them it stays the same."""


def change(wanted: int) -> When:
    """Be true for the call of this number among those that change the backend."""
    seen = -1

    def is_it(_: int, call: Call) -> bool:
        nonlocal seen
        seen += call.method in CHANGES
        return seen == wanted and call.method in CHANGES

    return is_it


def of(method: str, part: str = "") -> When:
    """Be true for a method's call on a key that contains ``part``."""
    return lambda _, call: call.method == method and part in call.key


def fail() -> None:
    """Fail as a backend does.

    Raises:
        BackendUnavailableError: always.
    """
    raise BackendUnavailableError("", "made to fail by the scenario")

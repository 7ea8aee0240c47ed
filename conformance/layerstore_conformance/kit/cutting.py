"""Cut a piece of work off at a chosen driver call, as if the process had died there."""

from __future__ import annotations

from typing import Literal

from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.observed import Call, ObservedDriver

Side = Literal["before", "after"]


class Cut(BaseException):
    """The process is dead: raised at the call where it was cut off, and at every later one."""


class CutObserver:
    """An observer that lets some calls pass, and cuts off before or after the next one."""

    def __init__(self, passing: int, side: Side) -> None:
        """Let ``passing`` calls pass."""
        self.passing = passing
        self.side = side
        self.calls: list[Call] = []
        """Every call that began, the one cut off last."""
        self.dead = False

    def before(self, call: Call) -> None:
        """Cut off here, or be dead already."""
        if self.dead:
            raise Cut
        self.calls.append(call)
        if self.side == "before":
            self._count()

    def after(self, call: Call, result: object) -> None:
        """Cut off here."""
        del call, result
        if self.side == "after":
            self._count()

    def _count(self) -> None:
        if len(self.calls) > self.passing:
            self.dead = True
            raise Cut


class PiecemealDriver(ObservedDriver):
    """Any driver that deletes a prefix key by key, as clause D4 allows, so that it can be cut off in between."""

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        for below in [*keys_below(CheckedDriver(self.inner), key), key]:
            super().delete(below)

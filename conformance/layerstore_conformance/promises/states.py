"""What there must be from some moment of a life on, and what lies around the driver that lives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from layerstore.checked import CheckedDriver

State = Mapping[str, bytes | None]
"""The bytes of every object; None of one that may be anything."""


class Around(NamedTuple):
    """What is around a driver."""

    top: Path
    """The directory that is traced. The store is in it, or is it."""
    open: Callable[[], CheckedDriver]
    """Opens another handle on the store, without planted defects."""


Lived = Callable[[CheckedDriver, Around], Iterator[State]]
"""Calls a driver, and yields after each call what there must be from now on."""


def without(state: State, *keys: str) -> dict[str, bytes | None]:
    """Return a state in which some objects are gone."""
    return {key: data for key, data in state.items() if key not in keys}

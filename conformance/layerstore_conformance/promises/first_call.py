"""The first call of a store's life, in a process of its own that strace watches: ``python -m`` this, and a request."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.defect import defect_named, planted_before
from layerstore_conformance.promises.traced import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver


class FirstCall(NamedTuple):
    """What is to be done: it is pickled."""

    opens: str | Callable[[], Driver]
    """The URL of the store, or what opens it."""
    call: Callable[[CheckedDriver], object]
    """A function of a module."""
    planted: tuple[str, ...]
    """The planted defects."""
    marks: Path
    """A file that is not written."""


def make(what: FirstCall) -> None:
    """Make the call."""
    with planted_before(opened(what.opens), map(defect_named, what.planted)) as driver:
        what.call(CheckedDriver(driver))


if __name__ == "__main__":
    make(pickle.loads(Path(sys.argv[1]).read_bytes()))  # noqa: S301  (of the process that has started this one)

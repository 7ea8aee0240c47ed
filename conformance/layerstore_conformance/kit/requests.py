"""The moments between two requests of a driver, for drivers that say when they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Requests:
    """What happens between the requests of a driver: nothing, unless somebody asks for it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._act: Callable[[], None] | None = None

    def passed(self) -> None:
        """Say that a request was answered, and that the next one was not sent yet."""
        if self._act is not None:
            self._act()

    @contextmanager
    def calling(self, act: Callable[[], None]) -> Iterator[None]:
        """Call ``act`` between any two requests, for the block: the ``between_requests`` of a harness."""
        before, self._act = self._act, act
        try:
            yield
        finally:
            self._act = before


PLANTED = Requests()
"""Those of planted defects, which work on any driver."""

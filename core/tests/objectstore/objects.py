"""A service in memory that writes down what it is asked, and that can be interrupted between any two requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from layerstore.errors import BackendUnavailableError
from layerstore.objectstore import Limits, ObjectStoreDriver
from layerstore.objectstore.memory import MemoryService

P = ParamSpec("P")
T = TypeVar("T")

LEAST = 16
"""Bytes of a part at least, so that a few bytes are several pieces."""

CALLS = ("get", "put", "delete", "delete_many", "list", "compose")


class Asked(MemoryService):
    """Writes down each request, calls ``before`` it and ``after`` it; either may raise."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Write down nothing yet."""
        super().__init__(limits or Limits(least_part=LEAST))
        self.log: list[str] = []
        self.before: Callable[[str, str], object] = lambda call, name: None
        self.after: Callable[[str, str], object] = lambda call, name: None

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401  (as object.__getattribute__)
        """Wrap the calls."""
        found = super().__getattribute__(name)
        return self._asked(name, found) if name in CALLS else found

    def _asked(self, call: str, act: Callable[P, T]) -> Callable[P, T]:
        def ask(*args: P.args, **kwargs: P.kwargs) -> T:
            name = str(args[0])
            self.log.append(call)
            self.before(call, name)
            answer = act(*args, **kwargs)
            self.after(call, name)
            return answer

        return ask

    def asked(self, act: Callable[[], object]) -> list[str]:
        """Return the requests that something makes."""
        self.log.clear()
        act()
        return list(self.log)

    def at(self, number: int, act: Callable[[str, str], object]) -> Callable[[str, str], object]:
        """Return a hook that does something at the request of this number from now on, and then no more."""
        left = [number]

        def hook(call: str, name: str) -> None:
            left[0] -= 1
            if left[0] == -1:
                act(call, name)

        return hook


class Objects(ObjectStoreDriver):
    """A store in a service; each is a handle of its own."""

    def __init__(self, service: MemoryService, prefix: str = "", **options: int) -> None:
        """Open a store whose service is known to keep to conditions."""
        super().__init__(service, prefix, piece=options.pop("piece", LEAST), **options)
        self._store._checked = True

    @classmethod
    def open(cls, url: object, **options: object) -> Objects:
        """Open a store of its own."""
        return cls(MemoryService(Limits(least_part=LEAST)))


def lose(call: str, name: str) -> None:
    """Lose the request, or the answer to it."""
    raise BackendUnavailableError(name, f"{call} was lost")


def write(driver: ObjectStoreDriver, key: str, data: bytes) -> None:
    """Append and flush."""
    with driver.open_writer(key) as writer:
        writer.write(data)


def read(driver: ObjectStoreDriver, key: str) -> bytes:
    """Read an object whole."""
    with driver.open_reader(key) as reader:
        return reader.readall()

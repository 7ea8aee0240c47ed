"""The whole suite, on the toolkit for object stores and a service in memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar
from unittest.mock import patch

import pytest

from layerstore.driver import Capabilities
from layerstore.objectstore import Limits, ObjectStoreDriver, move
from layerstore.objectstore.memory import MemoryService
from layerstore_conformance.harness import Harness, How, changed
from layerstore_conformance.kit.litter import HARMLESS, TOLD, file_of
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_conformance.testing import Requests

P = ParamSpec("P")
T = TypeVar("T")

REQUESTS = Requests()


class Told(MemoryService):
    """Says when a request was answered."""


def _telling(call: Callable[P, T]) -> Callable[P, T]:
    def ask(*args: P.args, **kwargs: P.kwargs) -> T:
        answer = call(*args, **kwargs)
        REQUESTS.passed()
        return answer

    return ask


for _name in ("get", "put", "delete", "delete_many", "list", "compose"):
    setattr(Told, _name, _telling(getattr(MemoryService, _name)))

SERVICE = Told(Limits(least_part=1 << 16, page=20))
"""Small parts and pages, so that the suite's objects and listings have several."""

PREFIX = "conformance/"


class MemoryObjects(ObjectStoreDriver):
    """Stores in the one service; nothing of it is shared with another process, or outlives this one."""

    def __init__(self) -> None:
        """Open the store."""
        super().__init__(SERVICE, PREFIX, piece=1 << 19)
        self.capabilities = Capabilities(nested_keys=True, shared=False, durable=False)

    @classmethod
    def open(cls, url: object, **options: object) -> "MemoryObjects":
        """Open the store, whatever the URL."""
        return cls()


def tamper(key: str, how: How) -> None:
    """Change an object as another program does, which takes a head for the object."""
    data = changed(b"" if how == "make" else MemoryObjects().open_reader(key).readall(), how)
    kept = SERVICE.objects[PREFIX + key].metadata if how in {"append", "truncate", "replace-quietly"} else {}
    if data is None:
        SERVICE.delete(PREFIX + key)
    else:
        SERVICE.put(PREFIX + key, data, kept)


@contextmanager
def foreign(prefix: str) -> Iterator[list[str]]:
    """Put objects below a prefix that no key can name."""
    objects = [f"{PREFIX}{prefix}/{file_of(name)}" for name in (*TOLD, *HARMLESS)]
    for name in objects:
        SERVICE.put(name, b"of no key", {})
    try:
        yield [f"{prefix}/{name}" for name in TOLD]
        assert set(objects) <= set(SERVICE.objects), "these were taken away"
    finally:
        SERVICE.delete_many(objects)


@pytest.fixture(scope="session")
def layerstore_harness() -> Iterator[Harness]:
    """Return a store in this process, which every scenario leaves as empty as it was."""
    with patch.object(move, "PAUSE", 0.001):  # a move that was interrupted is waited for, in vain
        yield Harness(factory=MemoryObjects, tamper=tamper, foreign=foreign, between_requests=REQUESTS.calling)
    assert list(SERVICE.objects) == []

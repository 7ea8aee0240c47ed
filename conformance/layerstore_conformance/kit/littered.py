"""A driver with foreign things beside its objects, for backends in which no other program can put any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from layerstore.driver import Driver, Foreign, Reader, Scanned, Stat, Writer
from layerstore.errors import AccessDeniedError
from layerstore_conformance.kit.litter import HARMLESS, TOLD
from layerstore_conformance.kit.passing import PassingDriver, PassingWriter

THINGS: Final = {"a-link": "a symlink"} | dict.fromkeys(TOLD, "what no key names") | dict.fromkeys(HARMLESS, "harmless")
"""Names of things, and of what kind they are."""


class Littered(PassingDriver):
    """A driver whose backend holds things that are no objects, each of a name and of a kind."""

    def __init__(self, inner: Driver, things: Mapping[str, str]) -> None:
        """Have ``things`` lie beside what ``inner`` stores."""
        super().__init__(inner)
        self.things = things

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open it, unless a thing is in the way."""
        self.refuse(key)
        return super().open_reader(key, offset)

    def open_writer(self, key: str) -> Writer:
        """Open it, unless a thing is in the way; later one may be."""
        self.refuse(key)
        return _Refused(self.inner.open_writer(key), self)

    def put(self, key: str, data: bytes) -> None:
        """Put, unless a thing is in the way."""
        self.refuse(key)
        super().put(key, data)

    def stat(self, key: str) -> Stat:
        """Look, unless a thing is in the way."""
        self.refuse(key)
        return super().stat(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, unless a thing is in the way."""
        self.refuse(source)
        self.refuse(target)
        super().move(source, target, version=version)

    def refuse(self, key: str) -> None:
        """Refuse a key that is, or is below, a thing.

        Raises:
            AccessDeniedError: it is.
        """
        for name in self.things:
            if f"{key}/".startswith(f"{name}/"):
                raise AccessDeniedError(key, f"{self.things[name]} is in the way")

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Yield what is listed, and then what is foreign there, or in a directory that holds nothing else."""
        yield from (listed := list(self.inner.scan(prefix)))
        told = set()
        for name, what in self.things.items():
            if f"{prefix}/".startswith(f"{name}/"):
                yield Foreign(name, what)
            elif name.startswith(below := f"{prefix}/" if prefix else ""):
                child, slash, _ = name.removeprefix(below).partition("/")
                if f"{below}{child}/" not in listed and child not in told:
                    told.add(child)
                    yield Foreign(below + child + slash, "a directory that holds no object" if slash else what)


class _Refused(PassingWriter):
    def __init__(self, inner: Writer, driver: Littered) -> None:
        super().__init__(inner)
        self._driver = driver

    def publish(self) -> str:
        self._driver.refuse(self.key)
        return super().publish()


def littering(things: dict[str, str]) -> Callable[[str], AbstractContextManager[list[str]]]:
    """Return what puts one of each below a prefix, and takes it away: the ``foreign`` of a harness."""

    @contextmanager
    def foreign(prefix: str) -> Iterator[list[str]]:
        there = {f"{prefix}/{name}": what for name, what in THINGS.items()}
        things.update(there)
        try:
            yield [name for name, what in there.items() if what != "harmless"]
        finally:
            for name in there:
                things.pop(name)

    return foreign

"""Changes of a store in memory that no other program can make: the proof makes them, to find planted defects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from layerstore import Driver, Foreign, open_driver
from layerstore_conformance.harness import How, changed
from layerstore_conformance.kit.passing import PassingDriver


def tampering(url: str) -> Callable[[str, How], None]:
    """Return what changes the objects of a store in memory; quietly means that the time stays."""

    def tamper(key: str, how: How) -> None:
        with closing(open_driver(url)) as driver:
            if how == "make":
                driver.put(key, changed(b"", how) or b"")
                return
            store: Any = driver.inner._store  # type: ignore[attr-defined]  # the driver in memory has one
            before = store.objects[key]
            data = changed(driver.get(key, before.size), how)
            if data is None or how.startswith("remake"):
                driver.delete(key)
            if data is not None:
                driver.put(key, data)
            if how == "replace-quietly":
                store.objects[key] = replace(store.objects[key], modified=before.modified)

    return tamper


class Littered(PassingDriver):
    """A driver whose backend holds things that are no objects: names, and what each is."""

    def __init__(self, inner: Driver, things: dict[str, str]) -> None:
        """Have ``things`` lie beside what ``inner`` stores."""
        super().__init__(inner)
        self.things = things

    def scan(self, prefix: str) -> Iterator[str | Foreign]:
        """Yield what is listed, and then what is foreign there, or in a directory that holds nothing else."""
        listed = list(self.inner.list(prefix))
        yield from listed
        told = set()
        for name, what in self.things.items():
            if f"{prefix}/".startswith(f"{name}/"):
                yield Foreign(name, what)
            elif name.startswith(below := f"{prefix}/" if prefix else ""):
                child, slash, _ = name.removeprefix(below).partition("/")
                if f"{below}{child}/" not in listed and child not in told:
                    told.add(child)
                    yield Foreign(below + child, "a directory that holds no object" if slash else what)


THINGS = {"a-link": "a symlink", "my repo": "a directory whose name is no key", ".hidden": "a directory"}


def littering(things: dict[str, str]) -> Callable[[str], Any]:
    """Return what puts one of each below a prefix, and takes it away."""

    @contextmanager
    def foreign(prefix: str) -> Iterator[list[str]]:
        there = {f"{prefix}/{name}": what for name, what in THINGS.items()}
        things.update(there)
        try:
            yield list(there)
        finally:
            for name in there:
                things.pop(name)

    return foreign

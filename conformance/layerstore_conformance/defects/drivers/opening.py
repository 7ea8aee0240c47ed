"""Defects of opening: a URL is read as something else, or a driver changes the store merely by being opened."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from weakref import WeakSet, ref

from layerstore import registry, url
from layerstore.checked import CheckedDriver
from layerstore.driver import Driver, Stat, Writer
from layerstore.errors import BackendUnavailableError, PathNotFoundError, UnknownOptionError
from layerstore.url import StoreURL
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.passing import PassingDriver


@planted_in_core("O1")
def unknown_options_ignored() -> Iterator[None]:
    """An option that the driver does not have is ignored."""
    real = registry._merged

    def merged(url: StoreURL, options: Mapping[str, object], known: Mapping[str, str]) -> dict[str, object]:
        in_url = {name: value for name, value in url.options.items() if name in known}
        return real(replace(url, options=in_url), {name: options[name] for name in options if name in known}, known)

    with patch.object(registry, "_merged", merged):
        yield


@planted_in_core("O1")
def known_options_not_told() -> Iterator[None]:
    """The error of an unknown option does not list the known ones."""
    real = UnknownOptionError.__init__

    def init(self: UnknownOptionError, scheme: str, option: str, known: tuple[str, ...]) -> None:
        del known
        real(self, scheme, option, ())

    with patch.object(UnknownOptionError, "__init__", init):
        yield


@planted_in_core("O1")
def options_beside_the_url_dropped() -> Iterator[None]:
    """An option given as an argument does not reach the driver."""
    real = registry._merged

    def merged(url: StoreURL, options: Mapping[str, object], known: Mapping[str, str]) -> dict[str, object]:
        return {name: value for name, value in real(url, options, known).items() if name in url.options}

    with patch.object(registry, "_merged", merged):
        yield


@planted_in_core("O1")
def host_taken_for_a_path() -> Iterator[None]:
    """The host of a URL becomes the first segment of its path."""
    real = url._split

    def split(text: str) -> tuple[str, str | None, str, dict[str, str]]:
        scheme, host, path, options = real(text)
        if scheme != "listening":  # the scenario's own store is opened by its URL, whatever is planted
            return scheme, host, path, options
        return scheme, None, f"{host or ''}{path}", options

    with patch.object(url, "_split", split):
        yield


@planted_in_core("O1", "O2")
def fragments_cut_off() -> Iterator[None]:
    """A URL is read up to its fragment, and what follows is ignored."""
    real = url._split
    with patch.object(url, "_split", lambda text: real(text.partition("#")[0])):
        yield


@planted("O2", "S2")
class OpeningTheStoreChangesIt(DefectiveDriver):
    """A driver that is opened repeats the last put, as if it had been cut off: the object gets a new version."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Do the last put again, if it was the last thing that happened to the object."""
        super().__init__(inner, memory)
        key, data, version = memory.get("last", ("", b"", ""))
        with suppress(PathNotFoundError):
            if key and inner.stat(key).version == version:
                self.put(key, data)

    def put(self, key: str, data: bytes) -> None:
        """Put, and keep a record of it."""
        self.inner.put(key, data)
        self.memory["last"] = key, data, self.inner.stat(key).version


@planted("O2")
class OpeningTheStoreCreates(DefectiveDriver):
    """A driver that is opened puts an object at the top of the store, which stays until the driver is closed."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Put a sign that the store is in use."""
        super().__init__(inner, memory)
        self._sign = f"in-use-{next(memory.setdefault('numbers', itertools.count()))}"
        inner.put(self._sign, b"")

    def close(self) -> None:
        """Take the sign away again."""
        self.inner.delete(self._sign)
        self.inner.close()


@planted("O2", "E2")
class OpeningMakesADirectory(DefectiveDriver):
    """A driver that is opened tries whether it may write, and so makes the store."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Put something, and delete it."""
        super().__init__(inner, memory)
        inner.put("tried", b"")
        inner.delete("tried")


@planted_in_core("O1", "O2")
def hosts_ignored() -> Iterator[None]:
    """A URL with a host is read as if it had none."""
    real = url._split

    def split(text: str) -> tuple[str, str | None, str, dict[str, str]]:
        scheme, _, path, options = real(text)
        return scheme, None, path, options

    with patch.object(url, "_split", split):
        yield


@planted_in_core("O2")
def a_slash_leads_inside() -> Iterator[None]:
    """A URL that ends in a slash or a dot names another store than the same URL without, in a directory in it."""
    real = url._split

    def split(text: str) -> tuple[str, str | None, str, dict[str, str]]:
        scheme, host, path, options = real(text)
        return scheme, host, f"{path}/default" if path.endswith(("/", "/.")) else path, options

    with patch.object(url, "_split", split):
        yield


@planted("O1", "C3")
class StoreFollowsTheWorkingDirectory(DefectiveDriver):
    """Where the store lies depends on the working directory, and that may change."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._opened_in = os.getcwd()

    def put(self, key: str, data: bytes) -> None:
        """Put, below another key if the directory is another one."""
        self.inner.put(key if os.getcwd() == self._opened_in else f"elsewhere/{key}", data)


@planted_in_core("O1")
def paths_are_not_decoded() -> Iterator[None]:
    """What is percent-encoded in a URL's path stays so."""
    with patch.object(url, "_decoded", lambda text: text):
        yield


@planted_in_core("C5", "O2")
def paths_name_no_store() -> Iterator[None]:
    """A relative path in a URL is ignored."""
    real = registry.Registry.open

    def opened(self: registry.Registry, text: str | StoreURL, /, **options: Any) -> CheckedDriver:  # noqa: ANN401  (as there)
        parsed = StoreURL.parse(text) if isinstance(text, str) else text
        ignored = parsed.host is None and not parsed.path.startswith("/")
        return real(self, replace(parsed, path="") if ignored else parsed, **options)

    with patch.object(registry.Registry, "open", opened):
        yield


class _OfItsOwn(PassingDriver):
    """Knows what was put by those that share its keys."""

    def __init__(self, inner: Driver, keys: set[str]) -> None:
        super().__init__(inner)
        self._keys = keys

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        self._keys.add(key)

    def stat(self, key: str) -> Stat:
        if key not in self._keys:
            raise PathNotFoundError(key)
        return super().stat(key)


def _made_anew() -> set[str]:
    return set()


@planted_in_core("T1", "O2")
def a_named_store_is_looked_for_and_then_made() -> Iterator[None]:
    """A store that is not known yet is made, though another thread may have made it meanwhile."""
    real, stores = registry.Registry.open, dict[str, set[str]]()

    def opened(self: registry.Registry, url: str | StoreURL, /, **options: Any) -> CheckedDriver:  # noqa: ANN401  (as there)
        driver = real(self, url, **options)
        if str(url) not in stores:
            stores[str(url)] = _made_anew()
        return CheckedDriver(_OfItsOwn(driver, stores[str(url)]), driver.scheme)

    with patch.object(registry.Registry, "open", opened):
        yield


class _BoundWriter(DefectiveWriter):
    """Works by its driver, which it does not hold."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        del self.driver
        self._bound_to = ref(driver)

    def write_at(self, offset: int, data: memoryview) -> None:
        if self._bound_to() is None:
            raise BackendUnavailableError(self.key, "its connection was closed")
        super().write_at(offset, data)


@planted("T2", "T4")
class HandlesEndWithTheirDriver(WriterDefect):
    """A driver that is collected closes the connection that its writers use."""

    writer = _BoundWriter


@planted("C5", "O1")
class NamedStoreDiesWithItsLastDriver(DefectiveDriver):
    """What is stored is forgotten when the last driver of a process is collected."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Begin anew, if there is no other driver."""
        super().__init__(inner, memory)
        drivers: WeakSet[Driver] = memory.setdefault("drivers", WeakSet())
        for key in () if drivers else memory.pop("stored", ()):
            inner.delete(key)
        drivers.add(self)

    def put(self, key: str, data: bytes) -> None:
        """Put, for as long as there are drivers."""
        self.memory.setdefault("stored", set()).add(key)
        self.inner.put(key, data)

"""Defects of declarations: a driver does not have what it declares, or is changed merely by being opened."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, cast
from unittest.mock import patch

from layerstore import registry, url
from layerstore.driver import Driver, Reader, Stat, Writer
from layerstore.errors import FencedError, PathNotFoundError, UnknownOptionError, UnsupportedOperationError
from layerstore.url import StoreURL
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core


@planted("C1")
class ContractNotSpelledOut(DefectiveDriver):
    """The driver names its contract by the major version alone."""

    contract_version: ClassVar[str] = "1"


@planted_in_core("C1")
def contract_unchecked() -> Iterator[None]:
    """A driver is opened though it was written for another contract."""
    with patch.object(registry, "_check_contract", lambda claim, driver: None):
        yield


@planted("C1")
class CapabilitiesNotYesOrNo(DefectiveDriver):
    """``durable`` is declared as the text of a setting, whose "no" counts as true."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Declare a text."""
        super().__init__(inner, memory)
        told = "yes" if inner.capabilities.durable else "no"
        self.capabilities = replace(inner.capabilities, durable=cast("bool", told))


@planted("C1")
class CapabilitiesChange(DefectiveDriver):
    """A driver opened on a store with objects declares other capabilities than one opened on an empty store."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Declare what the state of the store suggests."""
        super().__init__(inner, memory)
        durable = inner.capabilities.durable != memory.get("stored", False)
        self.capabilities = replace(inner.capabilities, durable=durable)

    def put(self, key: str, data: bytes) -> None:
        """Put, and keep in mind that something is stored."""
        self.inner.put(key, data)
        self.memory["stored"] = True


@planted("C2")
class NestedKeysDeclaredInVain(DefectiveDriver):
    """Nested keys are declared, and a key below or above another is refused."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Declare nested keys."""
        super().__init__(inner, memory)
        self.capabilities = replace(inner.capabilities, nested_keys=True)

    def open_writer(self, key: str) -> Writer:
        """Open, unless another key is in the way."""
        self._refuse_obstacles(key)
        return self.inner.open_writer(key)

    def put(self, key: str, data: bytes) -> None:
        """Put, unless another key is in the way."""
        self._refuse_obstacles(key)
        self.inner.put(key, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, unless another key is in the way."""
        self._refuse_obstacles(target)
        self.inner.move(source, target, version=version)

    def _refuse_obstacles(self, key: str) -> None:
        if _object_above(self.inner, key) or next(self.inner.list(key), None):
            raise UnsupportedOperationError(key, "another key is in the way")


def _object_above(driver: Driver, key: str) -> str:
    """Return the longest key of an object that this key lies below; empty if there is none."""
    while key := key.rpartition("/")[0]:
        if _exists(driver, key):
            return key
    return ""


def _exists(driver: Driver, key: str) -> bool:
    try:
        driver.stat(key)
    except PathNotFoundError:
        return False
    return True


@planted("C2", "K3")
class BelowAnObjectIsTheObject(DefectiveDriver):
    """A missing key below an object's key is taken for that object."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Read the object above."""
        return self.inner.open_reader(self._nearest(key), offset)

    def open_writer(self, key: str) -> Writer:
        """Write to the object above."""
        return self.inner.open_writer(self._nearest(key))

    def stat(self, key: str) -> Stat:
        """Tell of the object above."""
        return self.inner.stat(self._nearest(key))

    def _nearest(self, key: str) -> str:
        return key if _exists(self.inner, key) else _object_above(self.inner, key) or key


@planted("C2")
class NestedKeysDeniedInVain(DefectiveDriver):
    """Nested keys are not declared, and a key below or above another is accepted all the same.

    An object ``a`` is kept as ``a/+``, so that this is so in front of every driver.
    """

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Declare no nested keys."""
        super().__init__(inner, memory)
        self.capabilities = replace(inner.capabilities, nested_keys=False)

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open what lies in the key's own directory."""
        return self.inner.open_reader(f"{key}/+", offset)

    def open_writer(self, key: str) -> Writer:
        """Open what lies in the key's own directory."""
        return self.inner.open_writer(f"{key}/+")

    def put(self, key: str, data: bytes) -> None:
        """Put it into the key's own directory."""
        self.inner.put(f"{key}/+", data)

    def stat(self, key: str) -> Stat:
        """Look into the key's own directory."""
        return self.inner.stat(f"{key}/+")

    def list(self, prefix: str) -> Iterator[str]:
        """Tell objects and prefixes, of which both are directories here, apart."""
        found = []
        for child in self.inner.list(prefix):
            below = list(self.inner.list(child.rstrip("/"))) if child.endswith("/") else []
            found += [child.rstrip("/")] if f"{child}+" in below else []
            found += [child] if [each for each in below if each != f"{child}+"] else []
        return iter(sorted(found))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move from directory to directory."""
        self.inner.move(f"{source}/+", f"{target}/+", version=version)


@planted("E4", "M2", "M4")
class FailedMoveLosesItsSource(DefectiveDriver):
    """A move that is refused has removed its source all the same."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and if refused have deleted the source."""
        try:
            self.inner.move(source, target, version=version)
        except (FencedError, UnsupportedOperationError):
            self.inner.delete(source)
            raise


@planted("E4", "C2")
class FailedPutLeavesATrace(DefectiveDriver):
    """A put that is refused leaves behind the temporary object that it had written first."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and if refused leave the bytes beside the key that is in the way."""
        try:
            self.inner.put(key, data)
        except UnsupportedOperationError:
            self.inner.put(f"{_object_above(self.inner, key) or key}.partial", data)
            raise


@planted("C5")
class EveryHandleItsOwnStore(DefectiveDriver):
    """Every handle has a store of its own, which no other handle sees."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Number the store."""
        super().__init__(inner, memory)
        self._number = next(memory.setdefault("numbers", itertools.count()))

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open in the handle's own store."""
        return self.inner.open_reader(self._own(key), offset)

    def open_writer(self, key: str) -> Writer:
        """Open in the handle's own store."""
        return self.inner.open_writer(self._own(key))

    def put(self, key: str, data: bytes) -> None:
        """Put into the handle's own store."""
        self.inner.put(self._own(key), data)

    def stat(self, key: str) -> Stat:
        """Look into the handle's own store."""
        return self.inner.stat(self._own(key))

    def list(self, prefix: str) -> Iterator[str]:
        """List the handle's own store."""
        return (child.replace(f"/of-{self._number}/", "/", 1) for child in self.inner.list(self._own(prefix)))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move within the handle's own store."""
        self.inner.move(self._own(source), self._own(target), version=version)

    def delete(self, key: str) -> None:
        """Delete from the handle's own store."""
        self.inner.delete(self._own(key))

    def _own(self, key: str) -> str:
        """Put the store below the first two segments: what lies below those is taken away after every scenario."""
        above, below = key.split("/")[:2], key.split("/")[2:]
        return "/".join([*above, f"of-{self._number}", *below]) if len(above) == 2 else key


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
        if key and _exists(inner, key) and inner.stat(key).version == version:
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

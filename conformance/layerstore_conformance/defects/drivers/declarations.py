"""Defects of declarations: a driver does not have what it declares, or is changed merely by being opened."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, cast
from unittest.mock import patch

from layerstore import registry
from layerstore.driver import CONTRACT_VERSION, Driver, Reader, Stat, Writer
from layerstore.errors import FencedError, UnsupportedOperationError
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.keys import is_stored
from layerstore_conformance.kit.passing import PassingWriter


@planted("C1")
class ContractNotSpelledOut(DefectiveDriver):
    """The driver names its contract by the major version alone."""

    contract_version: ClassVar[str] = "1"


@planted_in_core("C1")
def contract_unchecked() -> Iterator[None]:
    """A driver is opened though it was written for another contract."""
    with patch.object(registry, "_check_contract", lambda claim, driver: None):
        yield


@planted_in_core("C1")
def contract_by_first_letter() -> Iterator[None]:
    """A driver is opened if its contract begins with the letter of ours."""
    with patch.object(registry, "_VERSION", re.compile(rf"({CONTRACT_VERSION[0]})[0-9]*\.[0-9]+")):
        yield


@planted_in_core("C1")
def minor_contracts_refused() -> Iterator[None]:
    """A driver is refused if its contract is a later minor version."""
    with patch.object(registry, "_VERSION", re.compile(r"(1)\.0")):
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


@planted("C2", "E4")
class AMoveFencesBeforeItIsRefused(DefectiveDriver):
    """A move to a place where no key can be has fenced the source's writer when it is refused."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Fence in vain, and be refused."""
        if _object_above(self.inner, target) or next(self.inner.list(target), None):
            self.inner.open_writer(source).discard()
        self.inner.move(source, target, version=version)


@planted("F2")
class APutFencesBeforeItIsRefused(DefectiveDriver):
    """A put where no key can be has fenced the key's writer when it is refused."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that is fenced so."""
        writer = _Fenceable(self.inner.open_writer(key))
        self.memory.setdefault("writers", {})[key] = writer
        return writer

    def put(self, key: str, data: bytes) -> None:
        """Fence, and be refused."""
        if _object_above(self.inner, key) or next(self.inner.list(key), None):
            writer = self.memory.get("writers", {}).pop(key, None)
            if writer is not None:
                writer.fenced = True
        self.inner.put(key, data)


class _Fenceable(PassingWriter):
    fenced = False

    def publish(self) -> str:
        if self.fenced:
            raise FencedError(self.key)
        return super().publish()


def _object_above(driver: Driver, key: str) -> str:
    """Return the longest key of an object that this key lies below; empty if there is none."""
    while key := key.rpartition("/")[0]:
        if is_stored(driver, key):
            return key
    return ""


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
        return key if is_stored(self.inner, key) else _object_above(self.inner, key) or key


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

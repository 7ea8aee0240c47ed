"""Defects about foreign things: drivers and tools that overlook them or delete them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from layerstore import checked, keys
from layerstore.checked import CheckedDriver
from layerstore.contents.survey import Finding
from layerstore.driver import Foreign, Scanned, Stat, Unpublished, Writer, moment
from layerstore.errors import AccessDeniedError
from layerstore.keys import HARMLESS, is_harmless
from layerstore.upkeep import collect, purge, scrub
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.passing import PassingWriter


@planted_in_core("D5")
def harmless_files_deleted() -> Iterator[None]:
    """A directory with nothing but harmless files in it counts as empty, and is removed with them."""
    rmdir = os.rmdir

    def clear_and_remove(name: str, *, dir_fd: int | None = None) -> None:
        directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=dir_fd)
        try:
            names = os.listdir(directory)
            for each in names if all(map(is_harmless, names)) else ():
                os.unlink(each, dir_fd=directory)
        finally:
            os.close(directory)
        rmdir(name, dir_fd=dir_fd)

    with patch.object(os, "rmdir", clear_and_remove):
        yield


@planted_in_core("D5", "K1")
def paths_of_any_length_are_its_own() -> Iterator[None]:
    """Whatever has the characters of keys is taken for the driver's own, however long its path is."""
    with patch.object(keys, "MAX_KEY", 1 << 20), patch.object(keys, "MAX_SEGMENTS", 1 << 20):
        yield


@planted("L6")
class ForeignThingsPassedOver(DefectiveDriver):
    """A scan yields the same as a listing."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """List."""
        return self.inner.list(prefix)


@planted("L6")
class ObjectsAreNotScanned(DefectiveDriver):
    """A scan yields foreign things, and no object."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan for what is foreign."""
        return (child for child in self.inner.scan(prefix) if isinstance(child, Foreign))


@planted("L6", "L5")
class ForeignThingsListed(DefectiveDriver):
    """A listing yields foreign things, as if they were objects."""

    def list(self, prefix: str) -> Iterator[str]:
        """Scan, and tell names."""
        return iter(sorted(child if isinstance(child, str) else child.name for child in self.inner.scan(prefix)))


@planted("L6")
class ForeignDirectoryPassedOver(DefectiveDriver):
    """A scan does not yield a directory that holds foreign things and no object."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, and look into what is found."""
        return (child for child in self.inner.scan(prefix) if isinstance(child, str) or not self._holds(child))

    def _holds(self, thing: Foreign | Unpublished) -> bool:
        below = (child.name for child in self.inner.scan(thing.name) if isinstance(child, Foreign))
        return any(name.startswith(f"{thing.name}/") for name in below)


@planted("L6")
class ForeignPlacePassedOver(DefectiveDriver):
    """A scan of a prefix yields nothing if a foreign thing has its name."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan for what is below."""
        for child in self.inner.scan(prefix):
            if isinstance(child, str) or not f"{prefix}/".startswith(f"{child.name}/"):
                yield child


@planted("L6")
class ForeignPlaceFarAbovePassedOver(DefectiveDriver):
    """A scan yields a foreign thing in the place of its prefix, or just above it, and none above that."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, without what is far above."""
        for child in self.inner.scan(prefix):
            if isinstance(child, str) or prefix.removeprefix(child.name).count("/") < 2:
                yield child


@planted("L6")
class HiddenThingsPassedOver(DefectiveDriver):
    """A scan takes every hidden name for one of the driver's own."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, without hidden names."""
        for child in self.inner.scan(prefix):
            if isinstance(child, str) or not child.name.rstrip("/").rpartition("/")[2].startswith("."):
                yield child


@planted("L6")
class DirectoriesInThePlaceOfLinksPassedOver(DefectiveDriver):
    """A directory in the place of a registry's link is passed over if there is nothing in it."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, without such directories."""
        for child in self.inner.scan(prefix):
            if isinstance(child, str) or not child.name.endswith("/link/"):
                yield child


class _Renaming(DefectiveDriver):
    """Tells of foreign things by other names."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, and rename."""
        for child in self.inner.scan(prefix):
            yield Foreign(self.renamed(child.name), child.what) if isinstance(child, Foreign) else child

    def renamed(self, name: str) -> str:
        """Return the other name."""
        raise NotImplementedError


@planted("L6")
class ForeignDirectoriesWithoutSlash(_Renaming):
    """The names of foreign directories end in no slash."""

    def renamed(self, name: str) -> str:
        """Return it without."""
        return name.rstrip("/")


@planted("L6")
class ForeignNamesAreNoText(_Renaming):
    """The names of foreign things hold lone surrogates, which cannot be printed, for every byte beyond ASCII."""

    def renamed(self, name: str) -> str:
        """Return it so."""
        return name.encode().decode("ascii", "surrogateescape")


@planted_in_core("L6")
def harmless_by_its_beginning() -> Iterator[None]:
    """A name that begins as a harmless one does is passed over."""
    with patch.object(checked, "is_harmless", lambda name: HARMLESS.match(name.rstrip("/").rpartition("/")[2])):
        yield


@planted_in_core("L6")
def harmless_things_are_told_of() -> Iterator[None]:
    """What file managers and file servers leave is told of as foreign: no collection is done beside it."""
    with patch.object(checked, "is_harmless", lambda _: False):
        yield


class _Replacing(PassingWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except AccessDeniedError:
            return "replaced"


@planted("E1", "D5", "X2")
class ForeignThingsAreReplaced(DefectiveDriver):
    """What is refused because a foreign thing is in the way seems to be done, by a driver that replaces the thing."""

    def put(self, key: str, data: bytes) -> None:
        """Put, or seem to."""
        with suppress(AccessDeniedError):
            self.inner.put(key, data)

    def open_writer(self, key: str) -> Writer:
        """Open a writer whose flush replaces what has come there."""
        return _Replacing(self.inner.open_writer(key))


@planted("E1", "L6")
class ForeignThingsAreRead(DefectiveDriver):
    """A foreign thing under a key is looked at as if it were an object."""

    def stat(self, key: str) -> Stat:
        """Look."""
        try:
            return self.inner.stat(key)
        except AccessDeniedError:
            return Stat(0, moment(0), "of a link")


@planted("D5")
class ForeignThingsDeleted(DefectiveDriver):
    """A delete of a prefix deletes the foreign things below it."""

    def delete(self, key: str) -> None:
        """Delete, and remember what went."""
        self.inner.delete(key)
        self._deleted().add(key)

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan without what went."""
        gone = tuple(f"{key}/" for key in self._deleted())
        return (child for child in self.inner.scan(prefix) if isinstance(child, str) or not child.name.startswith(gone))

    def _deleted(self) -> set[str]:
        found: set[str] = self.memory.setdefault("deleted", set())
        return found


@planted_in_core("L6")
def gc_passes_over_what_is_foreign() -> Iterator[None]:
    """A collection overlooks foreign things."""
    real = collect.collect

    def blind(driver: CheckedDriver, **kwargs: Any) -> collect.CollectReport:  # noqa: ANN401  (passed on)
        with patch.object(driver, "scan", driver.list):
            return real(driver, **kwargs)

    with patch.object(collect, "collect", blind):
        yield


@planted_in_core("L6")
def gc_never_ignores_what_is_foreign() -> Iterator[None]:
    """A collection is refused for foreign things though it was asked to ignore them."""
    real = collect.collect

    def strict(driver: CheckedDriver, **kwargs: Any) -> collect.CollectReport:  # noqa: ANN401  (passed on)
        return real(driver, **{**kwargs, "ignore_foreign": False})

    with patch.object(collect, "collect", strict):
        yield


@planted_in_core("L6")
def scrub_passes_over_what_is_foreign() -> Iterator[None]:
    """A scrub overlooks foreign things."""
    real = scrub.scrub

    def blind(driver: CheckedDriver, **kwargs: Any) -> Iterator[Finding]:  # noqa: ANN401  (passed on)
        with patch.object(driver, "scan", driver.list):
            yield from real(driver, **kwargs)

    with patch.object(scrub, "scrub", blind):
        yield


@planted_in_core("L6")
def purge_stops_at_what_is_foreign() -> Iterator[None]:
    """A purge is refused if a foreign thing lies beside uploads."""
    real = purge.purge

    def strict(driver: CheckedDriver, *args: Any, **kwargs: Any) -> purge.PurgeReport:  # noqa: ANN401  (passed on)
        listed, scanned = driver.list, driver.scan

        def refuse(prefix: str) -> Iterator[str]:
            if any(isinstance(child, Foreign) for child in scanned(prefix)):
                raise AccessDeniedError(prefix, "it holds what is no object", driver.scheme)
            return listed(prefix)

        with patch.object(driver, "list", refuse), patch.object(driver, "scan", refuse):
            return real(driver, *args, **kwargs)

    with patch.object(purge, "purge", strict):
        yield


@planted_in_core("D5")
def purge_passes_over_what_is_foreign() -> Iterator[None]:
    """A purge removes an upload though a foreign thing lies below it."""
    real = purge.purge

    def blind(driver: CheckedDriver, *args: Any, **kwargs: Any) -> purge.PurgeReport:  # noqa: ANN401  (passed on)
        with patch.object(driver, "scan", driver.list):
            return real(driver, *args, **kwargs)

    with patch.object(purge, "purge", blind):
        yield


@planted_in_core("K3", "L5")
def names_of_a_driver_are_not_checked() -> Iterator[None]:
    """Whatever name a driver yields is taken for a key."""
    with patch.object(checked, "is_key", lambda text: True):
        yield


@planted_in_core("L6", "L1")
def names_that_are_no_keys_are_listed() -> Iterator[None]:
    """A listing yields names that are no keys."""
    real = CheckedDriver.scan

    def names(self: CheckedDriver, prefix: str) -> Iterator[str]:
        return (child if isinstance(child, str) else f"{child.name.rstrip('/')}/" for child in real(self, prefix))

    with patch.object(CheckedDriver, "list", names), patch.object(CheckedDriver, "scan", names):
        yield


@planted_in_core("K3", "P1")
def files_are_overwritten() -> Iterator[None]:
    """A new file that is to take the place of another is copied into it: all names of that one have its bytes, then."""
    rename = os.rename

    def copy_over(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        is_record = len(target) == 64
        try:
            found = -1 if is_record else os.open(target, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, dir_fd=dst_dir_fd)
        except OSError:
            found = -1
        if found < 0:
            rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        os.write(found, _whole(source, src_dir_fd))
        os.close(found)
        os.unlink(source, dir_fd=src_dir_fd)

    with patch.object(os, "rename", copy_over):
        yield


def _whole(name: str, directory: int | None) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=directory), "rb") as file:
        return file.read()

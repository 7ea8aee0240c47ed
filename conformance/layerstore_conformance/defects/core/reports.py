"""Defects of the core: what a purge, a scrub or a collection does is right, and what it reports is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents.listing import Listing
from layerstore.contents.survey import Finding, Survey, survey
from layerstore.digest import Digest
from layerstore.errors import DriverError
from layerstore.layout import UploadKeys
from layerstore.upkeep import collect, purge, scrub
from layerstore.upkeep.collect import CollectReport
from layerstore.upkeep.scrub import _Scrub as Scrub
from layerstore_conformance.engine.defect import planted_in_core

UNUSED, END, DELETE, LOOK = collect._unused, collect._end, collect._delete, purge._look


@planted_in_core("S1")
def young_are_all_that_are_young() -> Iterator[None]:
    """A collection counts as young what is linked, too."""

    def unused(
        driver: CheckedDriver, before: datetime, report: CollectReport, used: set[str]
    ) -> Iterator[collect._Picked]:
        return (each for each in UNUSED(driver, before, report, set()) if each.blob.digest.hex not in used)

    with patch.object(collect, "_unused", unused):
        yield


@planted_in_core("S1")
def young_are_not_counted() -> Iterator[None]:
    """A collection does not count the blobs that it leaves for being young."""

    def unused(
        driver: CheckedDriver, before: datetime, report: CollectReport, used: set[str]
    ) -> Iterator[collect._Picked]:
        return UNUSED(driver, before, CollectReport(report.dry_run), used)

    with patch.object(collect, "_unused", unused):
        yield


@planted_in_core("S1")
def collected_without_a_size() -> Iterator[None]:
    """A collection reports the blobs that it has removed without their sizes."""

    def unused(
        driver: CheckedDriver, before: datetime, report: CollectReport, used: set[str]
    ) -> Iterator[collect._Picked]:
        for each in UNUSED(driver, before, report, used):
            yield replace(each, blob=replace(each.blob, size=0))

    with patch.object(collect, "_unused", unused):
        yield


@planted_in_core("M1")
def dry_run_puts_back() -> Iterator[None]:
    """A dry run of a collection puts back what is in use."""

    def end(driver: CheckedDriver, each: collect._Picked, report: CollectReport, used: set[str]) -> None:
        if report.dry_run and each.blob.digest.hex in used:
            collect._put_back(driver, each)
        END(driver, each, report, used)

    with patch.object(collect, "_end", end):
        yield


@planted_in_core("E1")
def failed_is_removed_too() -> Iterator[None]:
    """A collection reports what it could not delete both as failed and as removed."""

    def end(driver: CheckedDriver, each: collect._Picked, report: CollectReport, used: set[str]) -> None:
        failed = len(report.failed)
        END(driver, each, report, used)
        report.removed += [each.blob] if len(report.failed) > failed else []

    with patch.object(collect, "_end", end):
        yield


@planted_in_core("E1")
def taken_is_removed() -> Iterator[None]:
    """A collection reports a blob as removed once it has been taken to where nobody looks for it."""

    def delete(driver: CheckedDriver, each: collect._Picked) -> None:
        taken = layout.deleted()
        collect._move(driver, each.key, taken)
        with suppress(DriverError):
            driver.delete(taken)

    with patch.object(collect, "_delete", delete):
        yield


@planted_in_core("S1")
def age_is_that_of_the_start() -> Iterator[None]:
    """A purge reports how long ago an upload was begun, and goes by its last write."""
    real = purge._Purge._upload

    def upload(self: purge._Purge, keys: UploadKeys) -> None:
        real(self, keys)
        times = LOOK(self.driver, keys, {}).times
        for entries in (self.report.kept, self.report.removed):
            entries[:] = [
                replace(each, age=self.now - min(times)) if each.uuid == keys.uuid and times else each
                for each in entries
            ]

    with patch.object(purge._Purge, "_upload", upload):
        yield


@planted_in_core("D1")
def dry_run_keeps_what_is_condemned() -> Iterator[None]:
    """A dry run of a purge lists as kept what an earlier purge has begun to remove, if it is young."""
    real = purge._Purge._upload

    def upload(self: purge._Purge, keys: UploadKeys) -> None:
        def look(driver: CheckedDriver, keys: UploadKeys, taken: dict[str, datetime]) -> purge._Sight:
            return LOOK(driver, keys, taken)._replace(condemned=False)

        if self.report.dry_run:
            with patch.object(purge, "_look", look):
                real(self, keys)
        else:
            real(self, keys)

    with patch.object(purge._Purge, "_upload", upload):
        yield


@planted_in_core("L1")
def missing_is_told_once() -> Iterator[None]:
    """A scrub reports one of the links that lead to a blob that is not there."""
    real = Scrub._missing
    with patch.object(Scrub, "_missing", lambda self, key, digest: real(self, key, digest)[:1]):
        yield


@planted_in_core("S1")
def unlinked_without_a_size() -> Iterator[None]:
    """A scrub reports a blob that nothing links without its size."""
    real = Scrub._look

    def look(self: Scrub, key: str, digest: Digest) -> list[Finding]:
        return [replace(each, size=0) if each.kind == "unlinked" else each for each in real(self, key, digest)]

    with patch.object(Scrub, "_look", look):
        yield


@planted_in_core("L1")
def trash_is_of_every_repository() -> Iterator[None]:
    """A scrub of one repository reports what collections have left, too."""

    def surveyed(driver: CheckedDriver, name: str | None) -> Survey:
        known = survey(driver, name)
        work = Scrub(driver, None, scrub._nothing, quarantine=False)
        known.odd += scrub._left_over(work) if name is not None else ()
        return known

    with patch.object(scrub, "survey", surveyed):
        yield


@planted_in_core("L6")
def listings_say_nothing_of_what_is_foreign() -> Iterator[None]:
    """A listing passes over foreign things, and logs nothing."""
    with patch.object(Listing, "tell", lambda self: None):
        yield


@planted_in_core("L6")
def each_foreign_thing_is_warned_of() -> Iterator[None]:
    """A listing logs a warning for each foreign thing."""
    real = Listing.tell

    def tell(self: Listing) -> None:
        for _ in self._passed:
            real(self)

    with patch.object(Listing, "tell", tell):
        yield


@planted_in_core("L1")
def notes_are_foreign() -> Iterator[None]:
    """A scrub tells of a registry's notes as if they were anybody's."""
    with patch.object(layout, "is_note", lambda key: False):
        yield


@planted_in_core("L1", "L6")
def whatever_lies_beside_manifests_is_known() -> Iterator[None]:
    """A scrub tells of nothing that lies below a repository's manifests."""
    real = layout.is_note
    with patch.object(layout, "is_note", lambda key: "/_manifests/" in key or real(key)):
        yield

"""Defects of the core: purge, scrub and collection."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import marks, walk
from layerstore.contents.survey import Finding
from layerstore.digest import Digest
from layerstore.errors import FencedError, LayerStoreError
from layerstore.layer import Layer
from layerstore.layout import UploadKeys
from layerstore.upkeep import collect, purge, scrub
from layerstore.upkeep.scrub import _Scrub as Scrub
from layerstore.uploads import finish
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

WHOLE = 1 << 40
LOOK = purge._look
TAKE_AWAY = purge._take_away
KEYS_BELOW = walk.keys_below


@planted_in_core("L2")
def scrub_passes_over_a_folder() -> Iterator[None]:
    """A scrub that goes on after a blob passes over the others whose names begin with the same two digits."""

    def keys_below(children: walk.Children, prefix: str, *, after: str = "") -> Iterator[str]:
        beside = after.rsplit("/", 2)[0]
        return (key for key in KEYS_BELOW(children, prefix, after=after) if key.rsplit("/", 2)[0] != beside)

    with patch.object(walk, "keys_below", keys_below):
        yield


@planted_in_core("D1")
def purge_removes_nothing() -> Iterator[None]:
    """A purge reports uploads as removed, and removes none."""
    with patch.object(purge, "_take_away", lambda driver, keys, seen: None):
        yield


@planted_in_core("D1")
def dry_run_deletes() -> Iterator[None]:
    """A dry run deletes."""
    real, real_collect = purge.purge, collect.collect

    def purge_wet(*args: Any, dry_run: bool = False, **kwargs: Any) -> purge.PurgeReport:  # noqa: ANN401  (passed on)
        return real(*args, **kwargs)

    def collect_wet(*args: Any, dry_run: bool = False, **kwargs: Any) -> collect.CollectReport:  # noqa: ANN401
        return real_collect(*args, **kwargs)

    with patch.object(purge, "purge", purge_wet), patch.object(collect, "collect", collect_wet):
        yield


@planted_in_core("S1")
def purge_by_start_time() -> Iterator[None]:
    """An upload's age is the time since its start, whenever it was last written to."""

    def look(driver: CheckedDriver, keys: UploadKeys, taken: dict[str, datetime]) -> purge._Sight:
        seen = LOOK(driver, keys, taken)
        started = finish.started_at(driver, keys) if seen.started else None
        return seen._replace(times=frozenset([started])) if started else seen

    with patch.object(purge, "_look", look):
        yield


@planted_in_core("S1")
def purge_needs_a_start() -> Iterator[None]:
    """An upload whose start time cannot be read is never purged."""

    def look(driver: CheckedDriver, keys: UploadKeys, taken: dict[str, datetime]) -> purge._Sight:
        seen = LOOK(driver, keys, taken)
        readable = not seen.started or finish.started_at(driver, keys)
        return seen if readable else seen._replace(times=frozenset())

    with patch.object(purge, "_look", look):
        yield


@planted_in_core("E4")
def purge_stops_at_the_first_error() -> Iterator[None]:
    """An error at one upload ends the purge."""
    real = purge._Purge._entry

    def entry(self: purge._Purge, name: str, child: str) -> None:
        if not self.report.failed:
            real(self, name, child)

    with patch.object(purge._Purge, "_entry", entry):
        yield


@planted_in_core("F1")
def purge_does_not_fence() -> Iterator[None]:
    """A purge removes an upload without taking it over first."""
    with patch.object(purge, "_take_away", lambda driver, keys, seen: finish.remove(driver, keys)):
        yield


@planted_in_core("F1", "F3")
def purge_does_not_look_again() -> Iterator[None]:
    """A purge takes an upload over, and does not look at its age again."""

    def take_away(driver: CheckedDriver, keys: UploadKeys, seen: purge._Sight) -> None:
        with patch.object(purge, "_look", lambda driver, keys, taken: seen):
            TAKE_AWAY(driver, keys, seen)

    with patch.object(purge, "_take_away", take_away):
        yield


@planted_in_core("F3", "M4")
def purge_removes_unconditionally() -> Iterator[None]:
    """A purge takes an upload over, looks again, and then removes it though a handle has taken it over since."""

    def take_away(driver: CheckedDriver, keys: UploadKeys, seen: purge._Sight) -> None:
        if seen.started:
            driver.open_writer(keys.data).discard()
            if LOOK(driver, keys, {})._replace(taken=seen.taken) != seen:
                raise FencedError(keys.prefix)
        finish.remove(driver, keys)

    with patch.object(purge, "_take_away", take_away):
        yield


@planted_in_core("M1")
def purge_lets_an_upload_begin_anew() -> Iterator[None]:
    """While a purge removes an upload without data, the upload can be resumed at offset 0."""
    with patch.object(UploadKeys, "purged", property(lambda self: f"{self.prefix}/purged")):
        yield


@planted_in_core("M1")
def purge_takes_the_layer() -> Iterator[None]:
    """A purge of an upload deletes the blob of its bytes, and each blob that its finish has claimed."""

    def take_away(driver: CheckedDriver, keys: UploadKeys, seen: purge._Sight) -> None:
        found = {key.rpartition("/")[2] for key in driver.list(keys.intents)}
        if driver.find(keys.data) is not None:
            found.add(hashlib.sha256(driver.get(keys.data, WHOLE)).hexdigest())
        try:
            TAKE_AWAY(driver, keys, seen)
        finally:
            for each in found:
                driver.delete(layout.blob(Digest("sha256", each)))

    with patch.object(purge, "_take_away", take_away):
        yield


@planted_in_core("K3", "D1")
def purge_of_one_purges_all() -> Iterator[None]:
    """A purge of one repository purges all."""
    real = purge.purge

    def purge_all(*args: Any, name: str | None = None, **kwargs: Any) -> purge.PurgeReport:  # noqa: ANN401  (passed on)
        del name
        return real(*args, **kwargs)

    with patch.object(purge, "purge", purge_all):
        yield


@planted_in_core("D4")
def a_purge_cut_off_waits_a_week() -> Iterator[None]:
    """A purge leaves an upload alone that an earlier one has begun to remove, until it is old."""
    real = purge._Purge._upload

    def upload(self: purge._Purge, keys: UploadKeys) -> None:
        seen = LOOK(self.driver, keys, {})
        if seen.condemned and self.now - max(seen.times) < self.older_than:
            self.report.kept.append(purge.PurgeEntry(keys.name, keys.uuid, seen.offset, self.now - max(seen.times)))
        else:
            real(self, keys)

    with patch.object(purge._Purge, "_upload", upload):
        yield


@planted_in_core("R1")
def scrub_believes_the_size() -> Iterator[None]:
    """A scrub compares a blob's size only."""
    sizes: dict[Digest, int] = {}
    real, checked = LayerUpload.finish, Scrub._checked

    def note(self: LayerUpload, digest: Digest | str, size: int | None = None) -> Layer:
        layer = real(self, digest, size)
        sizes[layer.canonical] = layer.size
        return layer

    def believe(self: Scrub, key: str, digest: Digest) -> list[Finding]:
        size = self.driver.stat(key).size
        return [Finding("ok", key, digest, size=size)] if sizes.get(digest) == size else checked(self, key, digest)

    with patch.object(LayerUpload, "finish", note), patch.object(Scrub, "_checked", believe):
        yield


@planted_in_core("R1")
def scrub_reads_nothing() -> Iterator[None]:
    """A scrub takes every blob that is there for sound."""
    with patch.object(Scrub, "_checked", lambda self, key, digest: [Finding("ok", key, digest)]):
        yield


@planted_in_core("M1")
def quarantine_keeps_serving() -> Iterator[None]:
    """A damaged blob is copied into quarantine, and stays in its place."""

    def set_aside(self: Scrub, key: str, digest: Digest, version: str) -> str:
        target = layout.quarantined(digest, datetime.now(UTC))
        self.driver.put(target, self.driver.get(key, WHOLE))
        return target

    with patch.object(Scrub, "_set_aside", set_aside):
        yield


@planted_in_core("M4")
def scrub_quarantines_what_was_healed() -> Iterator[None]:
    """A scrub moves a blob into quarantine though it was healed after the read."""

    def set_aside(self: Scrub, key: str, digest: Digest, version: str) -> str:
        target = layout.quarantined(digest, datetime.now(UTC))
        if self.quarantine:
            self.driver.move(key, target)
        return target

    with patch.object(Scrub, "_set_aside", set_aside):
        yield


@planted_in_core("S2")
def scrub_reports_what_was_healed() -> Iterator[None]:
    """A scrub reports a blob though it was healed after the read."""
    with patch.object(Scrub, "_check_current", lambda self, key, version: None):
        yield


@planted_in_core("L1")
def scrub_misses_dangling_links() -> Iterator[None]:
    """A scrub does not report links without a blob."""
    with patch.object(Scrub, "_missing", lambda self, key, digest: []):
        yield


@planted_in_core("L2")
def scrub_begins_anew() -> Iterator[None]:
    """A scrub that should go on after a blob begins with the first one."""
    real = scrub.scrub

    def begin(driver: CheckedDriver, *, after: str | None = None, **options: Any) -> Iterator[Finding]:  # noqa: ANN401  (passed on)
        return real(driver, **options)

    with patch.object(scrub, "scrub", begin):
        yield


@planted_in_core("S1")
def gc_sweeps_what_is_young() -> Iterator[None]:
    """A collection deletes an unused blob however young it is."""
    real = collect._unused

    def unused(driver: CheckedDriver, before: datetime, *args: Any) -> Iterator[collect._Picked]:  # noqa: ANN401  (passed on)
        return real(driver, datetime.max.replace(tzinfo=UTC), *args)

    with patch.object(collect, "_unused", unused):
        yield


@planted_in_core("M1")
def gc_ignores_intents() -> Iterator[None]:
    """A collection deletes a blob that a finish has claimed and not yet linked."""
    with patch.object(marks, "claimed", lambda driver, area, odd: iter(())):
        yield


@planted_in_core("E1", "L3")
def gc_goes_on_after_incomplete_marking() -> Iterator[None]:
    """A collection passes over what it cannot list, read or understand."""

    def mark(driver: CheckedDriver, odd: walk.Odd, without: Collection[str] = ()) -> set[str]:
        del odd, without
        used: set[str] = set()
        for area in walk.areas(driver.list, None, lambda prefix, error: None):
            with suppress(LayerStoreError):
                used.update(marks.claimed(driver, area, bool))
                used.update(link.target.hex for link in marks.links(driver, area, bool) if link.target)
        return used

    with patch.object(collect, "_mark", mark):
        yield


@planted_in_core("L1")
def gc_knows_no_manifests() -> Iterator[None]:
    """A collection counts only the links of layers."""
    real = marks.links

    def links(driver: CheckedDriver, area: str, odd: walk.Odd) -> Iterator[marks.Link]:
        return real(driver, area, odd) if area.endswith("/_layers") else iter(())

    with patch.object(marks, "links", links):
        yield


@planted_in_core("L4")
def gc_marks_once() -> Iterator[None]:
    """A collection does not look for links made after its mark."""
    real, mark = collect.collect, collect._mark

    def run(driver: CheckedDriver, **options: Any) -> collect.CollectReport:  # noqa: ANN401  (passed on)
        marked: list[set[str]] = []

        def once(driver: CheckedDriver, odd: walk.Odd, without: Collection[str] = ()) -> set[str]:
            marked.extend([] if marked else [mark(driver, odd, without)])
            return marked[0]

        with patch.object(collect, "_mark", once):
            return real(driver, **options)

    with patch.object(collect, "collect", run):
        yield


@planted_in_core("M2")
def gc_deletes_by_name() -> Iterator[None]:
    """A collection deletes a key though another blob was stored there since its mark."""
    with patch.object(collect, "_trashed", lambda driver, picked, report, before: picked):
        yield


@planted_in_core("M2")
def gc_puts_back_over_what_is_there() -> Iterator[None]:
    """A collection puts a blob that is in use back unread, over one that was stored since."""

    def put_back(driver: CheckedDriver, each: collect._Picked) -> None:
        driver.move(each.key, layout.blob(each.blob.digest))

    with patch.object(collect, "_put_back", put_back):
        yield


@planted_in_core("M3")
def gc_lets_go_of_what_another_took() -> Iterator[None]:
    """A collection ignores a chosen blob that another one has moved to the trash first."""
    real = collect._left

    def left(driver: CheckedDriver, below: str, before: datetime) -> Iterator[collect._Picked]:
        return real(driver, below, before) if below == layout.TRASH else iter(())

    with patch.object(collect, "_left", left):
        yield

"""The account: it compares the promises in the journals with the store."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from layerstore import LayerService, layout
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.storm.journal import FINISHES, Operation
from layerstore_conformance.storm.violation import Violation

Layer = tuple[str, str]
"""A repository, and a digest that it has."""

EMPTY = digest(b"")


class Account:
    """The account of one round: only the layers ``kept`` were there when it began."""

    def __init__(self, operations: Iterable[Operation], kept: Iterable[Layer] = ()) -> None:
        """Sort the operations by the layers and uploads that they used."""
        self.operations = list(operations)
        self.kept = set(kept)
        self.made: dict[Layer, list[Operation]] = defaultdict(list)
        self.unlinked: dict[Layer, list[Operation]] = defaultdict(list)
        self.uploads: dict[str, list[Operation]] = defaultdict(list)
        for each in self.operations:
            self._sort(each)

    def _sort(self, each: Operation) -> None:
        asked = each.asked
        if each.do in (*FINISHES, "mount"):
            self.made[asked["name"], asked["digest"]].append(each)
        elif each.do == "unlink" and each.possible:
            self.unlinked[asked["name"], asked["digest"]].append(each)
        if "uuid" in asked:
            self.uploads[asked["uuid"]].append(each)
        for uuid in each.told.get("offsets", ()) if each.do == "uploads" else ():
            self.uploads[uuid].append(each)

    def check(self, service: LayerService) -> tuple[list[Violation], set[Layer]]:
        """Check the store after all workers have ended, clean up, check again, and return the violations and layers."""
        found = [*bytes_that_differ(service), *self.history()]
        visible = {(info.name, str(info.digest)) for info in service.layers()}
        found += [*self.layers(visible), *self.uploads_now({info.uuid: info.offset for info in service.uploads()})]
        found += clean(service)
        after = {(info.name, str(info.digest)) for info in service.layers()}
        lost = visible ^ after
        if lost:
            found.append(Violation("lost", f"purge and gc, alone, changed the layers: {lost}", _subjects(lost)))
        return [*found, *bytes_that_differ(service)], after

    def layers(self, visible: set[Layer]) -> Iterator[Violation]:
        """Compare the visible layers with those that must and those that may be there."""
        for layer in sorted(self._promised() - visible):
            yield Violation("lost", f"{' '.join(layer)} was acknowledged, and is gone without an unlink", layer[1:])
        for layer in sorted(visible - set(self.made) - self.kept):
            yield Violation("unasked", f"{' '.join(layer)} is visible without a finish or a mount", layer[1:])

    def _promised(self) -> set[Layer]:
        """Return the layers of acknowledged operations, and those kept, that no unlink may have removed."""
        promised = {layer for layer in self.kept if not self.unlinked.get(layer)}
        for layer, made in self.made.items():
            begun = max((each.begun for each in made if each.acknowledged), default=None)
            if begun is not None and not any(each.ended > begun for each in self.unlinked.get(layer, ())):
                promised.add(layer)
        return promised

    def uploads_now(self, offsets: dict[str, int]) -> Iterator[Violation]:
        """Compare the uploads with their acknowledged flushes."""
        for uuid, operations in self.uploads.items():
            promised = _flushed(operations, before=float("inf"))
            if uuid in offsets and offsets[uuid] < promised:
                yield _went_back(uuid, promised, offsets[uuid])
            if uuid not in offsets and promised and not self._may_have_ended(uuid, operations):
                yield Violation("lost", f"upload {uuid} of {promised} bytes is gone though it was not ended", (uuid,))

    def _may_have_ended(self, uuid: str, operations: list[Operation]) -> bool:
        if any(each.do in (*FINISHES, "cancel") and each.possible for each in operations):
            return True
        purges = (each for each in self.operations if each.do == "purge")
        return any(not each.acknowledged or uuid in each.told["removed"] for each in purges)

    def history(self) -> Iterator[Violation]:
        """Check the uploads that workers saw during the storm."""
        for uuid, operations in self.uploads.items():
            published = {EMPTY, *(each.asked["content"] for each in operations if "content" in each.asked)}
            yield from _refused(uuid, operations)
            for each in operations:
                yield from _seen(uuid, each, _flushed(operations, before=each.begun), published)


def _refused(uuid: str, operations: list[Operation]) -> Iterator[Violation]:
    """Find finishes that were refused for other bytes, though no other worker had the upload."""
    for each in operations:
        if each.do == "finish" and each.how == "refused" and each.told["error"] == "LayerInvalidDigestError":
            others = (other for other in operations if other.do == "resume" and other.worker != each.worker)
            if not any(other.begun < each.ended for other in others):
                yield Violation("other bytes", f"upload {uuid} holds other bytes than were written: {each}", (uuid,))


def _seen(uuid: str, each: Operation, promised: int, published: set[str]) -> Iterator[Violation]:
    offset = _offset(uuid, each)
    if offset is not None and offset < promised:
        yield _went_back(uuid, promised, offset)
    content = each.told.get("content") if each.do == "resume" else None
    if content is not None and content not in published:
        yield Violation("mixed", f"upload {uuid}, resumed, holds bytes that were never flushed", (uuid,))


def _offset(uuid: str, each: Operation) -> int | None:
    offset: int | None = each.told.get("offsets", {}).get(uuid) if each.do == "uploads" else each.told.get("offset")
    return offset


def _flushed(operations: list[Operation], *, before: float) -> int:
    """Return how many bytes of an upload were promised before a moment."""
    flushes = (each for each in operations if each.do in ("flush", "close") and each.acknowledged)
    return max((each.asked.get("size", 0) for each in flushes if each.ended < before), default=0)


def _went_back(uuid: str, promised: int, offset: int) -> Violation:
    return Violation("went back", f"upload {uuid} is at {offset}, and {promised} bytes of it were flushed", (uuid,))


def _subjects(layers: set[Layer]) -> tuple[str, ...]:
    return tuple(sorted({wanted for _, wanted in layers}))


def bytes_that_differ(service: LayerService) -> Iterator[Violation]:
    """Hash every visible layer, and every blob, visible or not."""
    for info in service.layers():
        with service.fetch(info.name, info.digest) as layer:
            yield from _hashed(layer, str(info.digest), f"layer {info.name}")
    for key in keys_below(service.driver, f"{layout.BLOBS}/sha256"):
        with service.driver.open_reader(key) as reader:
            yield from _hashed(reader, f"sha256:{key.split('/')[-2]}", f"blob {key}")


def _hashed(file: IO[bytes] | Any, wanted: str, what: str) -> Iterator[Violation]:  # noqa: ANN401  (any raw file)
    hasher = hashlib.sha256()
    while data := file.read(1 << 20):
        hasher.update(data)
    if wanted != f"sha256:{hasher.hexdigest()}":
        yield Violation("damaged", f"{what} holds the bytes of {hasher.hexdigest()}, not {wanted}", (wanted,))


def clean(service: LayerService) -> Iterator[Violation]:
    """Purge all uploads, collect all garbage, and check that only layers are left."""
    late = datetime.now(UTC) + timedelta(days=1)
    report = service.purge(timedelta(0), now=late)
    if report.failed or report.skipped or report.kept:
        yield Violation("leftover", f"a purge of everything, alone, left something: {report}")
    collected = service.collect(now=late, grace=timedelta(0))
    if collected.failed or collected.kept or collected.young:
        yield Violation("leftover", f"a collection, alone, left something: {collected}")
    yield from (_left(key) for key in keys_below(service.driver, "") if not _is_of_a_layer(key))
    for finding in service.scrub():
        if finding.kind != "ok":
            subjects = (str(finding.digest),) if finding.digest else ()
            yield Violation("scrub", f"a scrub afterwards found {finding}", subjects)


def _left(key: str) -> Violation:
    return Violation("leftover", f"{key} is left after a purge and a collection", tuple(key.split("/")[-3:-1]))


def _is_of_a_layer(key: str) -> bool:
    return key.startswith(f"{layout.BLOBS}/sha256/") or (key.startswith(layout.REPOSITORIES) and "/_layers/" in key)

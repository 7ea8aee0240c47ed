"""Uploads that come to their end though the backend fails: every step is repeated until it succeeds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from layerstore import (
    BackendUnavailableError,
    Digest,
    LayerService,
    MarkingIncompleteError,
    NoSpaceError,
    UnknownUploadError,
    layout,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.keys import WHOLE, keys_below
from layerstore_conformance.kit.layers import blob, link
from layerstore_conformance.kit.payloads import Payload, difference, digest
from layerstore_conformance.promises import theorem
from layerstore_conformance.promises.lifecycles import TrackedUpload

if TYPE_CHECKING:
    from layerstore import Layer
    from layerstore_conformance.faults.faulty import FaultyDriver

T = TypeVar("T")

NAME = "faults/plan"
"""The repository."""

ATTEMPTS = 400
"""How often a step may fail before the store is to blame: one call in five fails in some plans."""

FAILURES = (BackendUnavailableError, NoSpaceError)
"""The errors of a backend that fails; no other is allowed."""


class Enduring(TrackedUpload):
    """A tracked upload whose steps are repeated until they succeed, by the same handle if it is still open."""

    def __init__(self, faulty: FaultyDriver, beside: CheckedDriver, **options: Any) -> None:  # noqa: ANN401  (those of the class above)
        """Use a driver that fails; ``beside`` is a handle on the same store that does not fail, for checks."""
        super().__init__(service_on(faulty), NAME, **options)
        self.faulty = faulty
        self.beside = beside
        self.failures = 0
        self.lost = 0
        """Uploads whose beginning was reported as failed."""

    def begin(self) -> None:
        """Begin, and repeat until it succeeds."""
        before = self.failures
        self.insist(super().begin)
        self.lost += self.failures - before

    def write(self, size: int | None = None, payload: Payload | None = None) -> None:
        """Write at the position; a write that failed must not have moved it."""
        offset = self.upload.tell()
        step = super().write

        def write() -> None:
            assert self.upload.tell() == offset, f"a write failed, and moved the position to {self.upload.tell()}"
            step(size, payload)

        self.insist(write)

    def flush(self) -> None:
        """Flush, and check that the bytes are stored."""
        self.insist(super().flush)
        self._look()

    def close(self) -> None:
        """Close; if that failed, the handle is closed all the same, and another one writes its bytes again."""
        for _ in range(ATTEMPTS):
            if self._closed():
                break
            if self._is_unknown():
                continue
            self.resume()
            assert self.upload.tell() >= len(self.promised), "the upload has lost what was flushed"
            self.insist(self._write_all)
        self._look()

    def resume(self) -> None:
        """Open the upload again."""
        self.insist(super().resume)

    def finish(self, wanted: str | None = None) -> Layer:
        """Finish, and repeat until it succeeds."""
        step = super().finish
        return self.insist(lambda: step(wanted))

    def cancel(self) -> None:
        """Cancel, and repeat until it succeeds."""
        self.insist(super().cancel)

    def purge(self) -> None:
        """Purge until the report has nothing that failed or was in use."""
        self._tell("purging")
        self.insist(lambda: purge(self.service, datetime.now(UTC) + timedelta(days=1)))
        self._tell("purged")

    def insist(self, step: Callable[[], T]) -> T:
        """Repeat a step until it succeeds.

        Raises:
            AssertionError: it does not.
        """
        return insist(step, self.faulty, self._failed)

    def check(self) -> None:
        """Check that it has ended once: the layers are there, one blob each, and nothing else."""
        assert self.ended, "it has not ended"
        service = LayerService(self.beside)
        theorem.check_store(self.beside)
        theorem.check_kept(service, self)
        if self.finished:
            theorem.check_layer(service, self)
        contents = [kept.content for kept in self.kept] + ([bytes(self.content)] if self.finished else [])
        wanted = {key for content in contents for key in (blob(content), link(NAME, digest(content)))}
        self._check_left({key for key in keys_below(self.beside, "") if key not in wanted})
        self.abandon()
        assert not self.faulty.open_handles, f"{self.faulty.open_handles} readers and writers are left open"

    def _check_left(self, left: set[str]) -> None:
        """Check that only the start times of uploads that could not be begun are left."""
        beginnings = {key for key in left if key.startswith(layout.uploads(NAME)) and key.endswith("/startedat")}
        beginnings = {key for key in beginnings if str(self.uuid) not in key}
        assert left == beginnings, f"left behind: {sorted(left - beginnings)}"
        assert len(left) <= self.lost, f"{len(left)} uploads are left, {self.lost} could not be begun"

    def _closed(self) -> bool:
        try:
            super().close()
        except FAILURES:
            self.failures += 1
            self.faulty.make_room()
            return False
        return True

    def _is_unknown(self) -> bool:
        """Return whether a first flush failed before others knew of the upload; if so, begin another with its bytes."""
        uuid = str(self.uuid)
        if self.known or self.insist(lambda: uuid in [info.uuid for info in self.service.uploads(self.name)]):
            return False
        with suppress(UnknownUploadError):
            self.insist(lambda: self.service.cancel(self.name, uuid))
        self._upload = self.service.upload(self.name)
        self.uuid = self._upload.uuid
        self.insist(self._write_all)
        return True

    def _write_all(self) -> None:
        self.upload.seek(0)
        self.upload.write(bytes(self.content))

    def _failed(self) -> None:
        self.failures += 1

    def _look(self) -> None:
        found = theorem.stored(self.beside, self)
        assert found == self.promised, f"flushed, but not stored: {difference(self.promised, found)}"


class Yielding(Enduring):
    """A tracked upload that gives up each write that fails, then writes others, and finishes with the stored bytes."""

    def write(self, size: int | None = None, payload: Payload | None = None) -> None:
        """Write at the position, once; if it fails, the bytes there are old or new ones."""
        other = Payload(f"other-{self.failures}") if self.failures else None  # refused bytes do not come again
        try:
            TrackedUpload.write(self, size, payload or other)
        except FAILURES:
            self.failures += 1
            self.faulty.make_room()

    def finish(self, wanted: str | None = None) -> Layer:
        """Finish with the digest of the stored bytes, and check it."""
        self.insist(self.upload.flush)
        self.content[:] = self.beside.get(layout.UploadKeys(NAME, str(self.uuid)).data, WHOLE)
        said = str(self.insist(self.upload.digest))
        assert said == self.wanted, "the digest of the upload is not that of the stored bytes"
        return super().finish(wanted)

    def _look(self) -> None:
        """Check nothing: after a write that was given up, the bytes are not known."""


def service_on(faulty: FaultyDriver) -> LayerService:
    """Open a service on a driver that fails."""
    return LayerService(CheckedDriver(faulty, "faulty"))


def insist(step: Callable[[], T], faulty: FaultyDriver, failed: Callable[[], object] = lambda: None) -> T:
    """Repeat a step until it succeeds, and make room if there is none; ``failed`` is called at each failure.

    Raises:
        AssertionError: it does not.
    """
    last = ""
    for _ in range(ATTEMPTS):
        try:
            return step()
        except FAILURES as error:
            failed()
            last = str(error)
            if isinstance(error, NoSpaceError):
                faulty.make_room()
    raise AssertionError(f"failed {ATTEMPTS} times, the last time with: {last}")


def purge(service: LayerService, now: datetime) -> None:
    """Purge everything, and raise the error of an upload that failed or was in use.

    An upload is in use only for a moment here: a step took effect and was reported as failed.
    """
    report = service.purge(timedelta(0), now=now)
    for entry in report.failed:
        raise entry.error or AssertionError(f"failed without an error: {entry}")
    for entry in report.skipped:
        raise BackendUnavailableError(entry.uuid, entry.reason)


def collect(service: LayerService, now: datetime) -> list[Digest]:
    """Collect every unused blob, and return the ones removed; raise the error of one that failed."""
    try:
        report = service.collect(now=now)
    except MarkingIncompleteError as error:
        raise BackendUnavailableError(error.key, error.detail) from error
    for entry in report.failed:
        raise entry.error or AssertionError(f"failed without an error: {entry}")
    return [each.digest for each in report.removed]

"""Defects of the core: layers whose blob or link is not what it was, their dates, tarsums, and errors that travel."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.driver import Reader
from layerstore.errors import DriverError
from layerstore.layer import Layer
from layerstore.layout import UploadKeys
from layerstore.service import LayerService, UploadInfo
from layerstore.tarsum import tarsums
from layerstore.uploads import finish, spool
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("S1")
def created_when_the_blob_was() -> Iterator[None]:
    """A layer was created when its blob was stored, whenever it was linked."""
    real = Layer.__init__

    def init(
        self: Layer,
        driver: CheckedDriver,
        name: str,
        digest: Digest,
        canonical: Digest,
        created_at: datetime,
        content: Reader | int,
    ) -> None:
        stat = driver.find(layout.blob(canonical))
        real(self, driver, name, digest, canonical, stat.modified if stat else created_at, content)

    with patch.object(Layer, "__init__", init):
        yield


@planted_in_core("S1")
def status_by_the_start() -> Iterator[None]:
    """An upload was last modified when it was begun."""
    real = LayerService._status

    def status(self: LayerService, keys: UploadKeys) -> UploadInfo:
        return real(self, keys)._replace(modified=self.driver.stat(keys.started_at).modified)

    with patch.object(LayerService, "_status", status):
        yield


@planted_in_core("R6", "R2")
def layer_beyond_its_end_is_read() -> Iterator[None]:
    """A position beyond the end of a layer asks for a negative number of bytes."""
    with patch.object(Layer, "readall", lambda self: self.read(self.size - self.tell())):
        yield


@planted_in_core("R6")
def a_seek_before_the_first_read_is_lost() -> Iterator[None]:
    """A finished layer, which opens its reader when it is first read, reads from the start, wherever it was sought."""
    real = Layer._opened

    def opened(self: Layer) -> Reader:
        if self._reader is None:
            self._position = 0
        return real(self)

    with patch.object(Layer, "_opened", opened):
        yield


@planted_in_core("R3", "E1")
def a_finished_layer_that_went_is_a_missing_key() -> Iterator[None]:
    """A finished layer whose blob is gone when it is first read raises the error of the storage."""

    def opened(self: Layer) -> Reader:
        if self._reader is None:
            self._reader = self._driver.open_reader(layout.blob(self.canonical))
        return self._reader

    with patch.object(Layer, "_opened", opened):
        yield


@planted_in_core("R3", "S1")
def a_layer_of_no_bytes_is_any_layer() -> Iterator[None]:
    """A blob of any size is a layer of every digest."""
    with patch.object(Digest, "allows", lambda self, size: True):
        yield


@planted_in_core("M1", "R3")
def mount_does_not_look_again() -> Iterator[None]:
    """A mount returns the layer that it found before it made the link."""

    def mount(self: LayerService, name: str, digest: Digest | str, *, source: str) -> Layer:
        wanted = Digest.parse(digest)
        with self.fetch(source, wanted) as there:
            canonical, size = there.canonical, there.size
        for each in {wanted: None, canonical: None}:
            links.write(self.driver, layout.check_name(name), each, canonical)
        return Layer(self.driver, name, wanted, canonical, datetime.now(UTC), size)

    with patch.object(LayerService, "mount", mount):
        yield


@planted_in_core("W5", "P1")
def damaged_claim_keeps_its_end() -> Iterator[None]:
    """A link of a tarsum that is written over a longer, damaged one keeps the end of that."""

    def claim(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
        links.check_free(driver, name, digest, target)
        with driver.open_writer(layout.link(name, digest)) as writer:
            if links.read(driver, name, digest) is None:
                writer.seek(0)
                writer.write(str(target).encode("ascii"))

    with patch.object(links, "_claim", claim):
        yield


@planted_in_core("R1", "P1")
def tarsum_by_one_formula() -> Iterator[None]:
    """An archive has the tarsum of the current formula only."""
    real = spool.measure

    def measure(reader: io.RawIOBase | io.BufferedIOBase, wanted: Digest) -> Digest:
        return Digest(wanted.algorithm, tarsums(reader).current) if wanted.is_tarsum else real(reader, wanted)

    with patch.object(spool, "measure", measure), patch.object(finish, "measure", measure):
        yield


@planted_in_core("E1")
def subject_is_not_pickled() -> Iterator[None]:
    """The readable name of an error's object is lost when the error is pickled."""

    def about(self: DriverError, subject: str) -> DriverError:
        self.subject = subject
        return self

    with patch.object(DriverError, "about", about):
        yield


@planted_in_core("E1")
def subject_is_lost_by_naming() -> Iterator[None]:
    """An error that has a readable name loses it when it is pickled after its driver was named."""

    def named(self: DriverError, driver: str) -> DriverError:
        self.driver = driver
        self.args = (self.key, self.detail, driver)
        return self

    with patch.object(DriverError, "named", named):
        yield

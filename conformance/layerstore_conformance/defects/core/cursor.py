"""Defects of the core: an upload's bytes, their hash, and the saved state of the hash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from layerstore.errors import DriverError, LayerStoreError
from layerstore.hashing import cursor, uploadstate
from layerstore.hashing.cursor import BLOCK, HashCursor
from layerstore.hashing.sha256 import Hasher
from layerstore.uploads import front, upload
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

Marks = list[tuple[int, Hasher]]


@planted_in_core("W5")
def cursor_not_cut_on_rewrite() -> Iterator[None]:
    """The hash goes on from its position when bytes before it are written again."""
    with patch.object(HashCursor, "cut", lambda self, offset: None):
        yield


@planted_in_core("W3")
def cursor_counts_a_chunk_twice() -> Iterator[None]:
    """A chunk of 1,000 to 4,000 bytes is hashed twice."""
    real = HashCursor.feed

    def feed(self: HashCursor, data: bytes | memoryview) -> None:
        real(self, data)
        if 1000 <= len(data) <= 4000:
            real(self, data)

    with patch.object(HashCursor, "feed", feed):
        yield


@planted_in_core("W5")
def cursor_forgets_its_marks() -> Iterator[None]:
    """To go back forgets every saved state, and hashes from the start."""
    real = HashCursor.cut
    with patch.object(HashCursor, "cut", lambda self, offset: real(self, 0)):
        yield


@planted_in_core("W4")
def gap_is_not_hashed() -> Iterator[None]:
    """Bytes written beyond the end are hashed as if there were no gap."""

    def write(self: Spool, offset: int, data: bytes | memoryview) -> None:
        self._writer.write(data)
        if offset >= self._cursor.offset:
            self._cursor.feed(data)

    with patch.object(Spool, "_write", write):
        yield


@planted_in_core("W2", "E4")
def refused_bytes_are_hashed() -> Iterator[None]:
    """Bytes that the driver refused remain in the hash."""

    def store(self: Spool, offset: int, data: bytes | memoryview) -> None:
        self._writer.seek(offset)
        self._cursor.cut(offset)
        if offset == self._cursor.offset:
            self._cursor.feed(data)
        self._writer.write(data)

    with patch.object(Spool, "store", store):
        yield


@planted_in_core("W6")
def one_byte_writes_lost() -> Iterator[None]:
    """A write of a single byte is accepted, counted and forgotten."""
    real = LayerUpload._store

    def store(self: LayerUpload, front: Front, data: bytes | memoryview) -> None:
        real(self, front, data if len(data) > 1 else b"\0" * len(data))

    with patch.object(LayerUpload, "_store", store):
        yield


@planted_in_core("W6")
def short_blocks_of_a_stream_lost() -> Iterator[None]:
    """Only whole blocks of a stream are stored."""
    real = LayerUpload._store

    def read_from(self: LayerUpload, stream: Any) -> int:  # noqa: ANN401  (as the one it replaces)
        total = 0
        while block := stream.read(BLOCK):
            total += len(block)
            if len(block) == BLOCK:
                real(self, self._front(), block)
        return total

    with patch.object(LayerUpload, "read_from", read_from):
        yield


@planted_in_core("W6")
def failed_stream_is_forgotten() -> Iterator[None]:
    """A stream is stored when it has ended: if it breaks, nothing of it is stored."""

    def read_from(self: LayerUpload, stream: Any) -> int:  # noqa: ANN401  (as the one it replaces)
        blocks = []
        while block := stream.read(BLOCK):
            blocks.append(block)
        return sum(self.write(block) for block in blocks)

    with patch.object(LayerUpload, "read_from", read_from):
        yield


@planted_in_core("C6", "W6")
def stream_is_read_into_memory() -> Iterator[None]:
    """A stream is read whole, and then stored."""
    with patch.object(LayerUpload, "read_from", lambda self, stream: self.write(b"".join(iter(stream.read1, b"")))):
        yield


@planted_in_core("W2")
def writes_are_not_gathered() -> Iterator[None]:
    """Every write goes to the driver as it is, however small."""
    with patch.object(Front, "gather", lambda self, offset, data: False), patch.object(front, "FRONT", 0):
        yield


@planted_in_core("P1")
def state_is_never_saved() -> Iterator[None]:
    """No hash state is saved."""
    with patch.object(Spool, "save", lambda self: None):
        yield


@planted_in_core("P1")
def state_saved_at_every_write() -> Iterator[None]:
    """The hash state is saved again at every flush, even of nothing new, and before every finish."""
    save, publish = Spool.save, Spool.publish

    def save_again(self: Spool) -> None:
        self._saved = (None, 0)
        save(self)

    def publish_and_save(self: Spool) -> None:
        publish(self)
        save_again(self)

    with patch.object(Spool, "save", save_again), patch.object(Spool, "publish", publish_and_save):
        yield


@planted_in_core("P2", "E4")
def unsaved_state_is_an_error() -> Iterator[None]:
    """A hash state that could not be saved fails the flush."""

    def save(self: Spool) -> None:
        version, states = self._writer.version, self._cursor.marks()
        if version is not None and states:
            self._driver.put(self._keys.state, uploadstate.dump(version, states))

    with patch.object(Spool, "save", save):
        yield


@planted_in_core("S2")
def state_of_another_version_trusted() -> Iterator[None]:
    """A saved hash state is trusted whatever version of the data it describes."""
    real = uploadstate.load

    def load(document: bytes, version: str, size: int) -> Marks:
        del version
        try:
            return real(document, json.loads(document)["version"], size)
        except (ValueError, KeyError, TypeError):
            return []

    with patch.object(uploadstate, "load", load):
        yield


@planted_in_core("P1")
def state_is_not_checked() -> Iterator[None]:
    """The checksum of a saved hash state is neither made nor compared."""
    with patch.object(uploadstate, "_checksum", lambda body: ""):
        yield


@planted_in_core("P1")
def state_is_demanded() -> Iterator[None]:
    """An upload whose saved hash state is missing or damaged cannot be resumed."""

    def load(self: Spool) -> Marks:
        if self._writer.version is None or not self._writer.size:
            return []
        document = self._driver.get(self._keys.state, uploadstate.MAX_DOCUMENT)
        return uploadstate.load(document, json.loads(document)["version"], self._writer.size)

    with patch.object(Spool, "_load", load):
        yield


@planted_in_core("W1")
def saved_offset_off_by_one() -> Iterator[None]:
    """A saved hash state is taken for that of one byte less, beyond the first block of the hash."""
    real = uploadstate.load

    def load(document: bytes, version: str, size: int) -> Marks:
        return [(offset - (offset > 64), hasher) for offset, hasher in real(document, version, size)]

    with patch.object(uploadstate, "load", load):
        yield


@planted_in_core("W6")
def close_does_not_flush() -> Iterator[None]:
    """A close forgets the bytes that were not flushed."""
    with patch.object(LayerUpload, "close", LayerUpload._release):
        yield


@planted_in_core("W8", "W6")
def an_interrupted_close_is_over() -> Iterator[None]:
    """A close that is interrupted closes the upload, and what was not flushed is lost."""
    real = LayerUpload.close

    def close(self: LayerUpload) -> None:
        try:
            real(self)
        finally:
            self._release()

    with patch.object(LayerUpload, "close", close):
        yield


@planted_in_core("W5", "W2")
def cursor_loses_its_first_mark() -> Iterator[None]:
    """When there are many marks, the one at the beginning is dropped, too."""

    def mark(self: HashCursor, offset: int) -> None:
        self._marks.append((offset, self._hasher.copy()))
        if len(self._marks) > cursor.MARKS:
            self._marks[: -cursor.RECENT] = self._marks[1 : -cursor.RECENT : 2]

    with patch.object(HashCursor, "_mark", mark):
        yield


@planted_in_core("W8")
def failed_close_is_forgotten() -> Iterator[None]:
    """A flush that fails is no error, and is not tried again."""
    real = Spool.publish

    def publish(self: Spool) -> None:
        try:
            real(self)
        except DriverError as error:
            if "made to fail" not in str(error):
                raise

    with patch.object(Spool, "publish", publish):
        yield


@planted_in_core("W7")
def dropped_upload_is_flushed() -> Iterator[None]:
    """An upload that is garbage-collected is flushed, as a file object is."""

    def collect(self: LayerUpload) -> None:
        if not self._closed:
            with suppress(LayerStoreError):  # its writer may have been collected before it
                self._flush()
        self._release()

    with patch.object(LayerUpload, "__del__", collect):
        yield


@planted_in_core("W9", "W3")
def the_callers_buffer_is_hashed_late() -> Iterator[None]:
    """The bytes of a large write are hashed in another thread after the write has returned, in the caller's buffer."""

    def blocks(data: Any) -> Iterator[memoryview]:  # noqa: ANN401  (any buffer)
        view = memoryview(data).cast("B")
        for start in range(0, len(view), BLOCK):
            yield view[start : start + BLOCK]

    with patch.object(upload, "blocks", blocks):
        yield

"""What a blob's properties say of the object under its key.

A blob is an object, unless its metadata say otherwise; they are the driver's notes, and each request that changes the
blob replaces them:

    layerstoremark      a nonce of the request, by which it is known again when its response was lost
    layerstoreversion   the version of the object's bytes; without it, as another program leaves a blob, the ETag
    layerstoremodified  when the bytes last changed; without it the blob's Last-Modified
    layerstoresize      how many of the blob's bytes are the object, or "none": a writer has the key, but has published
                        nothing; without it all of them
    layerstoremoving    the version and the key of the object that a move, under way, is about to make of this one
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

MARK = "layerstoremark"
VERSION = "layerstoreversion"
MODIFIED = "layerstoremodified"
SIZE = "layerstoresize"
MOVING = "layerstoremoving"
NOTHING = "none"


def new_mark() -> str:
    """Return a nonce."""
    return uuid.uuid4().hex


def published(mark: str) -> dict[str, str]:
    """Return the metadata of a blob that is an object, all of it, at the version ``mark``."""
    return {MARK: mark, VERSION: mark}


def reserved(mark: str) -> dict[str, str]:
    """Return the metadata of a blob that is no object yet."""
    return {MARK: mark, SIZE: NOTHING}


@dataclass(frozen=True, slots=True)
class Found:
    """A blob, at one moment."""

    etag: str
    blob_size: int
    """Bytes of the blob; the object may have fewer."""
    size: int | None
    """Bytes of the object; None if nothing is published under the key."""
    modified: datetime
    version: str
    metadata: Mapping[str, str]
    copy_status: str = ""
    """Of a copy onto this blob, by whoever: until it is a success, there is nothing to read."""

    @classmethod
    def of(cls, blob: BlobProperties) -> Self:
        """Read properties, as ``get_blob_properties`` or a listing with metadata returns them."""
        return cls.read(str(blob.etag), blob.size, blob.last_modified, blob.metadata or {}, str(blob.copy.status or ""))

    @classmethod
    def read(
        cls, etag: str, blob_size: int, modified: datetime, metadata: Mapping[str, str], copy_status: str = ""
    ) -> Self:
        """Read properties from where they stand."""
        notes = {name.lower(): value for name, value in metadata.items()}
        size = int(notes[SIZE]) if notes.get(SIZE, NOTHING) != NOTHING else None if SIZE in notes else blob_size
        if copy_status not in {"", "success"}:
            size = None
        noted = notes.get(MODIFIED)
        return cls(
            etag,
            blob_size,
            size,
            datetime.fromisoformat(noted) if noted else modified.astimezone(UTC),
            notes.get(VERSION) or etag.strip('"'),
            notes,
            copy_status,
        )

    @property
    def mark(self) -> str:
        """The nonce of the request that left the blob as it is, if it was ours."""
        return self.metadata.get(MARK, "")

    def noted(self, mark: str) -> dict[str, str]:
        """Return the metadata of the same object after a request that changes neither its bytes nor its version."""
        if self.size is None:
            return reserved(mark)
        size = {SIZE: str(self.size)} if self.size != self.blob_size else {}
        others = {name: value for name, value in self.metadata.items() if name not in {MARK, SIZE}}
        return {**others, MARK: mark, VERSION: self.version, MODIFIED: self.modified.isoformat(), **size}

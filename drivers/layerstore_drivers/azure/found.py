"""Read a blob's properties: the object under its key, and the driver's notes that are to be believed.

A blob is an object, unless its metadata say otherwise. The metadata are the driver's notes, and each request that
changes the blob replaces them:

    layerstoremark      a nonce of the request, which identifies it when its response was lost
    layerstoresize      the number of the blob's bytes that are the object, without it all of them; or "none": a writer
                        has the key, but has published nothing
    layerstoremoving    the nonce and the target of a move that is about to copy this object
    layerstoremade      the nonce of the move that has made this object
    layerstoreversion   the version of the bytes before this note
    layerstoremodified  the time at which they last changed
    layerstorecontent   how those bytes were stored: the two above are believed only while this is still true

The version of an object is its blob's ETag, which every change changes, by any program. But opening a writer, or
moving, changes the ETag and no byte; so it notes the version from before. After that any program may change the bytes
and keep the metadata: Append Block always does, and so does a program that copies a blob's properties along with other
bytes. So the note is bound to a fact about the bytes, which the service reports, which no change of metadata touches,
and which such a change of bytes cannot preserve:

- "blocks:" and a hash of the ids and sizes of all committed blocks. Our ids begin with a nonce of the session that
  stored the blocks. A put, a copy or a list of other blocks has other ids, or none. If a blob has no block of ours,
  opening a writer stores one of its blocks again, under such an id, before it notes a version (``fence``).
- "append:" and size, number of blocks and time of creation, of an append blob. Every append changes the first two.
- "md5:" and the MD5 that the service computes of a blob that is put whole, and the time of creation; noted when such a
  blob is moved.
- "empty:" and the time of creation of a blob of no bytes, which can have no block of ours.

A note whose content does not match is ignored: then the version is the ETag. So in any doubt an object counts as
changed, and is read again. Two kinds of program escape that, both between an opening and the next publication. One
stores other bytes under the ids that are there, ours included, in the same order and sizes, and keeps all metadata. The
other makes a blob without blocks of ours anew, with the same bytes and metadata, in the second in which it was created.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties, ContentSettings


MARK = "layerstoremark"
VERSION = "layerstoreversion"
MODIFIED = "layerstoremodified"
CONTENT = "layerstorecontent"
SIZE = "layerstoresize"
MOVING = "layerstoremoving"
MADE = "layerstoremade"
NOTHING = "none"

FOLDER = "hdi_isfolder"
"""The metadata by which an account with a hierarchical namespace, and Hadoop's tools, mark a folder."""

BLOCK = "BlockBlob"
APPEND = "AppendBlob"
PAGE = "PageBlob"
"""Kinds of blobs, as the service names them."""

_BLOCKS = "blocks:"
_OWN = {MARK, VERSION, MODIFIED, CONTENT, SIZE}

Listed = Sequence[tuple[str, int]]
"""Committed blocks in their order: ids and bytes."""


def new_mark() -> str:
    """Return a nonce."""
    return uuid.uuid4().hex


def published(mark: str, content: str = "") -> dict[str, str]:
    """Return the metadata of a blob of which every byte is the object; ``content`` as :func:`content_of` returns it."""
    return {MARK: mark, **({CONTENT: content} if content else {})}


def reserved(mark: str) -> dict[str, str]:
    """Return the metadata of a blob that is no object yet."""
    return {MARK: mark, SIZE: NOTHING}


def content_of(listed: Iterable[tuple[str, int]]) -> str:
    """Return the note about the content of a blob that was stored in blocks."""
    hashed = hashlib.sha256()
    for name, size in listed:
        hashed.update(f"{name} {size}\n".encode())
    return f"{_BLOCKS}{hashed.hexdigest()[:32]}"


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
    """Of a copy onto this blob, by any program: until it is a success, there is nothing to read."""
    kind: str = BLOCK
    content: str = ""
    """How the bytes are stored, if that is known."""
    listed: Listed | None = None
    """The blob's blocks, once they were asked for."""
    created: str = ""
    """When the blob was made, in whole seconds, if that is known."""
    settings: ContentSettings | None = None
    """Properties that other programs have set, such as the type of the content."""

    @classmethod
    def of(cls, blob: BlobProperties) -> Found:
        """Read properties, as ``get_blob_properties`` or a listing with metadata returns them."""
        status = str(blob.copy.status or "")
        found = cls.read(str(blob.etag), blob.size, blob.last_modified, blob.metadata or {}, status)
        kind = str(getattr(blob.blob_type, "value", blob.blob_type) or BLOCK)
        found = replace(found, kind=kind, created=str(blob.creation_time), settings=blob.content_settings)
        content = found.metadata[CONTENT] if found.notes_blocks else cls._reported(found, blob)
        return cls._believing(replace(found, content=content))

    @classmethod
    def read(
        cls, etag: str, blob_size: int, modified: datetime, metadata: Mapping[str, str], copy_status: str = ""
    ) -> Self:
        """Read properties from where they stand; no note on a version is believed yet."""
        notes = {name.lower(): value for name, value in metadata.items()}
        size = _size(notes.get(SIZE, ""), blob_size)
        if copy_status not in {"", "success"} or _is_folder(notes, blob_size):
            size = None
        return cls(etag, blob_size, size, modified.astimezone(UTC), etag.strip('"'), notes, copy_status)

    @property
    def mark(self) -> str:
        """The nonce of the request that left the blob as it is, if it was ours."""
        return self.metadata.get(MARK, "")

    @property
    def is_folder(self) -> bool:
        """Whether it is no object, but stands for a folder."""
        return _is_folder(self.metadata, self.blob_size)

    @property
    def is_reserved(self) -> bool:
        """Whether a writer has the key, and has published nothing."""
        return self.metadata.get(SIZE) == NOTHING and self.copy_status in {"", "success"}

    @property
    def empty(self) -> str:
        """The note about the content of this blob, if it has no bytes."""
        return f"empty:{self.created}"

    @property
    def notes_version(self) -> bool:
        """Whether a version is noted, believed or not."""
        return VERSION in self.metadata and CONTENT in self.metadata and self.size is not None

    @property
    def notes_blocks(self) -> bool:
        """Whether its blocks are noted, believed or not."""
        return self.kind == BLOCK and self.blob_size > 0 and self.metadata.get(CONTENT, "").startswith(_BLOCKS)

    @property
    def is_doubtful(self) -> bool:
        """Whether the blob's blocks are needed to know the version."""
        return self.notes_version and self.notes_blocks

    def with_blocks(self, listed: Listed) -> Found:
        """Return the same blob, now that its blocks are known."""
        whole = listed and sum(size for _, size in listed) == self.blob_size
        found = replace(self, listed=listed, content=content_of(listed) if whole else self._other_content())
        return self._believing(found)

    def noted(self, mark: str) -> dict[str, str]:
        """Return the metadata of the same object after a request that changes neither its bytes nor its version."""
        if self.size is None:
            return reserved(mark)
        size = {SIZE: str(self.size)} if self.size != self.blob_size else {}
        others = {name: value for name, value in self.metadata.items() if name not in _OWN}
        kept = {VERSION: self.version, MODIFIED: self.modified.isoformat()}
        return {**others, **published(mark, self.content), **kept, **size}

    @staticmethod
    def _believing(found: Found) -> Found:
        """Take the version from the note, if that is known to be still true."""
        known = found.notes_version and (found.listed is not None or not found.is_doubtful)
        if not (known and found.content and found.metadata[CONTENT] == found.content):
            return found
        modified = found.metadata.get(MODIFIED)
        when = datetime.fromisoformat(modified) if modified else found.modified
        return replace(found, version=found.metadata[VERSION], modified=when)

    def _other_content(self) -> str:
        return "" if self.content.startswith(_BLOCKS) else self.content

    @staticmethod
    def _reported(found: Found, blob: BlobProperties) -> str:
        """Return how the bytes are stored, according to the properties; empty if they do not say."""
        if found.kind == APPEND:
            return f"append:{blob.size} {blob.append_blob_committed_block_count} {found.created}"
        if found.kind == BLOCK and not blob.size:
            return found.empty
        md5 = blob.content_settings.content_md5 if found.kind == BLOCK else None
        return f"md5:{bytes(md5).hex()} {found.created}" if md5 else ""


def _is_folder(notes: Mapping[str, str], blob_size: int) -> bool:
    return not blob_size and notes.get(FOLDER, "").lower() == "true"


def _size(noted: str, blob_size: int) -> int | None:
    if noted == NOTHING:
        return None
    return min(int(noted), blob_size) if noted.isdecimal() else blob_size


_METADATA = "x-ms-meta-"


class Stream:
    """The bytes of a ranged GET as they arrive, and the blob as the response describes it."""

    def __init__(self, response: Any, chunks: Iterator[bytes]) -> None:  # noqa: ANN401  (the SDK's, of any transport)
        """Take over a response whose headers have come."""
        self._response = response
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.found = _found(response.headers)
        self.start = _start(response.headers)
        """The offset of the first byte of the body."""

    @classmethod
    def of(cls, response: Any, chunks: Any, _headers: object) -> Self:  # noqa: ANN401  (as the SDK calls its ``cls``)
        """Make one of the SDK's response."""
        return cls(response.http_response, chunks)

    def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer with the next bytes, at most to the end of a chunk; return 0 at the end of the body.

        Raises:
            AzureError: the connection broke.
        """
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        part = self._rest[: len(buffer)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)

    def close(self) -> None:
        """Give the connection up, unless the whole body was read: then it went back by itself.

        Takes no lock of the connection pool, for it may be called in a collection, in a thread that holds it.
        """
        self._rest = memoryview(b"")
        inner = getattr(self._response, "internal_response", self._response)
        with suppress(Exception):  # a transport may raise anything when it closes a broken connection
            getattr(inner, "raw", inner).close()


def _start(headers: Mapping[str, str]) -> int:
    """Return the offset of a body; without a Content-Range it is the whole blob."""
    range_ = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(range_[1]) if range_ else 0


def _found(headers: Mapping[str, str]) -> Found:
    """Read the blob's properties from the headers of a GET."""
    size = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "0")
    notes = {name[len(_METADATA) :]: value for name, value in headers.items() if name.lower().startswith(_METADATA)}
    modified = parsedate_to_datetime(headers["Last-Modified"]).astimezone(UTC)
    return Found.read(headers["ETag"], int(size), modified, notes, headers.get("x-ms-copy-status", ""))

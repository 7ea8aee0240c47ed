"""A model of a store of layers, in dicts and bytes: the result of every step, without the core.

Every method takes the step of its name, and returns the name of the error that the store must raise; empty if none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

EMPTY: Final = f"sha256:{sha256().hexdigest()}"
"""The digest of no bytes."""


@dataclass(eq=False)
class ModelUpload:
    """An upload, there or gone."""

    name: str
    """The repository."""
    stored: bytes | None = None
    """The flushed bytes; None if there was no flush."""
    there: bool = False
    """Others know of it: since its first flush, until it is removed."""
    owner: ModelHandle | None = None
    """The handle that may flush: the one opened last, unless another program has changed the data since."""
    changed: int = 0
    """The hour at which its data was last stored for certain."""
    noted: int = 0
    """The hour at which a key beside its data was last stored, if it is still there."""
    touched: int = 0
    """The hour at which a key of it may last have been stored: a hash state, say, which the model does not have."""

    @property
    def offset(self) -> int:
        """Where a resumed upload goes on, in bytes."""
        return len(self.stored or b"")


@dataclass(eq=False)
class ModelHandle:
    """A handle on an upload."""

    upload: ModelUpload
    content: bytearray
    """The bytes at its opening, and those written since."""
    closed: bool = False
    fenced: bool = False
    """It has raised FencedError: it cancels nothing any more."""
    gone: bool = False
    """It knows that the upload is gone."""
    finished: set[str] = field(default_factory=set)
    """The digests by which it has made a layer."""


class Model:
    """All repositories, and a clock that is moved by hand."""

    def __init__(self) -> None:
        """Begin empty, at hour 0."""
        self.uploads: list[ModelUpload] = []
        self.blobs: dict[str, bytes] = {}
        """By sha256; other bytes than that if somebody has damaged them."""
        self.links: dict[tuple[str, str], str] = {}
        """The sha256 of each layer, by repository and digest."""
        self.hour = 0

    def begin(self, name: str) -> ModelHandle:
        """Begin an upload."""
        upload = ModelUpload(name, changed=self.hour, touched=self.hour)
        self.uploads.append(upload)
        return self._opened(upload)

    def resume(self, upload: ModelUpload, offset: int | None) -> ModelHandle | str:
        """Open an upload, if it is there and at the offset; return the handle, or the error."""
        if not upload.there:
            return "UnknownUploadError"
        if offset not in (None, upload.offset):
            return "OffsetMismatchError"  # and nobody is fenced
        return self._opened(upload)

    def _opened(self, upload: ModelUpload) -> ModelHandle:
        upload.owner = ModelHandle(upload, bytearray(upload.stored or b""))
        return upload.owner

    def write(self, handle: ModelHandle, offset: int, data: bytes) -> tuple[str, ...]:
        """Write; return every possible result: a write of a fenced handle may be accepted (F3)."""
        if handle.closed:
            return ("LayerClosedError",)
        handle.content.extend(bytes(max(0, offset - len(handle.content))))
        handle.content[offset : offset + len(data)] = data
        return ("",) if handle.upload.owner is handle else ("", self.refusal(handle))

    def refusal(self, handle: ModelHandle) -> str:
        """Return the error that a handle which is no owner raises, sooner or later."""
        return "FencedError" if handle.upload.there else "UnknownUploadError"

    def refused(self, handle: ModelHandle) -> str:
        """Raise it; if the upload is gone, that closes the handle."""
        if handle.upload.there:
            handle.fenced = True
        else:
            handle.closed = handle.gone = True
        return self.refusal(handle)

    def flush(self, handle: ModelHandle) -> str:
        """Store what was written."""
        if handle.closed:
            return "LayerClosedError"
        if handle.upload.owner is not handle:
            return self.refused(handle)
        self._store(handle.upload, bytes(handle.content))
        return ""

    def close(self, handle: ModelHandle) -> str:
        """Flush, and close even if that fails."""
        said = "" if handle.closed else self.flush(handle)
        handle.closed = True
        return said

    def finish(self, handle: ModelHandle, wanted: str, canonical: str, error: str) -> str:
        """Make a layer of it by the digest ``wanted``; ``error`` is the one that digest or size must raise."""
        if wanted in handle.finished:
            return self.fetch(handle.upload.name, wanted)[0]
        if handle.closed:
            return "LayerClosedError"
        straight = handle.upload.owner is handle and not handle.upload.there
        if not straight and (said := self.flush(handle)):
            return said
        if error:
            return error
        self.blobs[canonical] = bytes(handle.content)
        for digest in (wanted, canonical):
            self.links[handle.upload.name, digest] = canonical
        handle.finished = {wanted, canonical}
        self._remove(handle)
        return ""

    def cancel(self, handle: ModelHandle) -> None:
        """Remove the upload; a handle that has raised FencedError is only closed."""
        handle.closed = True
        if not (handle.fenced or handle.gone):
            self._remove(handle)

    def _remove(self, handle: ModelHandle) -> None:
        handle.closed = handle.gone = True
        self.remove(handle.upload)
        handle.upload.owner = None

    def remove(self, upload: ModelUpload) -> str:
        """Cancel or purge an upload, whichever handle owns it."""
        if not upload.there:
            return "UnknownUploadError"
        upload.there, upload.owner, upload.stored = False, None, None
        return ""

    def replace_data(self, upload: ModelUpload, data: bytes) -> None:
        """Put other bytes in the place of an upload's data, as another program does."""
        self._store(upload, data)
        upload.owner = None

    def _store(self, upload: ModelUpload, data: bytes) -> None:
        if upload.stored != data:
            upload.changed = self.hour
        upload.stored, upload.touched, upload.noted = data, self.hour, 0
        upload.there = True

    def note(self, upload: ModelUpload) -> None:
        """Store something beside the data, as another program does."""
        upload.noted = upload.touched = self.hour

    def forget_notes(self, upload: ModelUpload) -> None:
        """Delete the keys beside the data."""
        upload.noted = 0

    def drop(self, handle: ModelHandle) -> None:
        """Drop a handle without closing it, as a dying process does."""
        if handle.upload.owner is handle:
            handle.upload.owner = None

    def fetch(self, name: str, digest: str) -> tuple[str, bytes]:
        """Return the error, or no error and the bytes."""
        data = self._served(self.links.get((name, digest), ""))
        return ("UnknownLayerError", b"") if data is None else ("", data)

    def _served(self, canonical: str) -> bytes | None:
        """Return the bytes of a blob; None if it is missing, or empty under a digest of some bytes."""
        data = self.blobs.get(canonical)
        return data if data or canonical == EMPTY else None

    def mount(self, name: str, digest: str, source: str) -> str:
        """Link a layer of one repository into another."""
        said, _ = self.fetch(source, digest)
        if not said:
            canonical = self.links[source, digest]
            for each in (digest, canonical):
                self.links[name, each] = canonical
        return said

    def unlink(self, name: str, digest: str) -> str:
        """Unlink a layer from a repository."""
        return "UnknownLayerError" if self.links.pop((name, digest), None) is None else ""

    def old(self, hours: float) -> tuple[list[ModelUpload], list[ModelUpload]]:
        """Return the uploads that are certainly older, and those that may be."""
        there = [each for each in self.uploads if each.there]
        certain = [each for each in there if self.hour - each.touched >= hours]
        possible = [each for each in there if self.hour - max(each.changed, each.noted) >= hours]
        return certain, [each for each in possible if each not in certain]

    def listed(self) -> list[tuple[str, int]]:
        """Return the repositories and offsets of all uploads."""
        return sorted((each.name, each.offset) for each in self.uploads if each.there)

    def layers(self) -> list[tuple[str, str, int]]:
        """Return the repositories, digests and sizes of all layers."""
        found = [(name, digest, self._served(target)) for (name, digest), target in self.links.items()]
        return sorted((name, digest, len(data)) for name, digest, data in found if data is not None)

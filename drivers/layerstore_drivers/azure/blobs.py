"""Every call of the SDK: one container's blobs, by key, with the contract's errors.

Bodies are bytes, so that the SDK can send them again. It does so when a request or its response is lost, and the second
request then meets the result of the first. So every request but ``put`` is conditional, and leaves a mark on the blob
(``found``), by which its sender recognises its own work.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobPrefix

from layerstore.errors import (
    BackendUnavailableError,
    DriverError,
    FencedError,
    InvalidPathError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore_drivers.azure.errors import code_of, translated
from layerstore_drivers.azure.found import Found, Listed, Stream

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobProperties, ContainerClient, ContentSettings
    from azure.storage.blob._generated.models import BlockList

    from layerstore_drivers.azure.options import Checksum

MAX_NAME = 1024
"""Bytes of a blob's name."""

MAX_SEGMENTS = 254
"""Parts of a blob's name between slashes (Microsoft's documentation)."""

BATCH = 256
"""Deletes in one request."""

PAGE = 5000
"""Blobs in one answer to a listing; the service gives no more, and may give fewer."""

ATTEMPTS = 100
"""How often an operation starts again because others came in between. Each time one of them has succeeded."""

ABSENT = ""
"""Instead of an ETag: there must be no blob."""


class _Pages(Iterator[Any], Protocol):
    """The SDK's listings, by page."""

    continuation_token: str | None


class Stored(NamedTuple):
    """The service's answer to a request that has changed a blob."""

    etag: str
    modified: datetime


class Blobs:
    """The blobs below a prefix. Threads may share it."""

    def __init__(
        self, container: ContainerClient, prefix: str, *, emulated: bool = False, checksum: Checksum = True
    ) -> None:
        """Put ``prefix``, empty or with a slash at its end, before every key; ``emulated``: Azurite answers."""
        self.container = container
        self.emulated = emulated
        self.hinted = False
        """Whether the driver has looked for blobs whose names differ by a leading slash."""
        self._prefix = prefix
        self._checksum = checksum

    def find(self, key: str) -> Found | None:
        """Look at a blob: everything except its version is certain. Return None if there is none."""
        try:
            with translated(key):
                return Found.of(self.blob(key).get_blob_properties())
        except PathNotFoundError:
            return None

    def look(self, key: str) -> Found | None:
        """Look at a blob, and at its blocks if these decide about a note. Return None if there is no blob.

        Raises:
            BackendUnavailableError: it is changed again and again in between.
        """
        for _ in range(ATTEMPTS):
            found = self.find(key)
            if found is None or not found.is_doubtful:
                return found
            with suppress(FencedError, PathNotFoundError):
                return self.with_blocks(key, found)
        raise BackendUnavailableError(key, f"changed {ATTEMPTS} times while it was looked at")

    def with_blocks(self, key: str, found: Found) -> Found:
        """Return the same blob with its blocks.

        Raises:
            FencedError, PathNotFoundError: the blob was changed, or is gone.
        """
        if found.listed is not None:
            return found
        etag, listed = self.blocks(key)
        if etag != found.etag:
            raise FencedError(key)
        return found.with_blocks(listed)

    def read(self, key: str, start: int, stop: int, etag: str | None = None) -> Stream:
        """Begin to read bytes from ``start`` up to ``stop``, of the blob with this ETag.

        Raises:
            FencedError: it has another one.
            PathNotFoundError: there is no blob.
            InvalidOffsetError: nothing is at ``start``.
            BackendUnavailableError: the body begins at another offset.
        """
        headers = {"If-Match": etag} if etag else {}
        with translated(key):
            # The SDK's download_blob keeps all of a range in memory before it hands out the first byte of it.
            api = self.blob(key)._client.blob  # noqa: SLF001
            got = api.download(range=f"bytes={start}-{stop - 1}", headers=headers, cls=Stream.of, decompress=False)
        stream = cast("Stream", got)
        if etag and stream.found.etag != etag:  # Azurite: changed between its look at the ETag and its answer
            stream.close()
            raise FencedError(key)
        if stream.start != start:  # a proxy or cache that knows no ranges, and sends all
            stream.close()
            raise BackendUnavailableError(key, f"asked for bytes from {start} on, sent from {stream.start} on")
        return stream

    def stage(self, key: str, block_id: str, data: bytes) -> None:
        """Store a block that no commit has named yet; the service compares its checksum."""
        with translated(key):
            self.blob(key).stage_block(block_id, data, len(data), validate_content=self._checksum)

    def commit(
        self,
        key: str,
        ids: Iterable[str],
        metadata: Mapping[str, str],
        etag: str | None,
        settings: ContentSettings | None = None,
    ) -> Stored:
        """Make a blob of blocks, in place of the one with this ETag or where there is none.

        With None instead of an ETag, any blob is replaced. ``settings`` are those of another program, and are kept.

        Raises:
            FencedError, PathNotFoundError: the blob is not as it should be, or a block is unknown.
        """
        names = [BlobBlock(each) for each in ids]
        with translated(key):
            done = self.blob(key).commit_block_list(names, settings, metadata=dict(metadata), **_if(etag))
        return Stored(str(done["etag"]), cast("datetime", done["last_modified"]))

    def blocks(self, key: str) -> tuple[str, Listed]:
        """Return the blob's ETag, and the committed blocks in their order: ids and bytes.

        There are none if an id is no text, as with another SDK: this SDK could not name such a block in a commit.
        """
        with translated(key):
            # The SDK's get_block_list keeps the ETag to itself.
            api = self.blob(key)._client.block_blob  # noqa: SLF001
            got = api.get_block_list(list_type="committed", cls=lambda _, listed, headers: (headers["ETag"], listed))
        etag, listed = cast("tuple[str, BlockList]", got)
        try:
            blocks = [(b64decode(each.name).decode(), int(each.size)) for each in listed.committed_blocks or ()]
        except UnicodeDecodeError:
            blocks = []
        return etag, blocks

    def note(self, key: str, metadata: Mapping[str, str], etag: str) -> str:
        """Replace a blob's metadata, and return its ETag.

        Raises:
            FencedError, PathNotFoundError: there is no blob with this ETag.
        """
        with translated(key):
            done = self.blob(key).set_blob_metadata(dict(metadata), **_if(etag))
        return str(done["etag"])

    def copy(self, url: str, authorization: str | None, etag: str, target: str, metadata: Mapping[str, str]) -> str:
        """Copy the blob at a URL, if it has this ETag, over ``target``, and return the copy's status.

        Raises:
            FencedError: the source has another ETag.
            PathNotFoundError: there is no source.
        """
        options: dict[str, Any] = {"source_etag": etag, "source_match_condition": MatchConditions.IfNotModified}
        if authorization:
            options["source_authorization"] = authorization
        with translated(target):
            done = self.blob(target).start_copy_from_url(url, dict(metadata), requires_sync=True, **options)
        return str(done["copy_status"] or "")

    def abort_copy(self, key: str) -> None:
        """Stop a copy onto a blob that is pending."""
        with translated(key):
            blob = self.blob(key)
            blob.abort_copy(blob.get_blob_properties())

    def stage_from(
        self, url: str, authorization: str | None, etag: str, start: int, size: int, target: str, block_id: str
    ) -> None:
        """Store a range of the blob at a URL as a block, if that blob has this ETag.

        Raises:
            FencedError: it has another one.
            PathNotFoundError: there is none.
            UnsupportedOperationError: this service cannot.
        """
        options: dict[str, Any] = {"source_authorization": authorization} if authorization else {}
        headers = {"x-ms-source-if-match": etag}
        with translated(target):
            self.blob(target).stage_block_from_url(block_id, url, start, size, headers=headers, **options)

    def put(self, key: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """Store a blob whole, over any other. The service compares its MD5, and keeps it (see ``found``)."""
        with translated(key):
            self.blob(key).upload_blob(
                data, length=len(data), overwrite=True, metadata=dict(metadata), validate_content=True
            )

    def delete(self, key: str, etag: str | None = None) -> None:
        """Delete a blob; with this ETag, if one is given.

        Raises:
            PathNotFoundError: there is none.
            FencedError: it has another ETag.
        """
        with translated(key):
            self.blob(key).delete_blob(delete_snapshots="include", **_if(etag))

    def delete_folder(self, key: str) -> None:
        """Delete a folder. A missing one, or one that is not empty, is no error."""
        with suppress(PathNotFoundError, UnsupportedOperationError), translated(key):
            self.blob(key).delete_blob()  # of a folder the service deletes no snapshots, not even none

    def delete_all(self, keys: Sequence[str]) -> None:
        """Delete at most ``BATCH`` blobs, in any order. A missing one is no error."""
        if len(keys) > 1 and self._delete_at_once(keys):
            return
        for key in keys:
            with suppress(PathNotFoundError):
                self.delete(key)

    def _delete_at_once(self, keys: Sequence[str]) -> bool:
        """Delete in one request, and return whether all are gone: not every credential or service allows it."""
        names = [{"name": self._name(key), "delete_snapshots": "include"} for key in keys]
        try:
            with translated(keys[0]):
                answers = [each.status_code for each in self.container.delete_blobs(*names, raise_on_any_failure=False)]
        except DriverError:
            return False  # deleted one by one, they give a better error
        return len(answers) == len(keys) and set(answers) <= {HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND}

    def first_page(self, prefix: str, page: int = 0) -> tuple[list[tuple[str, Found]], bool]:
        """Return the first blobs whose key begins with ``prefix``, in order, and whether there are more."""
        pages = self._list(prefix, page or PAGE)
        found = next(self._read(prefix, pages), [])
        return found, bool(pages.continuation_token)

    def pages(self, prefix: str, *, page: int = PAGE) -> Iterator[list[tuple[str, Found]]]:
        """Yield pages of all blobs whose key begins with ``prefix``, in order."""
        return self._read(prefix, self._list(prefix, page))

    def children(self, prefix: str) -> Iterator[list[tuple[str, Found | None]]]:
        """Yield pages of the blobs directly below ``prefix``, in order; of deeper ones their prefix, with None."""
        pages = self.container.walk_blobs(self._prefix + prefix, include=["metadata", "copy"], delimiter="/")
        for page in self._read(prefix, cast("_Pages", pages.by_page())):
            yield sorted(page, key=lambda each: each[0])  # the SDK puts a page's prefixes before its blobs

    def beside_slash(self, prefix: str) -> tuple[str, str] | None:
        """Return ``prefix`` in names, and with its leading slash added or removed, if blobs are below the latter."""
        name = self._prefix + prefix
        other = name[1:] if name.startswith("/") else f"/{name}"
        with translated(prefix):
            there = next(iter(self.container.list_blob_names(name_starts_with=other, results_per_page=1)), None)
        return (name, other) if there and other else None

    def _list(self, prefix: str, page: int) -> _Pages:
        pages = self.container.list_blobs(self._prefix + prefix, include=["metadata", "copy"], results_per_page=page)
        return cast("_Pages", pages.by_page())

    def _read(self, prefix: str, pages: Iterator[Any]) -> Iterator[list[tuple[str, Any]]]:
        while True:
            with translated(prefix):
                page = next(pages, None)
                if page is None:
                    return
                found = [(self._key(each), None if isinstance(each, BlobPrefix) else Found.of(each)) for each in page]
            yield found

    def create_container(self) -> None:
        """Make the container, unless it is there."""
        try:
            with translated(""):
                try:
                    self.container.create_container()
                except HttpResponseError as error:
                    if code_of(error) != "ContainerAlreadyExists":
                        raise
        except PathNotFoundError as error:
            raise BackendUnavailableError("", "the container cannot be made") from error

    def blob(self, key: str) -> BlobClient:
        """Return the SDK's client of one blob."""
        return self.container.get_blob_client(self._name(key))

    def _name(self, key: str) -> str:
        name = self._prefix + key
        if len(name) > MAX_NAME:
            raise InvalidPathError(key, f"{len(name)} bytes with the prefix of the URL; the service takes {MAX_NAME}")
        if (segments := name.count("/") + 1) > MAX_SEGMENTS:
            raise InvalidPathError(key, f"{segments} segments with the prefix of the URL; it takes {MAX_SEGMENTS}")
        return name

    def _key(self, blob: BlobProperties | BlobPrefix) -> str:
        return str(blob.name)[len(self._prefix) :]


def _if(etag: str | None) -> dict[str, Any]:
    """Return the condition that a blob has this ETag, or is absent; none for None."""
    if etag is None:
        return {}
    if etag == ABSENT:
        return {"match_condition": MatchConditions.IfMissing}
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def is_missing_container(error: BackendUnavailableError) -> bool:
    """Return whether the container is missing."""
    return "ContainerNotFound" in error.detail

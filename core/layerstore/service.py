"""The service: layers and uploads of every repository in one backend."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, get_args

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.contents.listing import Listing
from layerstore.digest import Digest
from layerstore.errors import (
    BackendUnavailableError,
    InvalidDigestError,
    InvalidUploadIDError,
    LayerExistsError,
    OffsetMismatchError,
    PathNotFoundError,
    UnknownLayerError,
    UnknownUploadError,
)
from layerstore.fslayer import FSLayer
from layerstore.layer import Layer, has_layer, open_layer, renew_layer, signed_url
from layerstore.layout import UploadKeys
from layerstore.threads.owned import Single
from layerstore.upkeep import collect, purge, scrub
from layerstore.upkeep.collect import DAY, GRACE
from layerstore.uploads import finish
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool, Verify, naming
from layerstore.uploads.upload import LayerUpload

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from layerstore.driver import Driver
    from layerstore.upkeep.collect import CollectReport
    from layerstore.upkeep.purge import PurgeReport
    from layerstore.upkeep.scrub import Progress, ScrubReport
    from layerstore.uploads.finish import Moved


SIGNED = timedelta(minutes=20)
"""How long a layer can be read by its URL, unless something else is asked for: time to begin in."""


class LayerInfo(NamedTuple):
    """A layer in a listing."""

    name: str
    digest: Digest
    size: int
    """Bytes."""
    created_at: datetime
    """When it was linked into the repository; aware, in UTC."""


class UploadInfo(NamedTuple):
    """An upload in a listing."""

    name: str
    uuid: str
    offset: int
    """Bytes stored: a resumed upload goes on there."""
    started_at: datetime
    """Aware, in UTC."""
    modified: datetime
    """When bytes were last stored; aware, in UTC."""


class LayerService(Single):
    """Layers and uploads of every repository in one backend.

    :func:`layerstore.open` returns one. Threads may share it.
    """

    def __init__(self, driver: Driver, *, verify: Verify = "resume") -> None:
        """Serve the layers that ``driver`` stores.

        ``verify`` selects how ``finish`` verifies the bytes. ``"resume"`` reads back only bytes that were not hashed on
        their way in. ``"reread"`` reads back all, and so also finds out if the backend lost or changed some.

        Raises:
            ValueError: ``verify`` is not a policy.
        """
        if verify not in get_args(Verify):
            raise ValueError(f"verify is one of {', '.join(get_args(Verify))}, not {verify!r}")
        self.driver = driver if isinstance(driver, CheckedDriver) else CheckedDriver(driver)
        self.verify: Verify = verify

    def exists(self, name: str, digest: Digest | str) -> bool:
        """Return whether a repository has a layer.

        Raises:
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        return has_layer(self.driver, name, Digest.parse(digest))

    def renew(self, name: str, digest: Digest | str) -> bool:
        """Return whether a repository has a layer, and keep its link from :meth:`collect` for as long as a new one.

        A registry asks this before it answers that it has a layer, and when a manifest that refers to it is stored.

        Raises:
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        return renew_layer(self.driver, name, Digest.parse(digest))

    def fetch(self, name: str, digest: Digest | str) -> Layer:
        """Open a layer for reading. The bytes are not hashed again.

        Raises:
            UnknownLayerError: the repository does not have the layer.
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        return open_layer(self.driver, name, Digest.parse(digest))

    def redirect_url(self, name: str, digest: Digest | str, *, lasts: timedelta = SIGNED) -> str | None:
        """Return a URL by which anybody can read a layer for a while, without this store; None where there is none.

        Raises:
            UnknownLayerError, InvalidNameError, InvalidDigestError: as :meth:`fetch`.
        """
        return signed_url(self.driver, name, Digest.parse(digest), lasts)

    def upload(self, name: str, *, expected: Digest | str | None = None) -> LayerUpload:
        """Begin an upload. Nothing is stored yet: others know of it from its first ``flush`` or ``close`` on.

        Raises:
            LayerExistsError: the repository already has the layer ``expected``.
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        keys = UploadKeys(name, str(uuids.uuid4()))
        if expected is not None:
            self._refuse_existing(name, Digest.parse(expected))
        started_at = datetime.now(UTC).replace(microsecond=0)
        return self._open(keys, started_at, Front(self.driver, keys), known=False)

    def begin(self, name: str, *, uuid: str | None = None) -> UploadInfo:
        """Begin an upload that others know of, and leave it to whoever resumes it: one small object is stored.

        A ``uuid`` that is given must be new, as a random one is.

        Raises:
            InvalidNameError, InvalidUploadIDError: no name, or no id.
        """
        keys = UploadKeys(name, str(uuids.uuid4()) if uuid is None else uuid)
        started_at = datetime.now(UTC).replace(microsecond=0)
        finish.put_start(self.driver, keys, started_at)
        return UploadInfo(name, keys.uuid, 0, started_at, started_at)

    def _refuse_existing(self, name: str, expected: Digest) -> None:
        with suppress(BackendUnavailableError):  # the first write may make it; if not, that says why
            if self.exists(name, expected):
                raise LayerExistsError(name, str(expected))

    def resume(self, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        """Go on with an upload, positioned at the end of the stored bytes; earlier handles on it are fenced.

        ``offset``, in bytes, is compared with that position, if given.

        Raises:
            UnknownUploadError: there is no such upload, or no longer.
            OffsetMismatchError: the upload is at another offset, which the error has. No handle is fenced then, with
                one exception: a handle has stored bytes after the offset was read and before it could be fenced.
            InvalidNameError, InvalidUploadIDError: no name, or no id.
        """
        keys = UploadKeys(name, uuid)
        with naming(keys):
            if offset is None:
                started_at = self._started_at(keys)
            else:
                at = self._status(keys)
                started_at = at.started_at
                _compare(offset, at.offset)
            return self._open(keys, started_at, self._taken_over(keys, offset), known=True)

    def status(self, name: str, uuid: str) -> UploadInfo:
        """Return how far an upload has come. No handle is fenced: its writer goes on.

        Raises:
            UnknownUploadError: there is no such upload, or no longer.
            InvalidNameError, InvalidUploadIDError: no name, or no id.
        """
        keys = UploadKeys(name, uuid)
        with naming(keys):
            return self._status(keys)

    def cancel(self, name: str, uuid: str) -> None:
        """Remove an upload and all it has stored. Open handles on it raise ``UnknownUploadError`` from then on.

        Raises:
            UnknownUploadError: there is no such upload, or no longer.
            InvalidNameError, InvalidUploadIDError: no name, or no id.
        """
        keys = UploadKeys(name, uuid)
        with naming(keys):
            known = self.driver.find(keys.started_at) is not None
            finish.remove(self.driver, keys)  # also what an earlier one has left, that was cut off
        if not known:
            raise UnknownUploadError(name, uuid)

    def mount(self, name: str, digest: Digest | str, *, source: str) -> Layer:
        """Link a layer of the repository ``source`` into another one, and return it; no bytes are copied.

        Raises:
            UnknownLayerError: ``source`` does not have the layer.
            LayerExistsError: ``digest`` is a tarsum under which this repository has other bytes.
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        wanted = Digest.parse(digest)
        layout.check_name(name)
        with self.fetch(source, wanted) as layer:
            canonical = layer.canonical
        for each in {wanted: None, canonical: None}:
            links.write(self.driver, name, each, canonical)
        return self.fetch(name, wanted)

    def unlink(self, name: str, digest: Digest | str) -> None:
        """Remove a layer from a repository under this digest. Its bytes and its other digests stay.

        Raises:
            UnknownLayerError: the repository has no link for the digest.
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        wanted = Digest.parse(digest)
        key = layout.link(name, wanted)
        if self.driver.find(key) is None:
            raise UnknownLayerError(name, FSLayer(str(wanted)))
        self.driver.delete(key)

    def repositories(self, *, after: str = "") -> Iterator[str]:
        """Yield the names of all repositories that have a layer, an upload or a manifest.

        Ascending, as paths: ``a`` before ``a/b`` before ``a-b``. With ``after``, only names that come after it; no
        repository need have that name.

        This and the other listings leave out what is not understood, such as a symlink, and log one warning about it.
        """
        listing = Listing(self.driver)
        yield from listing.repositories(after=after)
        listing.tell()

    def layers(self, name: str | None = None) -> Iterator[LayerInfo]:
        """Yield the layers of one repository, or of all: one entry for each digest by which a layer is linked.

        Raises:
            InvalidNameError: no name.
        """
        listing = Listing(self.driver)
        for repository in listing.repositories() if name is None else [layout.check_name(name)]:
            for digest in listing.layers(repository):
                yield from self._layer(repository, digest)
        listing.tell()

    def uploads(self, name: str | None = None) -> Iterator[UploadInfo]:
        """Yield the uploads of one repository, or of all.

        Raises:
            InvalidNameError: no name.
        """
        listing = Listing(self.driver)
        for repository in listing.repositories() if name is None else [layout.check_name(name)]:
            for uuid in listing.uploads(repository):
                yield from self._upload(repository, uuid)
        listing.tell()

    def purge(
        self, older_than: timedelta, *, name: str | None = None, dry_run: bool = False, now: datetime | None = None
    ) -> PurgeReport:
        """Remove abandoned uploads of one repository, or of all, and leftovers of ended uploads.

        An upload is removed if it was begun, and last written to, at least ``older_than`` before ``now`` (aware). Open
        handles on it raise ``UnknownUploadError`` from then on. An upload that is written to meanwhile stays; its
        writer may be fenced. Failures are reported, and the purge goes on with the other uploads. A dry run lists
        what a run would remove.

        Raises:
            InvalidNameError: no name.
            ValueError: ``older_than`` is negative.
        """
        return purge.purge(self.driver, older_than, name=name, dry_run=dry_run, now=now)

    def scrub(
        self,
        *,
        name: str | None = None,
        jobs: int = 1,
        since: datetime | None = None,
        quarantine: bool = False,
        after: str | None = None,
        progress: Progress | None = None,
    ) -> ScrubReport:
        """Read all blobs, or those of one repository, and report findings on them and on the links to them.

        The report is an iterator of the findings: the scrub goes on while they are read. Findings of blobs come in
        ascending order of their sha256. With ``after``, the hex of a sha256, only later blobs are read.
        Blobs stored before ``since`` (aware) are not read. With ``quarantine`` a damaged blob is moved away, so that
        fetching it raises ``UnknownLayerError``. ``progress`` is called with the number of bytes read, in ``jobs``
        threads; what it raises ends the scrub, and is raised by it.

        Raises:
            InvalidNameError, InvalidDigestError: no name, or ``after`` is not the hex of a sha256.
            ValueError: ``jobs`` is less than 1, or ``since`` is not aware.
        """
        return scrub.scrub(
            self.driver, name=name, jobs=jobs, since=since, quarantine=quarantine, after=after, progress=progress
        )

    def collect(
        self,
        *,
        dry_run: bool = False,
        now: datetime | None = None,
        grace: timedelta | None = None,
        ignore_foreign: bool = False,
        unreferenced: bool = False,
        untagged: bool = False,
    ) -> CollectReport:
        """Delete blobs that no repository links and no finish has claimed, if they are older than ``grace`` at ``now``.

        With ``ignore_foreign``, foreign things are ignored, and listed in the report: blobs that only a repository
        behind a symlink uses are deleted.

        With ``unreferenced``, links to layers that no manifest of their repository refers to are dropped before that,
        if they were written ``grace`` before ``now``. Layers that were stored without a manifest are among them. With
        ``untagged``, so are manifests that no tag, no index and no subject leads to. A repository stays whole if
        anything in it could not be understood; ``report.dropped`` says which.

        ``grace`` is an hour by default, and a day with ``unreferenced``. It has to be longer than a client's push.

        Raises:
            MarkingIncompleteError: a link could not be listed, read or understood; nothing was deleted.
            ValueError: ``untagged`` without ``unreferenced``.
        """
        return collect.collect(
            self.driver,
            dry_run=dry_run,
            now=now,
            grace=grace if grace is not None else DAY if unreferenced else GRACE,
            ignore_foreign=ignore_foreign,
            unreferenced=unreferenced,
            untagged=untagged,
        )

    def close(self) -> None:
        """Close the driver. The service must not be used afterwards; closing it again does nothing."""
        self.driver.close()

    def __repr__(self) -> str:
        return f"<LayerService {self.driver.scheme} verify={self.verify}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, keys: UploadKeys, started_at: datetime, content: Front | Moved, *, known: bool) -> LayerUpload:
        return LayerUpload(self.driver, keys, started_at=started_at, verify=self.verify, content=content, known=known)

    def _taken_over(self, keys: UploadKeys, offset: int | None) -> Front | Moved:
        spool = Spool(self.driver, keys)
        try:
            content = self._content(keys, spool)
            if offset is not None:
                _compare(offset, content.size)
        except BaseException:
            spool.release()
            raise
        return content

    def _content(self, keys: UploadKeys, spool: Spool) -> Front | Moved:
        """Return the bytes to go on with. The writer is open by now, so they cannot have gone since."""
        moved = finish.find_moved(self.driver, keys) if spool.version is None else None
        if self.driver.find(keys.started_at) is None:
            finish.remove(self.driver, keys)
            raise UnknownUploadError(keys.name, keys.uuid)
        if spool.version is None and moved is None and next(self.driver.list(keys.intents), None) is not None:
            raise UnknownUploadError(keys.name, keys.uuid)  # its blob is gone
        if moved is None:
            return Front(self.driver, keys, spool)
        spool.release()
        return moved

    def _started_at(self, keys: UploadKeys) -> datetime:
        try:
            readable = finish.started_at(self.driver, keys)
        except PathNotFoundError:
            raise UnknownUploadError(keys.name, keys.uuid) from None
        return readable or self.driver.stat(keys.started_at).modified

    def _layer(self, name: str, text: str) -> Iterator[LayerInfo]:
        try:
            with self.fetch(name, text) as layer:
                yield LayerInfo(name, layer.digest, layer.size, layer.created_at)
        except (InvalidDigestError, UnknownLayerError):
            return  # not ours, or gone since it was listed

    def _upload(self, name: str, uuid: str) -> Iterator[UploadInfo]:
        try:
            yield self.status(name, uuid)
        except (InvalidUploadIDError, UnknownUploadError):
            return  # not ours, or gone since it was listed

    def _status(self, keys: UploadKeys) -> UploadInfo:
        """Look for the bytes, then for the upload: if it is still there, it had no others."""
        stat = self.driver.find(keys.data)
        if stat is not None:
            return UploadInfo(keys.name, keys.uuid, stat.size, self._started_at(keys), stat.modified)
        intended = next(self.driver.list(keys.intents), None) is not None  # before any data is moved
        moved = finish.find_moved(self.driver, keys) if intended else None
        if moved is None and intended:
            raise UnknownUploadError(keys.name, keys.uuid)  # its blob is gone, or a purge was cut off
        started_at = self._started_at(keys)
        return UploadInfo(keys.name, keys.uuid, moved.size if moved else 0, started_at, started_at)


def _compare(offset: int, actual: int) -> None:
    if offset != actual:
        raise OffsetMismatchError(offset, actual)

"""The service: layers and uploads of every repository in one backend."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, get_args

from layerstore import collect, finish, layout, links, purge, scrub
from layerstore.checked import CheckedDriver
from layerstore.collect import GRACE
from layerstore.digest import TARSUM, Digest, FSLayer
from layerstore.errors import (
    BackendUnavailableError,
    InvalidDigestError,
    InvalidUploadIDError,
    LayerExistsError,
    LayerUploadUnknownError,
    OffsetMismatchError,
    PathNotFoundError,
    UnknownLayerError,
)
from layerstore.front import Front
from layerstore.layer import Layer, open_layer
from layerstore.layout import UploadKeys
from layerstore.spool import Spool, Verify
from layerstore.upload import LayerUpload

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from layerstore.collect import CollectReport
    from layerstore.driver import Driver
    from layerstore.finish import Moved
    from layerstore.purge import PurgeReport
    from layerstore.scrub import Progress
    from layerstore.survey import Finding


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
    """Bytes stored; where a resumed upload goes on."""
    started_at: datetime
    """Aware, in UTC."""
    modified: datetime
    """When bytes were last stored; aware, in UTC."""


class LayerService:
    """Layers and uploads of every repository in one backend (the seed's ``LayerService``).

    Threads share a service. Got from :func:`layerstore.open`, or made of a driver.
    """

    def __init__(self, driver: Driver, *, verify: Verify = "resume") -> None:
        """Serve what ``driver`` stores.

        ``verify`` is how ``finish`` makes sure of the bytes. ``"resume"`` reads back only those that were not hashed on
        the way in; ``"reread"`` reads back all, and so also catches a backend that lost or changed some.

        Raises:
            ValueError: another policy.
        """
        if verify not in get_args(Verify):
            raise ValueError(f"verify is one of {', '.join(get_args(Verify))}, not {verify!r}")
        self.driver = driver if isinstance(driver, CheckedDriver) else CheckedDriver(driver)
        self.verify: Verify = verify

    def exists(self, name: str, digest: Digest | str) -> bool:
        """Tell whether a repository has a layer.

        Raises:
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        canonical = links.read(self.driver, name, Digest.parse(digest))
        return canonical is not None and self.driver.find(layout.blob(canonical)) is not None

    def fetch(self, name: str, digest: Digest | str) -> Layer:
        """Open a layer for reading.

        Raises:
            UnknownLayerError: the repository does not have it.
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        return open_layer(self.driver, name, Digest.parse(digest))

    def upload(self, name: str, *, expected: Digest | str | None = None) -> LayerUpload:
        """Begin an upload. Nothing is stored yet: others know of it from its first ``flush`` or ``close`` on.

        Raises:
            LayerExistsError: the repository already has the layer that is to be uploaded, if that was said.
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        keys = UploadKeys(name, str(uuids.uuid4()))
        if expected is not None:
            self._refuse_existing(name, Digest.parse(expected))
        started_at = datetime.now(UTC).replace(microsecond=0)
        return self._open(keys, started_at, Front(self.driver, keys), known=False)

    def _refuse_existing(self, name: str, expected: Digest) -> None:
        with suppress(BackendUnavailableError):  # the first write may make it; if not, that says why
            if self.exists(name, expected):
                raise LayerExistsError(name, str(expected))

    def resume(self, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        """Go on with an upload, positioned at the end of what is stored; earlier handles on it are fenced.

        ``offset`` in bytes is compared with that position, if given.

        Raises:
            LayerUploadUnknownError: no such upload, or no longer.
            OffsetMismatchError: it is at another offset; it tells which. Earlier handles are fenced all the same.
            InvalidNameError, InvalidUploadIDError: no name, or no id.
        """
        keys = UploadKeys(name, uuid)
        started_at = self._started_at(keys)
        spool = Spool(self.driver, keys)
        try:
            content = self._content(keys, spool)
            if offset is not None and offset != content.size:
                raise OffsetMismatchError(offset, content.size)
        except BaseException:
            spool.release()
            raise
        return self._open(keys, started_at, content, known=True)

    def cancel(self, name: str, uuid: str) -> None:
        """Remove an upload and all it has stored; whoever has it open finds it gone.

        Raises:
            LayerUploadUnknownError: no such upload, or no longer.
            InvalidNameError, InvalidUploadIDError: no name, or no id.
        """
        keys = UploadKeys(name, uuid)
        known = self.driver.find(keys.started_at) is not None
        finish.remove(self.driver, keys)  # also what an earlier one has left, that was cut off
        if not known:
            raise LayerUploadUnknownError(name, uuid)

    def mount(self, name: str, digest: Digest | str, *, source: str) -> Layer:
        """Link a layer of the repository ``source`` into another one, and return it; no bytes are copied.

        Raises:
            UnknownLayerError: ``source`` does not have it.
            LayerExistsError: a tarsum that other bytes have in this repository.
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
        """Take a layer out of a repository under this digest; its bytes, and its other names, stay.

        Raises:
            UnknownLayerError: the repository has no link for the digest.
            InvalidNameError, InvalidDigestError: no name, or no digest.
        """
        wanted = Digest.parse(digest)
        key = layout.link(name, wanted)
        if self.driver.find(key) is None:
            raise UnknownLayerError(name, FSLayer(str(wanted)))
        self.driver.delete(key)

    def repositories(self) -> Iterator[str]:
        """Yield the names of all repositories that have a layer or an upload."""
        return self._repositories("")

    def layers(self, name: str | None = None) -> Iterator[LayerInfo]:
        """Yield the layers of one repository, or of all, under each digest they are linked by.

        Raises:
            InvalidNameError: no name.
        """
        for repository in self.repositories() if name is None else [layout.check_name(name)]:
            for algorithm in ("sha256", "sha384", "sha512", TARSUM):
                for hexdigits in self._below(layout.links(repository, algorithm)):
                    yield from self._layer(repository, f"{algorithm}:{hexdigits}")

    def uploads(self, name: str | None = None) -> Iterator[UploadInfo]:
        """Yield the uploads of one repository, or of all.

        Raises:
            InvalidNameError: no name.
        """
        for repository in self.repositories() if name is None else [layout.check_name(name)]:
            for uuid in self._below(layout.uploads(repository)):
                yield from self._upload(repository, uuid)

    def purge(
        self, older_than: timedelta, *, name: str | None = None, dry_run: bool = False, now: datetime | None = None
    ) -> PurgeReport:
        """Remove abandoned uploads of one repository, or of all, and what ended ones have left.

        Those go that were begun, and last written to, at least ``older_than`` before ``now`` (aware). Who has one of
        them open is told that it is gone; one that is written to meanwhile is let go of, its writer fenced. What fails
        is reported, and the rest goes on. A dry run lists what a run would remove.

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
    ) -> Iterator[Finding]:
        """Read all blobs, or those of one repository, and yield what is found of them and of the links to them.

        Findings of blobs come in ascending order of their sha256; ``after``, the hex of one, goes on behind it. Those
        stored before ``since`` (aware) are not read. With ``quarantine`` a damaged one is moved away, so that fetching
        it says ``UnknownLayerError``. ``progress`` is told of bytes read, in ``jobs`` threads.

        Raises:
            InvalidNameError, InvalidDigestError: no name, or ``after`` no hex of a sha256.
            ValueError: less than one job, or ``since`` not aware.
        """
        return scrub.scrub(
            self.driver, name=name, jobs=jobs, since=since, quarantine=quarantine, after=after, progress=progress
        )

    def collect(self, *, dry_run: bool = False, now: datetime | None = None, grace: timedelta = GRACE) -> CollectReport:
        """Delete the blobs that no repository links and no finish has claimed, stored ``grace`` before ``now``.

        Raises:
            MarkingIncompleteError: a link could not be listed, read or understood; nothing was deleted.
        """
        return collect.collect(self.driver, dry_run=dry_run, now=now, grace=grace)

    def close(self) -> None:
        """Close the driver; the service is not used again. Closing again does nothing."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, keys: UploadKeys, started_at: datetime, content: Front | Moved, *, known: bool) -> LayerUpload:
        return LayerUpload(self.driver, keys, started_at=started_at, verify=self.verify, content=content, known=known)

    def _content(self, keys: UploadKeys, spool: Spool) -> Front | Moved:
        """Find out what there is to go on with: after the writer was opened, so that nothing can have gone since."""
        moved = finish.find_moved(self.driver, keys) if spool.version is None else None
        if self.driver.find(keys.started_at) is None:
            finish.remove(self.driver, keys)
            raise LayerUploadUnknownError(keys.name, keys.uuid)
        if spool.version is None and moved is None and next(self.driver.list(keys.intents), None) is not None:
            raise LayerUploadUnknownError(keys.name, keys.uuid)  # its blob is gone
        if moved is None:
            return Front(self.driver, keys, spool)
        spool.release()
        return moved

    def _started_at(self, keys: UploadKeys) -> datetime:
        try:
            text = self.driver.get(keys.started_at, 64).decode("ascii", "replace")
            return datetime.fromisoformat(text).astimezone(UTC)
        except PathNotFoundError:
            raise LayerUploadUnknownError(keys.name, keys.uuid) from None
        except (ValueError, OverflowError):
            return self.driver.stat(keys.started_at).modified

    def _repositories(self, name: str) -> Iterator[str]:
        children = list(self.driver.list(f"{layout.REPOSITORIES}/{name}".rstrip("/")))
        if layout.is_name(name) and any(child.endswith(("/_layers/", "/_uploads/")) for child in children):
            yield name
        for child in children:
            if child.endswith("/") and "/_" not in child:
                yield from self._repositories(child.removeprefix(f"{layout.REPOSITORIES}/").rstrip("/"))

    def _below(self, prefix: str) -> Iterator[str]:
        """Yield the last segments of what lies below a prefix and has more below it."""
        return (child.split("/")[-2] for child in self.driver.list(prefix) if child.endswith("/"))

    def _layer(self, name: str, text: str) -> Iterator[LayerInfo]:
        try:
            with self.fetch(name, text) as layer:
                yield LayerInfo(name, layer.digest, layer.size, layer.created_at)
        except (InvalidDigestError, UnknownLayerError):
            return  # not ours, or gone since it was listed

    def _upload(self, name: str, uuid: str) -> Iterator[UploadInfo]:
        try:
            keys = UploadKeys(name, uuid)
            started_at = self._started_at(keys)
        except (InvalidUploadIDError, LayerUploadUnknownError):
            return  # not ours, or gone since it was listed
        stat = self.driver.find(keys.data)
        if stat is not None:
            yield UploadInfo(name, uuid, stat.size, started_at, stat.modified)
            return
        moved = finish.find_moved(self.driver, keys)
        if moved is None and next(self.driver.list(keys.intents), None) is not None:
            return  # its blob is gone, or a purge was cut off: it cannot be resumed
        if self.driver.find(keys.started_at) is not None:  # else it was finished since
            yield UploadInfo(name, uuid, moved.size if moved else 0, started_at, started_at)

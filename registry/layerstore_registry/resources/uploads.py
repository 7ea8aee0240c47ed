"""Uploads: beginning, sending, asking for the status, finishing, cancelling; and mounting a blob of another repository.

If an upload has no bytes yet, and its last request has a body that fits in memory, it is stored as a layer at once.
Otherwise each request, on any node, resumes the upload, and so fences the request before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from layerstore import (
    Digest,
    InvalidDigestError,
    InvalidNameError,
    LayerStoreError,
    OffsetMismatchError,
    UnknownLayerError,
    UnknownUploadError,
)
from layerstore.layout import UploadKeys
from layerstore.uploads import finish as finishing
from layerstore.uploads.front import FRONT
from layerstore_registry.access.rights import Scope
from layerstore_registry.messages import body as bodies
from layerstore_registry.messages import ranges
from layerstore_registry.messages.body import Body, CutOffError, TooMuchError
from layerstore_registry.refusals import bad_request, refusal_of
from layerstore_registry.resources import digests, ids

if TYPE_CHECKING:
    from layerstore import LayerService, LayerUpload, UploadInfo
    from layerstore_registry.messages.requests import Request
    from layerstore_registry.settings import Settings


class Uploads:
    """Answers requests about uploads."""

    def __init__(self, service: LayerService, settings: Settings) -> None:
        """Store uploads in a store."""
        self._service = service
        self._settings = settings

    def start(self, request: Request, name: str, reference: str) -> Response:
        """Begin an upload, mount a blob, or store a whole blob."""
        del reference
        if "mount" in request.args and self._mounted(request, name):
            return _stored(name, digests.parse(request.args["mount"]))
        if "digest-algorithm" in request.args:
            digests.check_algorithm(request.args["digest-algorithm"])
        if "digest" in request.args and "mount" not in request.args:
            return self._whole(request, name)
        begun = self._service.begin(name, uuid=ids.new(name))
        return _answer(HTTPStatus.ACCEPTED, name, begun.uuid, 0)

    def status(self, request: Request, name: str, reference: str) -> Response:
        """Answer how far an upload has come. A client that sends to it is not disturbed."""
        del request
        return _answer(HTTPStatus.NO_CONTENT, name, reference, self._service.status(name, reference).offset)

    def append(self, request: Request, name: str, reference: str) -> Response:
        """Add bytes to an upload."""
        body, at = request.receive(), self._service.status(name, reference)
        span = self._span(request, body, at)
        upload = self._resumed(at, span)
        if upload.moved:
            raise UnknownUploadError(name, reference)  # it has all its bytes: only a PUT can end it
        with _kept(upload):
            self._take_in(body, upload, span)
        return _answer(HTTPStatus.ACCEPTED, name, reference, upload.size)

    def finish(self, request: Request, name: str, reference: str) -> Response:
        """Add the last bytes, and finish the upload. If that was done and its answer was lost, answer it again."""
        digest, body = digests.parse(request.args.get("digest", "")), request.receive()
        try:
            at = self._service.status(name, reference)
            self._finish_at(request, body, at, digest)
        except UnknownUploadError:  # finished before, or meanwhile, it may be by this very request
            # the manifest comes yet, so the link is renewed
            if not ids.was_given(name, reference) or not self._service.renew(name, digest):
                raise
            body.drain()
        return _stored(name, digest)

    def _finish_at(self, request: Request, body: Body, at: UploadInfo, digest: Digest) -> None:
        span = None if self._is_moved(at) else self._span(request, body, at)  # moved, it has had the last chunk
        if at.offset == 0 and body.length is not None and body.length <= FRONT:
            self._at_once(at, body, digest)
        else:
            self._finish(self._resumed(at, span), body, span, digest)

    def cancel(self, request: Request, name: str, reference: str) -> Response:
        """Remove an upload."""
        del request
        self._service.cancel(name, reference)
        return Response(status=HTTPStatus.NO_CONTENT)

    def _mounted(self, request: Request, name: str) -> bool:
        """Link a blob of another repository. If that is not possible, for any reason, the client uploads the blob."""
        source = request.args.get("from")
        if not source or not request.who.may(Scope(source, "pull")):
            return False  # whether other repositories have it is nobody's to learn
        with suppress(InvalidDigestError, UnknownLayerError):
            digest = digests.parse(request.args["mount"])
            try:
                self._service.mount(name, digest, source=source).close()
            except InvalidNameError:  # of the source: the other one has been checked
                return False
            return True
        return False

    def _whole(self, request: Request, name: str) -> Response:
        """Store a whole blob. No other request can go on with it, so nothing is kept if it is cut off."""
        digest, body = digests.parse(request.args["digest"]), request.receive()
        upload = self._service.upload(name)
        with _cancelled(upload):
            bodies.store(body, upload, limit=self._limit)
            upload.finish(digest).close()
        return _stored(name, digest)

    def _at_once(self, at: UploadInfo, body: Body, digest: Digest) -> None:
        """Store a small body as a layer, and end its upload. If the body is cut off, the upload keeps it."""
        received = bytearray()
        try:
            for block in body.blocks():
                received += block
        except CutOffError:
            with self._service.resume(at.name, at.uuid, offset=0) as other:
                other.write(received)
            raise
        upload = self._service.upload(at.name)
        with _cancelled(upload):
            upload.write(received)
            upload.finish(digest).close()
        keys, driver = UploadKeys(at.name, at.uuid), self._service.driver
        if driver.find(keys.data) is None and next(driver.list(keys.intents), None) is None:
            finishing.remove(driver, keys)  # else a later request was answered for its bytes

    def _is_moved(self, at: UploadInfo) -> bool:
        """Return whether a finish that was cut off has made the bytes a blob."""
        return at.offset > 0 and self._service.driver.find(UploadKeys(at.name, at.uuid).data) is None

    def _finish(self, upload: LayerUpload, body: Body, span: ranges.Span | None, digest: Digest) -> None:
        with _kept(upload):
            if upload.moved:
                body.drain()  # a finish that was cut off has had it
            else:
                self._take_in(body, upload, span)
            upload.finish(digest).close()

    def _take_in(self, body: Body, upload: LayerUpload, span: ranges.Span | None) -> None:
        """Write a body. Refuse it if it does not have the length that the request gives."""
        limits = [limit for limit in (self._limit, span.end if span else None) if limit is not None]
        try:
            bodies.store(body, upload, flush_every=self._settings.flush_every, limit=min(limits, default=None))
        except TooMuchError:
            if span is None or self._limit == min(limits):
                raise
            raise bad_request("SIZE_INVALID", f"more bytes than a range of {span.length}") from None
        if span and upload.size != span.end:
            raise bad_request("SIZE_INVALID", f"{body.taken} bytes came of a range of {span.length}")

    def _resumed(self, at: UploadInfo, span: ranges.Span | None) -> LayerUpload:
        """Go on with an upload, at the offset that the request gives, if it gives one."""
        with _told_where(at.name, at.uuid):
            return self._service.resume(at.name, at.uuid, offset=span.start if span else None)

    def _span(self, request: Request, body: Body, at: UploadInfo) -> ranges.Span | None:
        """Compare the range of a chunk with the upload's offset, before any handle is fenced."""
        if self._limit is not None and at.offset + (body.length or 0) > self._limit:
            raise TooMuchError(f"more than {self._limit} bytes")
        header = request.headers.get("Content-Range")
        if header is None:
            return None
        try:
            span = ranges.content(header)
        except ValueError:
            raise bad_request("BLOB_UPLOAD_INVALID", "Content-Range is not of the form 0-1023") from None
        if span.start != at.offset:
            with _told_where(at.name, at.uuid):
                raise OffsetMismatchError(span.start, at.offset)
        if body.length is not None and body.length != span.length:
            raise bad_request("SIZE_INVALID", f"{body.length} bytes in a range of {span.length}")
        return span

    @property
    def _limit(self) -> int | None:
        return self._settings.max_blob or None


@contextmanager
def _kept(upload: LayerUpload) -> Iterator[None]:
    """Keep the received bytes of an upload, however the block ends."""
    try:
        yield
    except BaseException:
        with suppress(LayerStoreError):  # what ended the block is what there is to tell
            upload.close()
        raise
    upload.close()


@contextmanager
def _cancelled(upload: LayerUpload) -> Iterator[None]:
    """Remove an upload if the block raises."""
    try:
        yield
    except BaseException:
        with suppress(LayerStoreError):
            upload.cancel()
        raise


@contextmanager
def _told_where(name: str, uuid: str) -> Iterator[None]:
    """If a client is refused for its offset, send it the right one."""
    try:
        yield
    except OffsetMismatchError as error:
        refusal = refusal_of(error)
        refusal.headers |= _headers(name, uuid, error.actual)
        raise refusal from error


def _headers(name: str, uuid: str, size: int) -> dict[str, str]:
    location = f"/v2/{name}/blobs/uploads/{uuid}"
    return {"Location": location, "Range": ranges.spelled(size), "Docker-Upload-UUID": uuid}


def _answer(status: HTTPStatus, name: str, uuid: str, size: int) -> Response:
    return Response(status=status, headers=_headers(name, uuid, size))


def _stored(name: str, digest: Digest) -> Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": str(digest)}
    return Response(status=HTTPStatus.CREATED, headers=headers)

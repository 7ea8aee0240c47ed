"""Blobs: fetching and deleting."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Response
from werkzeug.wsgi import wrap_file

from layerstore_registry import conditions, digests, ranges
from layerstore_registry.holding import hold
from layerstore_registry.refusals import Refusal

if TYPE_CHECKING:
    from layerstore import Digest, Layer, LayerService
    from layerstore_registry.requests import Request
    from layerstore_registry.settings import Settings

BLOCK = 1 << 18
"""Bytes that are read and sent at a time, if the driver has no file that can be sent."""

OCTETS: Final = "application/octet-stream"


class Part:
    """A part of a layer as a file: a server may send it by its descriptor, or read it."""

    def __init__(self, layer: Layer, span: ranges.Span) -> None:
        """Begin at the part's first byte. Closing the part closes the layer."""
        self._layer = layer
        self._left = span.length
        layer.seek(span.start)
        self._start = span.start
        self.sent = 0
        """Bytes sent by its descriptor."""

    def fileno(self) -> int:
        """Return the layer's descriptor, positioned at the beginning of the part. The server knows the part's length.

        Raises:
            io.UnsupportedOperation: there is none.
        """
        descriptor = self._layer.fileno()
        os.lseek(descriptor, self._start, os.SEEK_SET)
        return descriptor

    def read(self, size: int) -> bytes:
        """Return up to so many bytes, and no bytes at the end of the part."""
        data = self._layer.read(min(size, self._left))
        self._left -= len(data)
        return data

    def seek(self, offset: int) -> None:
        """Learn up to where the layer has been sent from its file; for nothing else is this called."""
        self.sent = offset - self._start

    def close(self) -> None:
        """Close the layer."""
        self._layer.close()


class Blobs:
    """Answers requests about the blobs of a repository."""

    def __init__(self, service: LayerService, settings: Settings) -> None:
        """Serve the blobs of a store."""
        self._service = service
        self._settings = settings

    def get(self, request: Request, name: str, reference: str) -> Response:
        """Send a blob, a part of it, or that the client has it already; or lead to where it can be read."""
        digest = digests.parse(reference)
        if self._settings.redirect and request.method == "GET" and not conditions.is_conditional(request):
            url = self._service.redirect_url(name, digest)
            if url:
                return _led_to(url, digest)
        tag = f'"{digest}"'
        hold(request, name, digest, self._settings, self._service.renew)
        layer = self._service.fetch(name, digest)
        headers = {"Docker-Content-Digest": str(digest), "Accept-Ranges": "bytes", "ETag": tag}
        headers |= {"Cache-Control": "max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        try:
            if conditions.is_known(request, digest):
                layer.close()
                return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
            return _sent(request, layer, headers, tag)
        except BaseException:
            layer.close()
            raise

    def delete(self, request: Request, name: str, reference: str) -> Response:
        """Remove a blob from the repository, under the given digest."""
        digest = digests.parse(reference)
        if conditions.is_conditional(request) and self._service.exists(name, digest):
            conditions.check(request, digest)
        self._service.unlink(name, digest)
        return Response(status=HTTPStatus.ACCEPTED)


def _led_to(url: str, digest: Digest) -> Response:
    """Lead a client on; the URL is good for a while, and for who has it."""
    headers = {"Location": url, "Docker-Content-Digest": str(digest), "Cache-Control": "no-store"}
    return Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers=headers, content_type=OCTETS)


def _sent(request: Request, layer: Layer, headers: dict[str, str], tag: str) -> Response:
    in_part = request.method == "GET" and request.headers.get("If-Range", tag) == tag  # RFC 9110: of GET alone
    try:
        part = ranges.asked(request.headers.get("Range") if in_part else None, layer.size)
    except ValueError:
        size = {"Content-Range": f"bytes */{layer.size}"}
        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        raise Refusal(status, "SIZE_INVALID", f"not a part of {layer.size} bytes", headers=size) from None
    span = part or ranges.Span(0, layer.size)
    headers["Content-Length"] = str(span.length)
    if part:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{layer.size}"
    status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
    request.part = Part(layer, span)
    body = wrap_file(request.environ, request.part, BLOCK)  # type: ignore[arg-type]  # as much of a file as servers ask for
    return Response(body, status, headers, content_type=OCTETS, direct_passthrough=True)

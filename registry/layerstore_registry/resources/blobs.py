"""Blobs: fetching and deleting."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Response
from werkzeug.wsgi import wrap_file

from layerstore_registry.messages import conditions, ranges
from layerstore_registry.messages.parts import Part
from layerstore_registry.messages.ranges import Span
from layerstore_registry.refusals import Refusal
from layerstore_registry.resources import digests
from layerstore_registry.resources.holding import hold

if TYPE_CHECKING:
    from layerstore import Digest, Layer, LayerService
    from layerstore_registry.messages.requests import Request
    from layerstore_registry.settings import Settings

BLOCK = 1 << 18
"""Bytes that are read and sent at a time, if the driver has no file that can be sent."""

OCTETS: Final = "application/octet-stream"


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
    span = part or Span(0, layer.size)
    headers["Content-Length"] = str(span.length)
    if part:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{layer.size}"
    status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
    request.part = Part(layer, span)
    body = wrap_file(request.environ, request.part, BLOCK)  # type: ignore[arg-type]  # as much of a file as servers ask for
    return Response(body, status, headers, content_type=OCTETS, direct_passthrough=True)

"""Conditions of requests (RFC 9110, section 13): what is there is what the client has, or means."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from layerstore_registry.refusals import Refusal

if TYPE_CHECKING:
    from layerstore import Digest
    from layerstore_registry.messages.requests import Request


def is_known(request: Request, digest: Digest) -> bool:
    """Return whether the client has what it asks for, so that it need not be sent.

    Raises:
        Refusal: the client wants another one, or none.
    """
    _check_match(request, digest)
    return request.if_none_match.contains_weak(str(digest))


def check(request: Request, digest: Digest | None) -> None:
    """Compare what a request would change, if anything is there, with what the client says of it.

    Raises:
        Refusal: it is another.
    """
    _check_match(request, digest)
    if digest is not None and request.if_none_match.contains_weak(str(digest)):
        raise _failed()


def is_conditional(request: Request) -> bool:
    """Return whether :func:`check` has anything to compare."""
    return bool(request.if_match or request.if_none_match)


def _check_match(request: Request, digest: Digest | None) -> None:
    if request.if_match and (digest is None or not request.if_match.contains(str(digest))):
        raise _failed()


def _failed() -> Refusal:
    return Refusal(HTTPStatus.PRECONDITION_FAILED, "DENIED", "it is not what the request's condition says")

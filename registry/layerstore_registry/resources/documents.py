"""Manifests of the four kinds that clients push: the parts that a registry has to understand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from layerstore import Digest, InvalidDigestError
from layerstore.contents.manifest import DOCKER_IMAGE, DOCKER_LIST, IMAGES, INDEXES, OCI_IMAGE, OCI_INDEX
from layerstore_registry.refusals import Refusal, bad_request
from layerstore_registry.resources import digests

_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"

LARGE: Final = 64 << 10
"""Bytes. Manifests larger than this are parsed one at a time: parsing may take 30 times as much memory."""

_PARSING: Final = Lock()
_MEMBERS: Final = frozenset(
    ("schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType", "annotations")
)
_DESCRIBING: Final = frozenset(("mediaType", "digest", "size", "urls"))


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest that was understood."""

    media_type: str
    blobs: tuple[Digest, ...]
    """The blobs that the repository must have: the config, and layers that are not stored elsewhere."""
    manifests: tuple[Digest, ...]
    """The manifests that the repository must have."""
    subject: Digest | None
    """The manifest to which it refers; the repository need not have it."""
    artifact_type: str | None
    annotations: dict[str, Any] | None

    def descriptor(self, digest: Digest, size: int) -> dict[str, Any]:
        """Return its descriptor, for a list of referrers."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": str(digest), "size": size}
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        if self.annotations:
            found["annotations"] = self.annotations
        return found


def read(data: bytes, content_type: str = "") -> Document:
    """Read a manifest. ``content_type`` is the request's ``Content-Type``, or empty if there is none.

    Raises:
        Refusal: it is no manifest, its kind is not served, or its kind is not the one in its text or in the request.
    """
    with _in_turn(data):
        return _understood(data, content_type)


def _understood(data: bytes, content_type: str) -> Document:
    body = _parsed(data)
    _check_case(body, _MEMBERS)
    media_type = _media_type(body, content_type.partition(";")[0].strip().lower())
    if body.get("schemaVersion") != 2:
        raise _invalid("schemaVersion is not 2")
    if media_type in INDEXES:
        return _index(body, media_type)
    return _image(body, media_type)


def stored(data: bytes) -> dict[str, Any]:
    """Return the members of a stored manifest, even if :func:`read` would refuse it; {} if there are none."""
    try:
        with _in_turn(data):
            body = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def media_type_of(body: dict[str, Any]) -> str:
    """Return the media type of a stored manifest: the one that it names, or the one that its members suggest."""
    said = body.get("mediaType")
    if isinstance(said, str) and said.isascii() and said.isprintable():
        return said
    if body.get("schemaVersion") == 1:
        return _SIGNED
    return OCI_INDEX if "manifests" in body else OCI_IMAGE


@contextmanager
def _in_turn(data: bytes) -> Iterator[None]:
    """Parse large manifests one after the other, so that only one at a time takes memory."""
    if len(data) <= LARGE:
        yield
        return
    with _PARSING:
        yield


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise _invalid("not JSON in UTF-8") from None
    if not isinstance(body, dict):
        raise _invalid("not a JSON object")
    return body


def _no_number(text: str) -> float:
    raise ValueError(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _invalid("a member stands twice in one object")
    return found


def _check_case(body: Iterable[str], known: frozenset[str]) -> None:
    """Refuse members whose name differs from a known one only in case: clients in Go ignore the case."""
    folded = {member.casefold() for member in known}
    if any(member not in known and member.casefold() in folded for member in body):
        raise _invalid(f"a member is spelled otherwise than one of {', '.join(sorted(known))}")


def _media_type(body: dict[str, Any], told: str) -> str:
    """Return the kind. Refuse the manifest if body and request could be understood in two ways."""
    said = body.get("mediaType", "")
    if not isinstance(said, str):
        raise _invalid("mediaType is not a text")
    looks = OCI_INDEX if "manifests" in body else OCI_IMAGE
    found = said or told or looks
    if found not in IMAGES + INDEXES:
        raise _invalid(f"media type {found[:200]!r} is not one of {', '.join(IMAGES + INDEXES)}")
    if not said and found in (DOCKER_IMAGE, DOCKER_LIST):
        raise _invalid(f"without a mediaType it would be served as {looks}, and not as {found}")
    if told and told != found:
        raise _invalid(f"mediaType says {found}, the request's Content-Type {told[:200]}")
    if (found in INDEXES) != (looks == OCI_INDEX) or (found in INDEXES and ("layers" in body or "config" in body)):
        raise _invalid(f"not of the form of {found}")
    return found


def _image(body: dict[str, Any], media_type: str) -> Document:
    config = _object(body.get("config"), "config")
    layers = [_object(layer, "a layer") for layer in _list(body, "layers")]
    blobs = [_digest(config, "config"), *(_digest(layer, "a layer") for layer in layers if not _is_elsewhere(layer))]
    kind = body.get("artifactType") or config.get("mediaType")
    return Document(media_type, tuple(dict.fromkeys(blobs)), (), _subject(body), _text(kind), _annotations(body))


def _index(body: dict[str, Any], media_type: str) -> Document:
    children = [_digest(_object(child, "a manifest"), "a manifest") for child in _list(body, "manifests")]
    kind = _text(body.get("artifactType"))
    return Document(media_type, (), tuple(dict.fromkeys(children)), _subject(body), kind, _annotations(body))


def _is_elsewhere(layer: dict[str, Any]) -> bool:
    """Return whether a layer is fetched from somewhere else, or must not be distributed."""
    kind = str(layer.get("mediaType", ""))
    return bool(layer.get("urls")) or ".nondistributable." in kind or ".foreign." in kind


def _subject(body: dict[str, Any]) -> Digest | None:
    subject = body.get("subject")
    return None if subject is None else _digest(_object(subject, "subject"), "subject")


def _digest(descriptor: dict[str, Any], what: str) -> Digest:
    _check_case(descriptor, _DESCRIBING)
    try:
        return digests.parse(str(descriptor.get("digest", "")))
    except InvalidDigestError as error:
        raise _invalid(f"{what}: {error}") from None


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{what} is not a JSON object")
    return value


def _list(body: dict[str, Any], member: str) -> list[Any]:
    value = body.get(member)
    if not isinstance(value, list):
        raise _invalid(f"{member} is not a JSON array")
    return value


def _annotations(body: dict[str, Any]) -> dict[str, Any] | None:
    found = body.get("annotations")
    if found is None:
        return None
    annotations = _object(found, "annotations")
    if not all(isinstance(each, str) for each in annotations.values()):
        raise _invalid("an annotation is not a text")
    return annotations


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _invalid(message: str) -> Refusal:
    return bad_request("MANIFEST_INVALID", message)

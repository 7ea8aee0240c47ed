"""Manifests, as far as a collection has to know them: what one refers to. All else is the registry's to understand.

A manifest that is not certainly understood may refer to layers in a way of its own, so it is not understood at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from layerstore.digest import Digest
from layerstore.errors import InvalidDigestError

LARGEST: Final = 16 << 20
"""Bytes of a manifest above which it is not read."""

OCI_IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGES: Final = (OCI_IMAGE, DOCKER_IMAGE)
INDEXES: Final = (OCI_INDEX, DOCKER_LIST)


class NotUnderstoodError(Exception):
    """Something that may refer to layers, and nobody knows to which; the argument says what it is."""


@dataclass(frozen=True, slots=True)
class References:
    """What a manifest refers to."""

    mentioned: frozenset[Digest]
    """All digests in it, also those of annotations, and of layers that may be elsewhere."""
    children: frozenset[Digest]
    """The manifests of an index. Some are layers, in a BuildKit cache."""
    subject: Digest | None
    """The manifest that this one is about."""


def read(data: bytes) -> References:
    """Return what an image or an index refers to.

    Raises:
        NotUnderstoodError: it is neither, or cannot be read in one way only.
    """
    if len(data) > LARGEST:
        raise NotUnderstoodError(f"a manifest of more than {LARGEST} bytes")
    body = _parsed(data)
    children = body["manifests"] if _is_index(body) else []
    subject = body.get("subject")
    return References(
        mentioned=frozenset(_mentioned(body)),
        children=frozenset(map(_digest, children)),
        subject=None if subject is None else _digest(subject),
    )


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise NotUnderstoodError("a manifest that is no JSON") from None
    if not isinstance(body, dict) or body.get("schemaVersion") != 2:
        raise NotUnderstoodError("a manifest whose schemaVersion is not 2")
    return body


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse members that one program takes for another's: some read the last of two, and some do not look at case."""
    found = dict(pairs)
    if len({name.lower() for name in found}) < len(pairs):
        raise NotUnderstoodError("a manifest with a member that stands twice in one object")
    return found


def _is_index(body: dict[str, Any]) -> bool:
    """Return whether it is an index, and not an image; one without a media type is what it looks like."""
    kind = body.get("mediaType", OCI_INDEX if "manifests" in body else OCI_IMAGE)
    if kind in INDEXES and isinstance(body.get("manifests"), list) and not {"config", "layers"} & set(body):
        return True
    if kind in IMAGES and isinstance(body.get("layers"), list) and "config" in body and "manifests" not in body:
        return False
    raise NotUnderstoodError(f"a manifest of the type {str(kind)[:100]!r}, or not of its form")


def _digest(descriptor: object) -> Digest:
    text = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return _parse(text)


def _parse(text: object) -> Digest:
    try:
        return Digest.parse(str(text))
    except InvalidDigestError:
        raise NotUnderstoodError(f"a manifest with the digest {str(text)[:100]!r}") from None


def _mentioned(body: dict[str, Any]) -> Iterator[Digest]:
    """Yield every digest in a manifest. Each ``digest`` must be one; elsewhere, texts that are none are passed over."""
    pending: list[tuple[str, object]] = list(body.items())
    while pending:
        name, value = pending.pop()
        if name.lower() == "digest":
            yield _parse(value)
        elif isinstance(value, dict):
            pending += value.items()
        elif isinstance(value, list):
            pending += [("", each) for each in value]
        elif isinstance(value, str) and ":" in value:
            yield from _if_digest(value)


def _if_digest(text: str) -> Iterator[Digest]:
    try:
        yield Digest.parse(text)
    except InvalidDigestError:
        return

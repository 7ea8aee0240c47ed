"""Store a layer, begin an upload, and find the keys that both lie under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import Digest, layout
from layerstore_conformance.kit.payloads import digest

if TYPE_CHECKING:
    from layerstore import LayerService

BLOBS = f"{layout.ROOT}/blobs"
"""The prefix of every blob."""


def store(service: LayerService, name: str, data: bytes) -> str:
    """Upload a layer straight, and return its digest."""
    upload = service.upload(name)
    upload.write(data)
    upload.finish(digest(data), len(data)).close()
    return digest(data)


def begin(service: LayerService, name: str, data: bytes) -> str:
    """Begin an upload, write, close it, and return its id."""
    with service.upload(name) as upload:
        upload.write(data)
    return upload.uuid


def blob(data: bytes) -> str:
    """Return the key of the blob of these bytes."""
    return layout.blob(Digest.parse(digest(data)))


def link(name: str, wanted: str) -> str:
    """Return the key of a repository's link to a layer."""
    return layout.link(name, Digest.parse(wanted))

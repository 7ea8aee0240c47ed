"""The settings of a registry: what it allows, and its limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a registry."""

    read_only: bool = False
    """Whether every request that would change the store is refused."""
    delete_blobs: bool = True
    delete_manifests: bool = True
    """Whether manifests and tags can be deleted."""
    max_manifest: int = 4 << 20
    """Bytes of the largest manifest that is accepted; the specification requires at least 4 MiB."""
    max_blob: int = 0
    """Bytes of the largest blob that is accepted; 0: any."""
    pages: bool = True
    """Whether there are pages for people with a browser."""
    redirect: bool = False
    """Whether whoever fetches a blob is led to where the driver has it, if it can be read there by a URL."""
    page: int = 1000
    """The most entries of a listing in one answer."""
    flush_every: int = 64 << 20
    """Bytes after which the received bytes are made durable: a node that is killed loses no more than this."""

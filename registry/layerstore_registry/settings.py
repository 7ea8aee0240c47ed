"""What a registry is allowed to do, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a registry answers."""

    read_only: bool = False
    """Whether whatever would change the store is refused."""
    delete_blobs: bool = True
    delete_manifests: bool = True
    """Whether manifests can be deleted, and tags."""
    max_manifest: int = 4 << 20
    """Bytes of the largest manifest that is taken; the specification asks for 4 MiB at least."""
    max_blob: int = 0
    """Bytes of the largest blob that is taken; 0: any."""
    pages: bool = True
    """Whether there is something to see for people with a browser."""
    redirect: bool = False
    """Whether whoever fetches a blob is led to where the driver has it, if it can be read there by a URL."""
    page: int = 1000
    """Entries of a listing that one answer holds at most."""
    flush_every: int = 64 << 20
    """Bytes after which what was received is made durable, so that a node that is killed loses no more."""

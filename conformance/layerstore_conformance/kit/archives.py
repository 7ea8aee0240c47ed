"""Small tar archives, and their tarsums."""

from __future__ import annotations

import hashlib
import io
import tarfile

from layerstore.tarsum import tarsums


def archive(*names: str, owner: str = "") -> bytes:
    """Return a tar archive of small files, in this order: in another one it has the same tarsum.

    With an ``owner`` the two formulas of a tarsum differ.
    """
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 100
            entry.uname = owner
            tar.addfile(entry, io.BytesIO(hashlib.shake_128(name.encode()).digest(100)))
    return target.getvalue()


def tarsum_of(data: bytes) -> str:
    """Return an archive's tarsum, as ``finish`` takes it."""
    return f"tarsum.v1+sha256:{tarsums(io.BytesIO(data)).current}"

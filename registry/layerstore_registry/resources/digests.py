"""The digests by which a registry names content."""

from __future__ import annotations

import hashlib

from layerstore import Digest, UnsupportedDigestError

ALGORITHMS = ("sha256", "sha512")
"""The algorithms that the OCI image specification registers and every client knows."""


def parse(text: str) -> Digest:
    """Read a digest.

    Raises:
        InvalidDigestError: the text is no digest, or its algorithm is not served.
    """
    digest = Digest.parse(text)
    check_algorithm(digest.algorithm)
    return digest


def check_algorithm(algorithm: str) -> None:
    """Refuse an algorithm that is not served.

    Raises:
        UnsupportedDigestError: it is not served.
    """
    if algorithm not in ALGORITHMS:
        raise UnsupportedDigestError(algorithm[:80], f"not one of {', '.join(ALGORITHMS)}")


def of(data: bytes, algorithm: str) -> Digest:
    """Return the digest of bytes by an algorithm."""
    return Digest(algorithm, hashlib.new(algorithm, data).hexdigest())

"""Digests: the names of layers."""

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from layerstore.errors import InvalidDigestError, UnsupportedDigestError, UnsupportedTarSumVersionError

if TYPE_CHECKING:
    from typing_extensions import Buffer

HEX_LENGTHS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Content algorithms, and the length of their hex form in characters."""

TARSUM: Final = "tarsum.v1+sha256"
"""The one tarsum label that layerstore verifies."""

_GRAMMAR = re.compile(r"(?P<algorithm>[a-z0-9]+(?:[.+_-][a-z0-9]+)*):(?P<encoded>[A-Za-z0-9=_-]+)\Z", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A validated ``algorithm:hex``, as the OCI image specification spells it (descriptor.md, "Digests").

    sha256 is canonical: every blob is stored under it. sha384 and sha512 are verified, and kept as further names.
    A tarsum names a layer inside one repository. It is no content digest: other bytes can have the same tarsum.
    """

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        """Check the fields, also of a digest that was not made by :meth:`parse`.

        Raises:
            InvalidDigestError: ``hex`` is not the algorithm's number of hex digits in lower case.
            UnsupportedTarSumVersionError: a tarsum of another version than ``tarsum.v1+sha256``.
            UnsupportedDigestError: another algorithm.
        """
        if self.algorithm.startswith("tarsum") and self.algorithm != TARSUM:
            raise UnsupportedTarSumVersionError(str(self), f"of the tarsums only {TARSUM} is verified")
        length = 64 if self.algorithm == TARSUM else HEX_LENGTHS.get(self.algorithm)
        if length is None:
            raise UnsupportedDigestError(str(self), f"not one of {', '.join(HEX_LENGTHS)}, {TARSUM}")
        if len(self.hex) != length or not _HEX.match(self.hex):
            raise InvalidDigestError(str(self), f"{self.algorithm} takes {length} hex digits in lower case")

    @classmethod
    def parse(cls, text: "str | Digest") -> "Digest":
        """Read a digest.

        Raises:
            InvalidDigestError: the text is not ``algorithm:hex``, or the hex is not valid for the algorithm.
        """
        if isinstance(text, Digest):
            return text
        match = _GRAMMAR.match(text)
        if match is None:
            raise InvalidDigestError(text)
        return cls(match["algorithm"], match["encoded"])

    @classmethod
    def of(cls, data: "Buffer") -> "Digest":
        """Return the canonical digest of bytes in memory: their sha256."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    @property
    def is_tarsum(self) -> bool:
        """Whether this is a tarsum, which names a layer and does not name its bytes."""
        return self.algorithm == TARSUM

    def allows(self, size: int) -> bool:
        """Return whether ``size`` bytes can have this digest: only an empty layer has the digest of no bytes."""
        return self.is_tarsum or (size == 0) == (self.hex == hashlib.new(self.algorithm).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

"""Links: how a repository points from a layer's digest to the blob that holds its bytes."""

from __future__ import annotations

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.errors import FencedError, InvalidDigestError, LayerExistsError, PathNotFoundError

MAX_LINK = 256
"""The most bytes that are read of a link; a sha256 takes 71."""


def read(driver: CheckedDriver, name: str, digest: Digest) -> Digest | None:
    """Return the canonical digest that a repository's link points to; None if there is no link, or a damaged one.

    A link named by a sha256 must point to that sha256.
    """
    try:
        target = pointed(driver, layout.link(name, digest), padded=digest.is_tarsum)
    except (PathNotFoundError, InvalidDigestError, UnicodeDecodeError):
        return None
    if target.algorithm != "sha256" or (digest.algorithm == "sha256" and digest != target):
        return None
    return target


def pointed(driver: CheckedDriver, key: str, *, padded: bool) -> Digest:
    """Return the digest that a link's bytes are; ``padded`` allows line feeds after it, which :func:`_claim` writes.

    Raises:
        PathNotFoundError: there is no link.
        InvalidDigestError, UnicodeDecodeError: it is damaged.
    """
    text = driver.get(key, MAX_LINK).decode("ascii")
    return Digest.parse(text.rstrip("\n") if padded else text)


def write(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
    """Make ``digest`` point to the blob ``target``.

    Raises:
        LayerExistsError: ``digest`` is a tarsum that points elsewhere already: the first bytes keep it.
    """
    if digest.is_tarsum:
        _claim(driver, name, digest, target)
    else:
        driver.put(layout.link(name, digest), str(target).encode("ascii"))


def check_free(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
    """Raise the error that :func:`write` would raise.

    Raises:
        LayerExistsError: as :func:`write`.
    """
    if digest.is_tarsum and read(driver, name, digest) not in (None, target):
        raise LayerExistsError(name, str(digest))


def _claim(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
    """Write a link unless there is one. If several handles do so at once, fencing lets one of them succeed."""
    key, text = layout.link(name, digest), str(target).encode("ascii")
    while True:
        writer = driver.open_writer(key)
        try:
            check_free(driver, name, digest, target)
            if read(driver, name, digest) is None:
                writer.seek(0)
                writer.write(text.ljust(writer.size, b"\n"))  # over a damaged one, whatever it was
            writer.flush()  # also one that is there: the process that wrote it may have died before it was durable
            return
        except FencedError:
            continue
        finally:
            writer.discard()

"""Links: how a repository points from a layer's digest to the blob that holds its bytes.

A collection that finds no manifest that refers to a link *condemns* it (:mod:`layerstore.upkeep.unreferenced`): it
spells the link's first letters in upper case. A condemned link is a link like any other, for all who read it, until the
collection drops it; whoever needs it spells it as before, and the collection cannot drop it any more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.errors import DriverError, FencedError, InvalidDigestError, LayerExistsError, PathNotFoundError

MAX_LINK = 256
"""The most bytes that are read of a link; a sha256 takes 71."""

PLAIN = b"sha256:"
CONDEMNED = b"SHA256:"
"""How the text of a link begins. Both are of one length: a writer can exchange them, and fencing sees to the rest."""

RENEWED_AFTER = timedelta(minutes=10)
"""The age at which :func:`renew` makes a link young again: a request that asks for many writes few."""


def read(driver: CheckedDriver, name: str, digest: Digest) -> Digest | None:
    """Return the canonical digest that a repository's link points to; None if there is no link, or a damaged one.

    A link named by a sha256 must point to that sha256.
    """
    try:
        target = pointed(driver, layout.link(name, digest), padded=digest.is_tarsum)
    except (PathNotFoundError, InvalidDigestError, UnicodeDecodeError):
        return None
    return target if may_point(digest, target) else None


def may_point(digest: Digest, target: Digest) -> bool:
    """Return whether a link for a digest may point to a target."""
    return target.algorithm == "sha256" and (digest.algorithm != "sha256" or digest == target)


def pointed(driver: CheckedDriver, key: str, *, padded: bool) -> Digest:
    """Return the digest that a link's bytes are; ``padded`` allows line feeds after it, which :func:`_claim` writes.

    Raises:
        PathNotFoundError: there is no link.
        InvalidDigestError, UnicodeDecodeError: it is damaged.
    """
    return parse(driver.get(key, MAX_LINK), padded=padded)


def parse(data: bytes, *, padded: bool) -> Digest:
    """Return the digest that a link's bytes are, condemned or not.

    Raises:
        InvalidDigestError, UnicodeDecodeError: they are damaged.
    """
    text = (PLAIN + data[len(PLAIN) :] if data.startswith(CONDEMNED) else data).decode("ascii")
    return Digest.parse(text.rstrip("\n") if padded else text)


def renew(driver: CheckedDriver, key: str) -> Digest | None:
    """Return the digest that a link points to, and have it stay for now; None if there is no link, or a damaged one.

    If it is condemned, it is condemned no longer when this returns; if it is old, it is as good as new, unless that
    cannot be written.

    Raises:
        DriverError: the link cannot be read, or stays condemned.
    """
    while True:
        try:
            data = driver.get(key, MAX_LINK)
            target = parse(data, padded=False)
        except (PathNotFoundError, InvalidDigestError, UnicodeDecodeError):
            return None
        condemned = data.startswith(CONDEMNED)
        if target.algorithm != "sha256" or not (condemned or _is_old(driver, key)):
            return target
        try:
            if write_into(driver, key, PLAIN) is not None:
                return target
        except FencedError:
            continue  # somebody else has renewed, condemned or dropped it
        except DriverError:
            if condemned:
                raise
            return target


def write_into(
    driver: CheckedDriver, key: str, text: bytes, *, at_end: bool = False, before: datetime | None = None
) -> str | None:
    """Write into a link, at its beginning or its end, and return its version then.

    None if there is none, or none older than ``before``.

    Raises:
        FencedError: it was written or removed meanwhile; nothing has changed.
    """
    writer = driver.open_writer(key)
    try:
        stat = driver.find(key)  # whoever puts it from now on fences this writer
        if writer.version is None or stat is None or (before is not None and stat.modified >= before):
            return None
        writer.seek(writer.size if at_end else 0)
        writer.write(text)
        writer.flush()
        return writer.version
    finally:
        writer.discard()


def _is_old(driver: CheckedDriver, key: str) -> bool:
    stat = driver.find(key)
    return stat is None or datetime.now(UTC) - stat.modified > RENEWED_AFTER


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

"""Walks over all that is stored, for those who look after a store: what is odd is yielded, nothing is stumbled over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from layerstore import keys, layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.errors import InvalidDigestError, LayerStoreError

UPLOADS = "_uploads"
"""What the area of a repository's uploads is called."""

Missed = Callable[[str, LayerStoreError], None]
"""Told of a prefix that could not be listed; it may raise."""


def is_key(text: str) -> bool:
    """Tell whether a text that a driver listed is a key, or, without its slash at the end, the prefix of one."""
    return keys.is_key(text.removesuffix("/"))


def keys_below(driver: CheckedDriver, prefix: str, *, after: str = "") -> Iterator[str]:
    """Yield every key below a prefix that comes after another one, in ascending order.

    A prefix that is none of a key cannot be looked into, and is itself yielded, with its slash at the end.
    """
    pending = [driver.list(prefix)]
    while pending:
        child = next(pending[-1], None)
        if child is None:
            pending.pop()
        elif child <= after and not after.startswith(child):
            continue
        elif child.endswith("/") and is_key(child):
            pending.append(driver.list(child[:-1]))
        elif child != after:
            yield child


def areas(driver: CheckedDriver, name: str | None, missed: Missed) -> Iterator[str]:
    """Yield the prefixes that end in ``/_layers``, ``/_uploads``, ``/_manifests``, of one repository or of all."""
    top = layout.REPOSITORIES if name is None else f"{layout.REPOSITORIES}/{layout.check_name(name)}"
    pending = [top]
    while pending:
        prefix = pending.pop()
        try:
            below = [child[:-1] for child in driver.list(prefix) if child.endswith("/") and is_key(child)]
        except LayerStoreError as error:
            missed(prefix, error)
            continue
        yield from (child for child in below if _segment(child).startswith("_"))
        if name is None:
            pending += [child for child in reversed(below) if not _segment(child).startswith("_")]


def blob_of(key: str) -> Digest | None:
    """Return the digest of the blob that lies under a key, in its place or in the trash; None if none does."""
    try:
        digest = Digest("sha256", key.split("/")[-2])
    except (IndexError, InvalidDigestError):
        return None
    return digest if key == layout.blob(digest) or key.startswith(f"{layout.TRASH}/{digest.hex}/") else None


def repository(area: str) -> str:
    """Return what stands for the repository's name in the prefix of an area."""
    return area.removeprefix(f"{layout.REPOSITORIES}/").rpartition("/")[0]


def _segment(prefix: str) -> str:
    return prefix.rpartition("/")[2]

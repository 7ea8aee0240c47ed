"""Walks over all that is stored, for those who look after a store: what is odd is yielded, nothing is stumbled over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.driver import Foreign
from layerstore.errors import InvalidDigestError, LayerStoreError

UPLOADS = "_uploads"
"""What the area of a repository's uploads is called."""

Missed = Callable[[str, LayerStoreError], None]
"""Told of a prefix that could not be listed; it may raise."""

Odd = Callable[[Foreign], object]
"""Told of what lies there and is not understood; it may raise."""

Children = Callable[[str], Iterator[str]]
"""Yields what lies directly below a prefix: ``driver.list``, or :func:`telling`."""


def telling(driver: CheckedDriver, odd: Odd, taken: dict[str, datetime] | None = None) -> Children:
    """List, and tell of what is not understood: for whoever must not take it for nothing.

    With ``taken``, keys that a writer has taken and published nothing under are listed, too, and noted there with the
    time.
    """

    def children(prefix: str) -> Iterator[str]:
        for child in driver.scan(prefix):
            if isinstance(child, Foreign):
                odd(child)
            elif isinstance(child, str):
                yield child
            elif taken is not None:
                if not child.name.endswith("/"):
                    taken[child.name] = child.modified
                yield child.name

    return children


def not_understood(foreign: Foreign) -> str:
    """Say so."""
    return f"not understood: {foreign.what}"


def keys_below(children: Children, prefix: str, *, after: str = "") -> Iterator[str]:
    """Yield every key below a prefix that comes after another one, in ascending order."""
    pending = [children(prefix)]
    while pending:
        child = next(pending[-1], None)
        if child is None:
            pending.pop()
        elif child <= after and not after.startswith(child):
            continue
        elif child.endswith("/"):
            pending.append(children(child[:-1]))
        elif child != after:
            yield child


def look_beside(driver: CheckedDriver, odd: Odd) -> None:
    """Tell of what is not understood beside the repositories: they may have been moved there. Blobs hold no links."""
    for child in driver.scan(layout.ROOT):
        if isinstance(child, Foreign) and not f"{child.name}/".startswith(f"{layout.BLOBS}/"):
            odd(child)


def areas(children: Children, name: str | None, missed: Missed) -> Iterator[str]:
    """Yield the prefixes that end in ``/_layers``, ``/_uploads``, ``/_manifests``, of one repository or of all."""
    top = layout.REPOSITORIES if name is None else f"{layout.REPOSITORIES}/{layout.check_name(name)}"
    pending = [top]
    while pending:
        prefix = pending.pop()
        try:
            below = [child[:-1] for child in children(prefix) if child.endswith("/")]
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

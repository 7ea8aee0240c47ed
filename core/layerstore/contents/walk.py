"""Walks over everything in a store, for the tools that look after it. Foreign things are reported, and never raise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.driver import Foreign
from layerstore.errors import InvalidDigestError, LayerStoreError

UPLOADS = "_uploads"
"""The name of the area of a repository's uploads."""

Missed = Callable[[str, LayerStoreError], None]
"""Called with a prefix that could not be listed, and the error; it may raise."""

Odd = Callable[[Foreign], object]
"""Called with a foreign thing; it may raise."""

Children = Callable[[str], Iterator[str]]
"""Yields what lies directly below a prefix: ``driver.list``, or :func:`telling`."""


def telling(driver: CheckedDriver, odd: Odd, taken: dict[str, datetime] | None = None) -> Children:
    """Return a function that lists, and calls ``odd`` with each foreign thing: for callers that must not miss any.

    With ``taken``, keys that a writer has taken without publishing anything are listed, too, and ``taken`` gets the
    time of each.
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
    """Return a text that says so."""
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
    """Call ``odd`` with each foreign thing beside the repositories, which may hide some. Blobs hold no links."""
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


def stop(prefix: str, error: LayerStoreError) -> None:
    """Raise what a listing failed with: whoever deletes has to see everything."""
    del prefix
    raise error


def blob_of(key: str) -> Digest | None:
    """Return the digest of the blob whose key this is, in its place or in the trash; None if it is no blob's key."""
    try:
        digest = Digest("sha256", key.split("/")[-2])
    except (IndexError, InvalidDigestError):
        return None
    return digest if key == layout.blob(digest) or key.startswith(f"{layout.TRASH}/{digest.hex}/") else None


def repository(area: str) -> str:
    """Return the part of an area's prefix that is the repository's name; it may not be a valid one."""
    return area.removeprefix(f"{layout.REPOSITORIES}/").rpartition("/")[0]


def _segment(prefix: str) -> str:
    return prefix.rpartition("/")[2]

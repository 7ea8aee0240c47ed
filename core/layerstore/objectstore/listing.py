"""Listing and deleting below a prefix (clauses L1 to L6, D1 to D5).

Below a prefix lie objects, heads that stand for none yet, pieces beside their keys, markers that tools leave for
folders, and foreign objects, whose names are no keys. No order of the service's listing is relied on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from layerstore.driver import Foreign, Scanned, Unpublished
from layerstore.keys import is_harmless, is_key
from layerstore.objectstore.store import PRIVATE

if TYPE_CHECKING:
    from layerstore.objectstore.service import Listed
    from layerstore.objectstore.store import Store

PEEK = 100
"""Objects looked at in the first request below a prefix: mostly one of them is published."""

_PUBLISHED, _FOREIGN, _TAKEN, _PIECE = 3, 2, 1, 0
"""Ranks of what objects tell of the child that they lie in (:class:`_Seen`)."""


def children(store: Store, prefix: str) -> Iterator[str]:
    """Yield the keys and prefixes directly below a prefix, in order."""
    return (child for child in scan(store, prefix) if isinstance(child, str))


def scan(store: Store, prefix: str) -> Iterator[Scanned]:
    """Yield keys, prefixes, foreign things and keys that writers have reserved, directly below a prefix, in order.

    The first request asks for a page of everything below the prefix, and mostly that is all of it. Otherwise the
    service is asked for the children only. It names every prefix that has an object below it; whether one of these is
    published takes a request for each, unless the first page has shown it.
    """
    below = f"{prefix}/" if prefix else ""
    objects, _, more = next(store.pages(below))
    known = _children(store, objects, below)
    if more:
        known = _named(store, below, known)
    for name in sorted(known):
        yield known[name].child


def _named(store: Store, below: str, known: dict[str, _Seen]) -> dict[str, _Seen]:
    """Return the children that the service names, with what lies below them."""
    children = {name: seen for name, seen in known.items() if seen.rank == _PUBLISHED}
    for objects, prefixes, _ in store.pages(below, deep=False):
        _merge(children, _children(store, objects, below))
        for name in prefixes:
            if name not in children:
                _merge(children, _peeked(store, name, below))
    return children


def _peeked(store: Store, name: str, below: str) -> dict[str, _Seen]:
    """Return the child that a prefix is, by as many requests as it takes to find something published below it."""
    seen: dict[str, _Seen] = {}
    most = 0 if name.endswith(f"{PRIVATE}/") else PEEK  # nothing is published there, so all pages are needed
    for objects, _, _ in store.pages(name, most):
        _merge(seen, _children(store, objects, below))
        if _is_published(seen, name):
            break
    return seen


def _children(store: Store, objects: Iterable[Listed], below: str) -> dict[str, _Seen]:
    """Return the children that objects lie in, by name."""
    known: dict[str, _Seen] = {}
    for each in objects:
        key, private = _owner(each.name)
        if len(key) > len(below):
            child = key[: key.find("/", len(below)) + 1] or key
            if not _is_published(known, child) and (seen := _seen(store, each, child, private=private)):
                _merge(known, {child: seen})
    return known


class _Seen(NamedTuple):
    """What one object tells of the child that it lies in; of several objects the one of the highest rank tells."""

    rank: int
    """A head tells when its key was taken, and so counts more than pieces: some are stored later, some are older."""
    child: Scanned


def _is_published(known: dict[str, _Seen], name: str) -> bool:
    return name in known and known[name].rank == _PUBLISHED


def _merge(known: dict[str, _Seen], more: dict[str, _Seen]) -> None:
    """Add children; of several keys that were taken, or of several pieces, the latest time counts."""
    for name, seen in more.items():
        known[name] = max(known.get(name, seen), seen, key=_weight)


def _weight(seen: _Seen) -> tuple[int, float]:
    return seen.rank, seen.child.modified.timestamp() if isinstance(seen.child, Unpublished) else 0


def _owner(name: str) -> tuple[str, bool]:
    """Return the key to which a piece belongs, and whether it is a piece; some belong to no key that is known."""
    folder, private, rest = f"/{name}".partition(f"/{PRIVATE}/")
    key = f"{folder}/{rest.partition('/')[0]}"[1:]
    if private and is_key(key):
        return key, True
    return ("", True) if private and not folder else (name, False)


def _seen(store: Store, each: Listed, child: str, *, private: bool) -> _Seen | None:
    if private:
        return _Seen(_PIECE, Unpublished(child, each.modified))
    if is_key(each.name):
        reserved = store.is_reserved(each)
        return _Seen(_TAKEN, Unpublished(child, each.modified)) if reserved else _Seen(_PUBLISHED, child)
    if _is_marker(each) or _is_harmless(each.name):
        return None
    if child != each.name and is_key(child.removesuffix("/")):
        return _Seen(_FOREIGN, Foreign(child, f"no object, and {each.name!r}, which is no key"))
    what = "a folder" if child.endswith("/") else "an object"
    return _Seen(_FOREIGN, Foreign(child, f"{what} whose name is no key"))


def _is_marker(each: Listed) -> bool:
    """Return whether an object stands for a folder."""
    return each.name.endswith("/") and not each.size


def _is_harmless(name: str) -> bool:
    *folders, last = name.split("/")
    return is_harmless(next((f"{part}/" for part in folders if not is_key(part)), last))


def delete(store: Store, key: str) -> None:
    """Delete an object, its pieces, and all below its key that is not foreign."""
    _delete_pieces(store, key)
    for objects, _, _ in store.pages(f"{key}/"):
        owned = [each.name for each in objects if _owner(each.name)[1]]
        whole = [each.name for each in objects if is_key(each.name) or _is_marker(each)]
        _delete_page(store, key, [*whole, *(_owner(name)[0] for name in owned)], owned)
        for name in whole:
            if store.has_far_place(name):
                _delete_pieces(store, name)


def _delete_pieces(store: Store, key: str) -> None:
    """Delete an object with its pieces, which do not lie below its key."""
    for objects, _, _ in store.pages(store.place(key)):
        _delete_page(store, key, [key], [each.name for each in objects])


def _delete_page(store: Store, key: str, whole: Iterable[str], pieces: Iterable[str]) -> None:
    """Delete objects, and then pieces that were listed before that: all of them belonged to one of the objects.

    A writer that is opened meanwhile, and publishes, does so in pieces that were not listed yet.
    """
    store.delete_names(key, [store.name(name) for name in dict.fromkeys(whole)])
    store.delete_names(key, [store.name(name) for name in pieces])

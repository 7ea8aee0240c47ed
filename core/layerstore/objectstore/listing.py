"""Listing and deleting below a prefix (clauses L1 to L6, D1 to D5).

Below a prefix lie objects, heads that stand for none yet, pieces beside their keys, markers that tools leave for
folders, and foreign objects, whose names are no keys. No order of the service's listing is relied on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from layerstore.driver import Foreign, Scanned, Unpublished
from layerstore.keys import is_harmless, is_key
from layerstore.objectstore.store import PRIVATE

if TYPE_CHECKING:
    from layerstore.objectstore.service import Listed
    from layerstore.objectstore.store import Store

PEEK = 100
"""Objects looked at in the first request below a prefix: mostly one of them is published."""


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
        yield known[name]


def _named(store: Store, below: str, known: dict[str, Scanned]) -> dict[str, Scanned]:
    """Return the children that the service names, with what lies below them."""
    children: dict[str, Scanned] = {name: child for name, child in known.items() if isinstance(child, str)}
    for objects, prefixes, _ in store.pages(below, deep=False):
        _merge(children, _children(store, objects, below))
        for name in prefixes:
            if name not in children:
                _merge(children, _peeked(store, name, below))
    return children


def _peeked(store: Store, name: str, below: str) -> dict[str, Scanned]:
    """Return the child that a prefix is, by as many requests as it takes to find something published below it."""
    seen: dict[str, Scanned] = {}
    most = 0 if name.endswith(f"{PRIVATE}/") else PEEK  # nothing is published there, so all pages are needed
    for objects, _, _ in store.pages(name, most):
        _merge(seen, _children(store, objects, below))
        if isinstance(seen.get(name), str):
            break
    return seen


def _children(store: Store, objects: Iterable[Listed], below: str) -> dict[str, Scanned]:
    """Return the children that objects lie in, by name."""
    known: dict[str, Scanned] = {}
    for each in objects:
        key, private = _owner(each.name)
        if len(key) > len(below):
            child = key[: key.find("/", len(below)) + 1] or key
            if not isinstance(known.get(child), str) and (kind := _kind(store, each, child, private=private)):
                _merge(known, {child: kind})
    return known


def _merge(known: dict[str, Scanned], more: dict[str, Scanned]) -> None:
    """Add children: something published counts more than a foreign thing, and that more than something reserved.

    Of what is reserved the latest time counts: pieces of an earlier writer may still be there.
    """
    for name, child in more.items():
        old = known.get(name)
        if old is None or isinstance(child, str) or (isinstance(child, Foreign) and not isinstance(old, str)):
            known[name] = child
        elif isinstance(child, Unpublished) and isinstance(old, Unpublished):
            known[name] = max(old, child, key=lambda each: each.modified)


def _owner(name: str) -> tuple[str, bool]:
    """Return the key to which a piece belongs, and whether it is a piece; some belong to no key that is known."""
    folder, private, rest = f"/{name}".partition(f"/{PRIVATE}/")
    key = f"{folder}/{rest.partition('/')[0]}"[1:]
    if private and is_key(key):
        return key, True
    return ("", True) if private and not folder else (name, False)


def _kind(store: Store, each: Listed, child: str, *, private: bool) -> Scanned | None:
    if private:
        return Unpublished(child, each.modified)
    if is_key(each.name):
        return Unpublished(child, each.modified) if store.is_reserved(each) else child
    if _is_marker(each) or _is_harmless(each.name):
        return None
    if child != each.name and is_key(child.removesuffix("/")):
        return Foreign(child, f"no object, and {each.name!r}, which is no key")
    return Foreign(child, "a folder whose name is no key" if child.endswith("/") else "an object whose name is no key")


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

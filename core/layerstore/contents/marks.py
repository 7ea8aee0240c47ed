"""Marks: which blobs are in use, by the links of repositories and by the intents of finishes under way.

Every key that ends in ``/link`` below a repository counts. So a store that a CNCF registry shares is understood, too:
the registry's layers, and the revisions and tags in its ``_manifests``, are links of the same form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import walk
from layerstore.contents.links import CONDEMNED, MAX_LINK, parse
from layerstore.contents.walk import Children, Odd
from layerstore.digest import Digest
from layerstore.driver import Foreign
from layerstore.errors import InvalidDigestError, PathNotFoundError


class Link(NamedTuple):
    """A link, and the digest that it points to."""

    key: str
    target: Digest | None
    """None: it is damaged."""
    detail: str = ""
    """Why it is damaged."""
    condemned: bool = False
    """Whether a collection has condemned it (:mod:`layerstore.contents.links`)."""


def link(driver: CheckedDriver, key: str) -> Link | None:
    """Read a link; return None if it is gone. A link named by a sha256 must point to that sha256."""
    try:
        data = driver.get(key, MAX_LINK)
        target = parse(data, padded=True)
    except PathNotFoundError:
        return None
    except (InvalidDigestError, UnicodeDecodeError) as error:
        return Link(key, None, str(error))
    if "/_layers/sha256/" in key and key.split("/")[-2] != target.hex:
        return Link(key, None, f"points to {target}")
    return Link(key, target, condemned=data.startswith(CONDEMNED))


def is_link(key: str) -> bool:
    """Return whether a key below an area is that of a link."""
    return key.endswith("/link")


def keys(driver: CheckedDriver, area: str, odd: Odd) -> Iterator[str]:
    """Yield all keys of an area. A directory in the place of a link is foreign: ``odd`` is called with it."""
    for key in walk.keys_below(walk.telling(driver, odd), area):
        place = layout.link_above(key)
        if place is None:
            yield key
        else:
            odd(Foreign(f"{place}/", "a directory in the place of a link"))


def links(driver: CheckedDriver, area: str, odd: Odd) -> Iterator[Link]:
    """Yield the links of an area, including damaged ones."""
    for key in keys(driver, area, odd):
        found = link(driver, key) if is_link(key) else None
        if found is not None:
            yield found


def claimed(driver: CheckedDriver, area: str, odd: Odd) -> Iterator[str]:
    """Yield the sha256, in hex, of every blob that an upload of an area is about to become, or has become.

    The upload need not exist any more: what is left of it keeps a blob only until it is purged.
    """
    children = walk.telling(driver, odd)
    for child in children(area):
        if child.endswith("/"):
            yield from claims(children, child, set(children(child[:-1])))


def claims(children: Children, upload: str, there: set[str]) -> Iterator[str]:
    """Yield the sha256, in hex, of every blob that an upload claims; ``there`` is what lies directly below it."""
    intents = f"{upload}intent"
    found = children(intents) if f"{intents}/" in there else ()
    return (intent.rstrip("/").rpartition("/")[2] for intent in found)

"""Listings of a store. If they leave out something that is not understood, they log one warning about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import walk
from layerstore.digest import TARSUM
from layerstore.driver import Foreign

log = logging.getLogger("layerstore")

ALGORITHMS = ("sha256", "sha384", "sha512", TARSUM)
"""The algorithms of the digests by which layers are listed, in this order."""


AREAS = ("/_layers/", "/_manifests/", "/_uploads/")
"""The areas below a repository; each repository has at least one."""


def _path(name: str) -> tuple[str, ...]:
    return tuple(name.split("/"))


class Listing:
    """One listing of layers, uploads or repositories, and the foreign things that it left out."""

    def __init__(self, driver: CheckedDriver) -> None:
        """Begin a listing that has left out nothing yet."""
        self._driver = driver
        self._passed: dict[Foreign, None] = {}

    def repositories(self, name: str = "", *, after: str = "") -> Iterator[str]:
        """Yield the names of the repositories at and below a name that have a layer, an upload or a manifest.

        Ascending, as paths: ``a`` before ``a/b`` before ``a-b``. What lies wholly before ``after`` is not listed.
        """
        children = list(self._children(f"{layout.REPOSITORIES}/{name}".rstrip("/")))
        if layout.is_name(name) and _path(name) > _path(after) and any(child.endswith(AREAS) for child in children):
            yield name
        below = (child.removeprefix(f"{layout.REPOSITORIES}/")[:-1] for child in children if child.endswith("/"))
        for child in sorted(below, key=_path):
            if "/_" not in f"/{child}" and _path(child) >= _path(after)[: len(_path(child))]:
                yield from self.repositories(child, after=after)

    def layers(self, name: str) -> Iterator[str]:
        """Yield, as text, the digests of a repository's links; not all of them need be valid."""
        area = layout.layers(name)
        there = set(self._children(area))
        for algorithm in ALGORITHMS:
            prefix = layout.links(name, algorithm)
            if f"{area}/{prefix[len(area) + 1 :].partition('/')[0]}/" in there:
                yield from (f"{algorithm}:{hexdigits}" for hexdigits in self._below(prefix))

    def uploads(self, name: str) -> Iterator[str]:
        """Yield the ids of a repository's uploads; not all of them need be valid."""
        return self._below(layout.uploads(name))

    def tell(self) -> None:
        """Log what was left out: the first such thing, and how many more."""
        if self._passed:
            first, *others = self._passed
            more = f", and {len(others)} more" if others else ""
            log.warning("passed over %s, %s%s; scrub lists all", first.name, walk.not_understood(first), more)

    def _children(self, prefix: str) -> Iterator[str]:
        return walk.telling(self._driver, self._passed.setdefault)(prefix)

    def _below(self, prefix: str) -> Iterator[str]:
        """Yield the last segment of each prefix directly below a prefix."""
        return (child.split("/")[-2] for child in self._children(prefix) if child.endswith("/"))

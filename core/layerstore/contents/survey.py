"""A survey of all links and uploads, made before the blobs are looked at; and findings on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import marks, walk
from layerstore.digest import Digest
from layerstore.driver import Foreign
from layerstore.errors import InvalidNameError, InvalidUploadIDError, LayerStoreError

FindingKind = Literal["ok", "damaged", "unreadable", "missing", "damaged-link", "unlinked", "foreign", "leftover"]
"""``ok``: a blob hashes to its name. ``damaged``: it does not. ``unreadable``: a blob, or a part of the store, cannot
be read, or is not understood. ``missing``: a link leads to no blob. ``damaged-link``: a link holds no valid digest.
``unlinked``: no link leads to a blob, and no finish has claimed it. ``foreign``: a key that is not of this layout.
``leftover``: data of an upload or a collection that was cut off."""

HARMFUL: tuple[FindingKind, ...] = ("damaged", "unreadable", "missing", "damaged-link")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a scrub has found."""

    kind: FindingKind
    key: str
    """The key of the blob or, if that is ``missing``, of the link to it."""
    digest: Digest | None = None
    """The digest that the blob should have."""
    actual: Digest | None = None
    """The digest that a damaged blob has."""
    size: int = 0
    """Bytes of the blob."""
    detail: str = ""
    """More about it, for people."""
    quarantined: str = ""
    """The key it was moved to."""

    @property
    def harmful(self) -> bool:
        """Whether it harms a client that fetches layers."""
        return self.kind in HARMFUL


@dataclass(slots=True)
class Survey:
    """The blobs that links and uploads point to."""

    links: dict[str, list[str]] = field(default_factory=dict)
    """The keys of the links to each blob, by the hex of its sha256."""
    claimed: set[str] = field(default_factory=set)
    """Hex of the blobs that finishes under way have claimed."""
    odd: list[Finding] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
    """The names of foreign things; each has one finding in ``odd``, even if it was met several times."""
    whole: bool = False
    """Whether the survey covers all repositories, and all of them could be read and understood."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def uses(self, digest: Digest) -> bool:
        """Return whether a blob is in use; True if the survey is not whole."""
        return not self.whole or digest.hex in self.links or digest.hex in self.claimed


def survey(driver: CheckedDriver, name: str | None) -> Survey:
    """Look at the links and uploads of one repository, or of all.

    Raises:
        DriverError: the repositories cannot be listed at all.
    """
    work = _Surveyor(driver, Survey(whole=name is None))
    if name is None:
        walk.look_beside(driver, work.odd)
    for area in walk.areas(work.children, name, work.missed):
        try:
            work.uploads(area) if area.endswith(f"/{walk.UPLOADS}") else work.links(area)
        except LayerStoreError as error:
            work.missed(area, error)
    return work.found


@dataclass(frozen=True, slots=True)
class _Surveyor:
    driver: CheckedDriver
    found: Survey
    taken: dict[str, datetime] = field(default_factory=dict)
    """Keys that a writer has taken, and published nothing, with the time of each."""

    def missed(self, prefix: str, error: LayerStoreError) -> None:
        if prefix == layout.REPOSITORIES:
            raise error
        self.found.whole = False
        self._odd("unreadable", prefix, str(error))

    def odd(self, foreign: Foreign) -> None:
        self.found.whole = False
        if foreign.name not in self.found.foreign:
            self.found.foreign.add(foreign.name)
            self._odd("unreadable", foreign.name, walk.not_understood(foreign))

    def children(self, prefix: str) -> Iterator[str]:
        return walk.telling(self.driver, self.odd, self.taken)(prefix)

    def uploads(self, area: str) -> None:
        for child in self.children(area):
            uuid = child.removeprefix(f"{area}/")
            there = set(self.children(child[:-1]) if child.endswith("/") else ())
            self.found.claimed.update(marks.claims(self.children, child, there))
            try:
                keys = layout.UploadKeys(walk.repository(area), uuid.removesuffix("/") if uuid.endswith("/") else "")
            except (InvalidNameError, InvalidUploadIDError):
                self._odd("foreign", child)
                continue
            if keys.started_at not in there - self.taken.keys():
                self._odd(
                    "leftover",
                    child,
                    "of an upload that has ended, or that was cut off before others knew of it",
                )

    def links(self, area: str) -> None:
        for key in marks.keys(self.driver, area, self.odd):
            if marks.is_link(key):
                self._link(key)
            elif not layout.is_note(key):
                self._odd("foreign", key)

    def _link(self, key: str) -> None:
        try:
            link = marks.link(self.driver, key)
        except LayerStoreError as error:
            self.missed(key, error)
            return
        if link is not None and link.target is None:
            self._odd("damaged-link", key, link.detail)
        elif link is not None and link.target is not None and link.target.algorithm == "sha256":
            self.found.links.setdefault(link.target.hex, []).append(key)

    def _odd(self, kind: FindingKind, key: str, detail: str = "") -> None:
        self.found.odd.append(Finding(kind, key, detail=detail))

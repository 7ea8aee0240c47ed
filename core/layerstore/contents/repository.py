"""What lies in one repository, and what refers to what there. All of it has to be understood."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import manifest, marks, walk
from layerstore.contents.manifest import NotUnderstoodError, References
from layerstore.digest import TARSUM, Digest
from layerstore.driver import Foreign
from layerstore.errors import InvalidDigestError, LayerStoreError, PathNotFoundError

LinkKind = Literal["layer", "manifest", "tag", "history", "referrer"]
"""``layer`` and ``manifest``: a repository's link to one. ``tag``: what one stands for; it is never dropped.
``history``: that a tag has stood for a manifest. ``referrer``: that a manifest refers to another one. The last two go
when the manifest has gone."""


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A link that nothing refers to."""

    name: str
    """The repository."""
    kind: LinkKind
    digest: Digest
    """By which the repository had the layer or the manifest."""
    key: str
    error: LayerStoreError | None = None
    """Why it could not be dropped."""


class Found(NamedTuple):
    """A link in a repository, or the note of a referrer."""

    link: Unlinked
    target: Digest
    condemned: bool

    @property
    def names(self) -> tuple[Digest, Digest]:
        """Return the digests by which something may refer to it."""
        return (self.link.digest, self.target)


class Sight(NamedTuple):
    """A repository at one look: its links by kind, and what refers to them."""

    found: list[Found]
    references: dict[Digest, References]
    """Of all manifests that are there, by their sha256."""

    def idle(self, *, untagged: bool) -> list[Found]:
        """Return the links that nothing refers to."""
        wanted = {digest for each in self.references.values() for digest in each.mentioned}
        present = {name for each in self._of("manifest") for name in each.names}
        idle = [*self._others("layer", wanted)]
        kept = present | {each.target for each in self._of("tag")}
        idle += [each for each in self._of("history") if each.target not in kept]
        idle += [each for each in self._of("referrer") if each.link.digest not in present]
        return [*idle, *self._others("manifest", self._led_to(present))] if untagged else idle

    def _led_to(self, present: set[Digest]) -> set[Digest]:
        tagged = {each.target for each in self._of("tag")}
        children = {digest for each in self.references.values() for digest in each.children}
        about = {target for target, each in self.references.items() if each.subject in present}
        return tagged | children | about

    def _others(self, kind: LinkKind, wanted: set[Digest]) -> Iterator[Found]:
        """Yield the links to whatever is wanted by none of its names; a tarsum is no name that a manifest can have."""
        used = {
            each.target for each in self._of(kind) if each.link.digest.is_tarsum or not wanted.isdisjoint(each.names)
        }
        return (each for each in self._of(kind) if each.target not in used)

    def _of(self, kind: LinkKind) -> Iterator[Found]:
        return (each for each in self.found if each.link.kind == kind)


class Repository:
    """A repository, to be looked at several times."""

    def __init__(self, driver: CheckedDriver, name: str) -> None:
        """Look at this one.

        Raises:
            InvalidNameError: no name.
        """
        self._driver = driver
        self._name = layout.check_name(name)
        self._known: dict[Digest, References] = {}  # manifests do not change, so each is read once

    def look(self, *, without: Collection[str] = ()) -> Sight:
        """Read all that lies in the repository, as if the keys ``without`` were not there.

        Raises:
            NotUnderstoodError, LayerStoreError: not all of it can be read and understood.
        """
        found, references = list[Found](), dict[Digest, References]()
        for area in (layout.layers(self._name), layout.manifests(self._name)):
            for key in marks.keys(self._driver, area, _refuse):
                seen = None if key in without else self._seen(key)
                found += [seen] if seen else []
                if seen and seen.link.kind == "manifest":
                    references |= self._references(seen)
        return Sight(found, references)

    def _seen(self, key: str) -> Found | None:
        """Return what a key is; None if it is gone, or no link."""
        what = _what(self._name, key)
        if what is None:
            return None
        if what.kind == "referrer":
            return Found(what, what.digest, condemned=False)
        link = marks.link(self._driver, key)
        if link is None:
            return None
        if link.target is None or link.target.algorithm != "sha256":
            raise NotUnderstoodError(f"{key}: {link.detail or 'a link to no sha256'}")
        return Found(what, link.target, condemned=link.condemned)

    def _references(self, found: Found) -> dict[Digest, References]:
        """Return what a manifest refers to, by its sha256; nothing, if it has been removed."""
        target = found.target
        if target not in self._known:
            try:
                data = self._driver.get(layout.blob(target), manifest.LARGEST + 1)
            except PathNotFoundError:
                if self._driver.find(found.link.key) is None:
                    return {}
                raise NotUnderstoodError(f"manifest {target}: its bytes are not there") from None
            self._known[target] = _understood(target, data)
        return {target: self._known[target]}


def _refuse(foreign: Foreign) -> None:
    raise NotUnderstoodError(f"{foreign.name}: {walk.not_understood(foreign)}")


def _what(name: str, key: str) -> Unlinked | None:
    """Return what a key below a repository is; None if it is no link. A tag is of no digest, so it has a stand-in.

    Raises:
        NotUnderstoodError: it is a link that we do not know.
    """
    try:
        match key.removeprefix(f"{layout.REPOSITORIES}/{name}/").split("/"):
            case ["_layers", "tarsum", "v1", "sha256", hexdigits, "link"]:
                return Unlinked(name, "layer", Digest(TARSUM, hexdigits), key)
            case ["_layers", algorithm, hexdigits, "link"]:
                return Unlinked(name, "layer", Digest(algorithm, hexdigits), key)
            case ["_manifests", "revisions", algorithm, hexdigits, "link"]:
                return Unlinked(name, "manifest", Digest(algorithm, hexdigits), key)
            case ["_manifests", "tags", _, "current", "link"]:
                return Unlinked(name, "tag", Digest.of(b""), key)
            case ["_manifests", "tags", _, "index", algorithm, hexdigits, "link"]:
                return Unlinked(name, "history", Digest(algorithm, hexdigits), key)
            case ["_manifests", "referrers", _, _, algorithm, hexdigits, "referrer"]:
                return Unlinked(name, "referrer", Digest(algorithm, hexdigits), key)
    except InvalidDigestError as error:
        raise NotUnderstoodError(f"{key}: {error}") from None
    if marks.is_link(key):
        raise NotUnderstoodError(f"{key}: a link of a kind that is not known")
    return None


def _understood(target: Digest, data: bytes) -> References:
    if len(data) <= manifest.LARGEST and Digest.of(data) != target:
        raise NotUnderstoodError(f"manifest {target}: damaged")
    try:
        return manifest.read(data)
    except NotUnderstoodError as error:
        raise NotUnderstoodError(f"manifest {target}: {error}") from None

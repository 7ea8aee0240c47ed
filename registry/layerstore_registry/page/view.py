"""The content of the pages, read from the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from layerstore import Digest, InvalidDigestError, LayerService, layout
from layerstore.contents.manifest import DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX
from layerstore_registry.refusals import Refusal
from layerstore_registry.resources import digests, documents

if TYPE_CHECKING:
    from layerstore_registry.resources.revisions import Revisions

MOST: Final = 100
"""The most tags, uploads and repositories on one page."""

_KINDS: Final = {
    OCI_IMAGE: "image",
    DOCKER_IMAGE: "image (Docker)",
    OCI_INDEX: "index",
    DOCKER_LIST: "list (Docker)",
}


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and its manifest."""

    name: str
    digest: Digest
    kind: str
    size: int
    """Bytes of the image, as its manifest says."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part to which a manifest refers."""

    digest: str
    kind: str
    size: int
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way."""

    uuid: str
    offset: int
    started: datetime
    modified: datetime


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest and its parts."""

    digest: Digest
    kind: str
    media_type: str
    layers: list[Part] = field(default_factory=list)
    children: list[Part] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all its parts."""
        return sum(part.size for part in [*self.layers, *self.children])


class View:
    """Reads the content of the pages."""

    def __init__(self, service: LayerService, revisions: Revisions) -> None:
        """Read a store."""
        self._service = service
        self._revisions = revisions

    def tags(self, name: str) -> list[Tag]:
        """Return the first tags of a repository, with their manifests."""
        found = []
        for tag in self._revisions.tags(name)[:MOST]:
            digest = self._revisions.standing_for(name, tag)
            manifest = self.manifest(name, digest) if digest else None
            if manifest:
                found.append(Tag(tag, manifest.digest, manifest.kind, manifest.size))
        return found

    def uploads(self, name: str) -> list[Upload]:
        """Return uploads of a repository that are under way."""
        found: list[Upload] = []
        for info in self._service.uploads(name):
            if len(found) < MOST:
                found.append(Upload(info.uuid, info.offset, info.started_at, info.modified))
        return found

    def manifest(self, name: str, digest: Digest) -> Manifest | None:
        """Return a manifest; None if there is none, or its parts cannot be read."""
        data = self._revisions.read(name, digest)
        if data is None:
            return None
        body = documents.stored(data)
        kind = documents.media_type_of(body)
        try:
            documents.read(data)
        except Refusal:
            return Manifest(digest, "unknown", kind)
        layers = [body["config"], *body["layers"]] if "layers" in body else []
        children = body.get("manifests", [])
        return Manifest(digest, _KINDS.get(kind, "unknown"), kind, list(_parts(layers)), list(_parts(children)))

    def resolve(self, name: str, reference: str) -> Digest | None:
        """Return the digest of a manifest by tag or digest; None if it is neither."""
        if layout.is_tag(reference):
            return self._revisions.standing_for(name, reference)
        try:
            return digests.parse(reference)
        except InvalidDigestError:
            return None

    def shared(self, name: str, manifest: Manifest) -> dict[str, list[str]]:
        """Return, for each layer of a manifest, the other tags of the repository whose images have it."""
        found: dict[str, list[str]] = {}
        for tag in self._revisions.tags(name)[:MOST]:
            digest = self._revisions.standing_for(name, tag)
            other = self.manifest(name, digest) if digest and digest != manifest.digest else None
            for part in other.layers if other else ():
                found.setdefault(part.digest, []).append(tag)
        return found


def _parts(descriptors: Iterable[Any]) -> Iterable[Part]:
    for descriptor in descriptors:
        size = descriptor.get("size")
        platform = descriptor.get("platform")
        yield Part(
            str(descriptor.get("digest", "")),
            str(descriptor.get("mediaType", "")),
            size if isinstance(size, int) and 0 < size < 1 << 63 else 0,
            "/".join(_platform(platform)) if isinstance(platform, dict) else "",
        )


def _platform(told: dict[str, Any]) -> Iterable[str]:
    return (str(told[key]) for key in ("os", "architecture", "variant") if told.get(key))

"""Images in a repository, stored as a registry stores them: manifests, indexes, tags and referrers, key by key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerstore import Digest, layout
from layerstore_conformance.kit.layers import store
from layerstore_conformance.kit.payloads import digest

if TYPE_CHECKING:
    from layerstore import LayerService
    from layerstore.contents.repository import Unlinked


class Images:
    """One repository, by the names that a scenario gives to what lies in it."""

    def __init__(self, service: LayerService, name: str) -> None:
        """Store in a repository; no two have bytes in common."""
        self.service = service
        self.name = name
        self.digests: dict[str, Digest] = {}
        """Of each layer and manifest, by its name."""
        self._others: dict[Digest, str] = {}

    def layer(self, label: str) -> dict[str, Any]:
        """Store a layer, and return its descriptor."""
        store(self.service, self.name, data := f"{self.name} {label}".encode())
        self.digests[label] = Digest.parse(digest(data))
        return self.described(label)

    def described(self, label: str) -> dict[str, Any]:
        """Return the descriptor of something."""
        return {"digest": str(self.digests[label])}

    def image(self, label: str, *layers: str, **more: object) -> dict[str, Any]:
        """Store an image of layers that are there, of which the first is its config."""
        described = [self.described(layer) for layer in layers]
        return self.manifest(label, {"config": described[0], "layers": described[1:], **more})

    def index(self, label: str, *children: str, **more: object) -> dict[str, Any]:
        """Store an index of manifests that are there."""
        return self.manifest(label, {"manifests": [self.described(child) for child in children], **more})

    def manifest(self, label: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Store a manifest, and return its descriptor."""
        return self.manifest_of(label, json.dumps({"schemaVersion": 2, "annotations": {"of": label}, **body}).encode())

    def manifest_of(self, label: str, data: bytes) -> dict[str, Any]:
        """Store a manifest of these bytes, whatever they are."""
        found = self.digests[label] = Digest.of(data)
        self.service.driver.put(layout.blob(found), data)
        self.service.driver.put(layout.revision(self.name, found), str(found).encode())
        return self.described(label)

    def tag(self, text: str, label: str) -> None:
        """Have a tag stand for a manifest, and remember what it has stood for."""
        found = self.digests[label]
        for key in (layout.tag(self.name, text), layout.tag_entry(self.name, text, found)):
            self.service.driver.put(key, str(found).encode())

    def refer(self, label: str, subject: str) -> None:
        """Remember that a manifest refers to another one."""
        self.service.driver.put(layout.referrer(self.name, self.digests[subject], self.digests[label]), b"{}")

    def link(self, label: str, other: Digest) -> None:
        """Link a layer by another digest."""
        self.service.driver.put(layout.link(self.name, other), str(self.digests[label]).encode())
        self._others[other] = label

    def named(self, link: Unlinked) -> str:
        """Return the name that the scenario has given to something, by whichever digest it is linked."""
        names = {digest: label for label, digest in self.digests.items()}
        return names.get(link.digest) or self._others.get(link.digest, link.key)

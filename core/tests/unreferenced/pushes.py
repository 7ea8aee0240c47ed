"""Manifests as a registry stores them, a collection of all that nothing refers to, and its looks."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

from layerstore import CollectReport, Digest, LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore.contents import manifest
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.watching import When

CONFIG, USED, IDLE = b"{}", b"a layer in use", b"a layer that nothing refers to"
HOUR = timedelta(hours=1)


def later() -> datetime:
    """Return a moment at which everything stored now is old enough."""
    return datetime.now(UTC) + timedelta(days=2)


def image(*layers: bytes, **more: object) -> bytes:
    """Write the manifest of an image."""
    described = [{"digest": digest(layer)} for layer in layers]
    body = {"schemaVersion": 2, "mediaType": manifest.IMAGES[0], "config": {"digest": digest(CONFIG)}}
    return json.dumps(body | {"layers": described} | more).encode()


def index(*manifests: bytes) -> bytes:
    """Write an index."""
    children = [{"digest": digest(each)} for each in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": manifest.INDEXES[0], "manifests": children}).encode()


def about(subject: bytes) -> bytes:
    """Write the manifest of something that is about another manifest."""
    return image(subject={"digest": digest(subject)})


def revision(data: bytes, name: str = "a") -> str:
    """Return the key of a manifest's link."""
    return layout.revision(name, Digest.of(data))


def layer(data: bytes, name: str = "a") -> str:
    """Return the key of a layer's link."""
    return layout.link(name, Digest.of(data))


def push(driver: CheckedDriver, data: bytes, *tags: str, name: str = "a") -> None:
    """Store a manifest, as a registry does."""
    text = digest(data).encode()
    driver.put(layout.blob(Digest.of(data)), data)
    driver.put(revision(data, name), text)
    for tag in tags:
        driver.put(layout.tag_entry(name, tag, Digest.of(data)), text)
        driver.put(layout.tag(name, tag), text)


IMAGE = image(USED)


def gc(store: LayerService, *, untagged: bool = False, dry_run: bool = False) -> CollectReport:
    """Collect all that nothing refers to, whatever its age."""
    return store.collect(now=later(), unreferenced=True, untagged=untagged, dry_run=dry_run)


def unlinked(report: CollectReport) -> list[str]:
    """Return the keys of the links that were dropped."""
    return [each.key for each in report.dropped.removed]


def at_look(number: int, key: str = layout.REPOSITORIES + "/a/_manifests") -> When:
    """Be true of the first call of the second look at a repository, and so on; a mark comes before the first."""
    seen = itertools.count()
    return lambda _, call: (call.method, call.key) == ("list", key) and next(seen) == number

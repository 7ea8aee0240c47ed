"""What a manifest refers to, as far as a collection has to know; and what is not understood at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from layerstore import Digest
from layerstore.contents import manifest
from layerstore.contents.manifest import NotUnderstoodError

ONE, TWO, THREE, FOUR = (Digest.of(bytes([number])) for number in range(4))
LONG = Digest("sha512", "0" * 128)
OCI_IMAGE, DOCKER_IMAGE = manifest.IMAGES
OCI_INDEX, DOCKER_LIST = manifest.INDEXES


def image(**more: object) -> dict[str, Any]:
    """Describe an image of a config and two layers, one of which is to be had elsewhere."""
    elsewhere = {"digest": str(THREE), "urls": ["https://example.org/layer"]}
    layers = [{"digest": str(TWO)}, elsewhere]
    return {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": {"digest": str(ONE)}, "layers": layers} | more


def index(**more: object) -> dict[str, Any]:
    """Describe an index of two manifests."""
    children = [{"digest": str(ONE)}, {"digest": str(LONG)}]
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children} | more


def read(body: object) -> manifest.References:
    """Read a manifest."""
    return manifest.read(json.dumps(body).encode())


@pytest.mark.parametrize("kind", [{"mediaType": DOCKER_IMAGE}, {}])
def test_an_image_refers_to_config_and_layers(kind: dict[str, str]) -> None:
    """Also to those that may be elsewhere: somebody may have stored them here."""
    found = read(image(**kind))
    assert (found.mentioned, found.children, found.subject) == (frozenset({ONE, TWO, THREE}), frozenset(), None)


@pytest.mark.parametrize("kind", [{"mediaType": DOCKER_LIST}, {}])
def test_an_index_refers_to_its_children(kind: dict[str, str]) -> None:
    """They may be manifests or, of a cache, layers."""
    found = read(index(**kind))
    assert (found.mentioned, found.children) == (frozenset({ONE, LONG}), frozenset({ONE, LONG}))


@pytest.mark.parametrize("body", [image(), index()], ids=["image", "index"])
def test_one_without_a_media_type_is_what_it_looks_like(body: dict[str, Any]) -> None:
    """As a CNCF registry takes it."""
    bare = {name: value for name, value in body.items() if name != "mediaType"}
    assert read(bare) == read(body)


def test_what_is_mentioned_anywhere_counts() -> None:
    """In annotations, deep down, and with a subject; texts that are no digests do not."""
    notes = {"annotations": {"base": str(FOUR), "when": "10:30", "of": "nothing"}, "subject": {"digest": str(LONG)}}
    found = read(image(**notes))
    assert (found.mentioned, found.subject) == (frozenset({ONE, TWO, THREE, FOUR, LONG}), LONG)


NOT_UNDERSTOOD = {
    "no JSON": b"manifest",
    "no UTF-8": b'"\xff"',
    "too deep": b"[" * 100_000,
    "no object": b"[]",
    "the first schema": json.dumps(image(schemaVersion=1)).encode(),
    "a type of somebody's own": json.dumps(image(mediaType="application/x")).encode(),
    "a type that is no text": json.dumps(image(mediaType=[])).encode(),
    "an image that is an index": json.dumps(image() | {"manifests": []}).encode(),
    "an index that is an image": json.dumps(index() | {"layers": []}).encode(),
    "an index by its type alone": json.dumps(image(mediaType=OCI_INDEX)).encode(),
    "an image without layers": json.dumps({"schemaVersion": 2, "config": {"digest": str(ONE)}}).encode(),
    "a layer without a digest": json.dumps(image(layers=[{"digest": "none"}])).encode(),
    "a child without a digest": json.dumps(index(manifests=["none"])).encode(),
    "a subject without a digest": json.dumps(image(subject={})).encode(),
    "a member that stands twice": json.dumps(image()).encode().replace(b'"layers"', b'"layers": [], "Layers"'),
    "too large": b" " * (manifest.LARGEST + 1),
}


@pytest.mark.parametrize("data", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_what_is_not_certainly_understood_is_refused(data: bytes) -> None:
    """It may refer to layers in a way of its own."""
    with pytest.raises(NotUnderstoodError):
        manifest.read(data)


def test_a_digest_by_another_case_of_its_name_counts() -> None:
    """Programs in Go read it so."""
    assert TWO in read(image(layers=[{"Digest": str(TWO)}])).mentioned

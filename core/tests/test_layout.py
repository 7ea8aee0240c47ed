"""The layout: the keys that a CNCF registry on the same backend looks under, spelled out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from layerstore import layout
from layerstore.digest import TARSUM, Digest
from layerstore.keys import check_key

HEX = "ab12" * 16
UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
SHA256 = Digest("sha256", HEX)
WHEN = datetime(2026, 7, 4, 1, 2, 3, 4, tzinfo=UTC)
UPLOAD = layout.UploadKeys("library/debian", UUID)

KEYS = {
    layout.blob(SHA256): f"docker/registry/v2/blobs/sha256/ab/{HEX}/data",
    layout.layers("a"): "docker/registry/v2/repositories/a/_layers",
    layout.links("a", "sha512"): "docker/registry/v2/repositories/a/_layers/sha512",
    layout.link("a/b", SHA256): f"docker/registry/v2/repositories/a/b/_layers/sha256/{HEX}/link",
    layout.link("a", Digest(TARSUM, HEX)): f"docker/registry/v2/repositories/a/_layers/tarsum/v1/sha256/{HEX}/link",
    layout.uploads("a/b"): "docker/registry/v2/repositories/a/b/_uploads",
    UPLOAD.prefix: f"docker/registry/v2/repositories/library/debian/_uploads/{UUID}",
    UPLOAD.started_at: f"docker/registry/v2/repositories/library/debian/_uploads/{UUID}/startedat",
    UPLOAD.data: f"docker/registry/v2/repositories/library/debian/_uploads/{UUID}/data",
    UPLOAD.state: f"docker/registry/v2/repositories/library/debian/_uploads/{UUID}/state",
    UPLOAD.intents: f"docker/registry/v2/repositories/library/debian/_uploads/{UUID}/intent",
    UPLOAD.intent(SHA256): f"docker/registry/v2/repositories/library/debian/_uploads/{UUID}/intent/{HEX}",
    UPLOAD.purged: f"docker/registry/v2/repositories/library/debian/_uploads/{UUID}/intent/purged",
    layout.quarantined(SHA256, WHEN): f"layerstore/quarantine/sha256/{HEX}/20260704T010203.000004Z",
}

NAMES = ("a", "0", "library/debian", "a.b_c__d-e", "a---b", "a/b/c/d", "x" * 255, "/".join(["ab"] * 85))


@pytest.mark.parametrize(("key", "expected"), KEYS.items())
def test_a_key_is_where_a_registry_looks(key: str, expected: str) -> None:
    """Keys are distribution's, layout version 2, to the letter."""
    assert key == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_repository_name_is_taken_as_it_is(name: str) -> None:
    """Every name that the OCI grammar allows, up to 255 characters, is a name."""
    assert layout.check_name(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_the_longest_key_of_a_good_name_is_a_key(name: str) -> None:
    """No name that is accepted makes a key that no driver would take."""
    check_key(layout.UploadKeys(name, UUID).intent(SHA256))
    check_key(layout.link(name, Digest("sha512", "0" * 128)))


def test_an_upload_id_is_taken_as_it_is() -> None:
    """A UUID in lower case with dashes is an upload id."""
    assert layout.check_uuid(UUID) == UUID


def test_a_blob_lies_under_its_canonical_digest_only() -> None:
    """Under another name, a tarsum above all, other bytes could take its place."""
    with pytest.raises(ValueError, match="not under sha512:0"):
        layout.blob(Digest("sha512", "0" * 128))
    with pytest.raises(ValueError, match="not under tarsum"):
        layout.blob(Digest(TARSUM, HEX))

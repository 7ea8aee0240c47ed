"""Where a repository's manifests, tags and referrers lie, beside a CNCF registry's."""

from __future__ import annotations

import pytest

import layerstore
from layerstore import Digest, layout
from layerstore.keys import check_key

HEX, OTHER = "ab12" * 16, "cd34" * 32
SHA256, SHA512 = Digest("sha256", HEX), Digest("sha512", OTHER)
TOP = "docker/registry/v2/repositories/a/b/_manifests"

KEYS = {
    layout.manifests("a/b"): TOP,
    layout.revision("a/b", SHA256): f"{TOP}/revisions/sha256/{HEX}/link",
    layout.revision("a/b", SHA512): f"{TOP}/revisions/sha512/{OTHER}/link",
    layout.tags("a/b"): f"{TOP}/tags",
    layout.tag("a/b", "latest"): f"{TOP}/tags/latest/current/link",
    layout.tag_entry("a/b", "latest", SHA256): f"{TOP}/tags/latest/index/sha256/{HEX}/link",
    layout.tag_digest("a/b", "latest"): f"{TOP}/tags/latest/current/digest",
    layout.tag_entry("a/b", "current", SHA256): f"{TOP}/tags/current/index/sha256/{HEX}/link",
    layout.referrers("a/b", SHA512): f"{TOP}/referrers/sha512/{OTHER}",
    layout.referrer("a/b", SHA512, SHA256): f"{TOP}/referrers/sha512/{OTHER}/sha256/{HEX}/referrer",
}


@pytest.mark.parametrize(("key", "expected"), KEYS.items())
def test_a_key_of_manifests_is_where_a_registry_looks(key: str, expected: str) -> None:
    """Keys are distribution's, layout version 2, to the letter; those of referrers are where it does not look."""
    assert key == expected


@pytest.mark.parametrize("tag", ["a", "0", "_", "A.b-c_d", "x" * 128])
def test_a_tag_is_taken_as_it_is(tag: str) -> None:
    """Whatever the OCI grammar allows is a tag, and makes keys that every driver takes."""
    assert layout.is_tag(tag)
    check_key(layout.tag_entry("x" * 255, tag, SHA512))


@pytest.mark.parametrize("tag", ["", ".", "..", "-a", ".a", "a/b", "a b", "a\n", "x" * 129, "\u00e4", "a:b"])
def test_what_is_no_tag_makes_no_key(tag: str) -> None:
    """Neither of what it stands for nor of what it has stood for."""
    assert not layout.is_tag(tag)
    with pytest.raises(ValueError, match="is no tag"):
        layout.tag("a", tag)
    with pytest.raises(ValueError, match="is no tag"):
        layout.tag_entry("a", tag, SHA256)
    with pytest.raises(ValueError, match="is no tag"):
        layout.tag_digest("a", tag)


def test_the_longest_key_of_a_referrer_is_a_key() -> None:
    """No repository has a name too long for it."""
    check_key(layout.referrer("x" * 255, SHA512, SHA512))


def test_a_scrub_knows_what_is_noted_of_manifests(url: str) -> None:
    """That is no stranger; what lies beside is."""
    store = layerstore.open(url)
    store.driver.put(layout.referrer("a", SHA256, SHA512), b"{}")
    store.driver.put(layout.tag_digest("a", "latest"), b"x")
    store.driver.put(f"{layout.referrers('a', SHA256)}/stray", b"{}")
    assert [(found.kind, found.key) for found in store.scrub()] == [
        ("foreign", f"{layout.referrers('a', SHA256)}/stray")
    ]

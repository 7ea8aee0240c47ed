"""Digests: what is read, what it is then, and what names a layer without naming its bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle

import pytest

import layerstore
from layerstore.digest import HEX_LENGTHS, TARSUM, Digest
from layerstore.fslayer import FSLayer

TEXTS = {algorithm: f"{algorithm}:{'0123456789abcdef' * (length // 16)}" for algorithm, length in HEX_LENGTHS.items()}
TEXTS[TARSUM] = f"{TARSUM}:{'0123456789abcdef' * 4}"


@pytest.mark.parametrize("algorithm", TEXTS)
def test_a_digest_is_read_and_written_as_it_was(algorithm: str) -> None:
    """Every algorithm that is verified is read, and the text comes out as it went in."""
    digest = Digest.parse(TEXTS[algorithm])
    assert (digest.algorithm, str(digest)) == (algorithm, TEXTS[algorithm])
    assert digest.hex == TEXTS[algorithm].partition(":")[2]


@pytest.mark.parametrize("algorithm", TEXTS)
def test_only_a_tarsum_names_no_bytes(algorithm: str) -> None:
    """A content digest says what the bytes are, a tarsum does not."""
    assert Digest.parse(TEXTS[algorithm]).is_tarsum is (algorithm == TARSUM)


def test_a_digest_is_parsed_once() -> None:
    """A Digest is returned itself."""
    digest = Digest.parse(TEXTS["sha256"])
    assert Digest.parse(digest) is digest


def test_equal_digests_are_one_member_of_a_set() -> None:
    """Digests are values: equal, hashed and ordered by what they say."""
    first, again, other = (Digest.parse(TEXTS[name]) for name in ("sha256", "sha256", "sha512"))
    assert {first, again} == {first}
    assert first < other


def test_a_digest_does_not_change() -> None:
    """A digest that was checked stays checked."""
    digest = Digest.parse(TEXTS["sha256"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        digest.hex = "../.."  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize("algorithm", HEX_LENGTHS)
def test_a_digest_allows_no_bytes_if_it_is_theirs_and_else_only_some(algorithm: str) -> None:
    """A size tells whether bytes are none, and the digest of none is known."""
    empty, other = (
        Digest(algorithm, hashlib.new(algorithm).hexdigest()),
        Digest(algorithm, "0" * HEX_LENGTHS[algorithm]),
    )
    assert [empty.allows(0), empty.allows(1), other.allows(0), other.allows(1)] == [True, False, False, True]


def test_a_tarsum_allows_any_size() -> None:
    """It is no digest of the bytes."""
    assert [Digest(TARSUM, "0" * 64).allows(size) for size in (0, 1)] == [True, True]


def test_a_digest_pickles() -> None:
    """A digest goes to another process and is the same there."""
    digest = Digest.parse(TEXTS[TARSUM])
    assert pickle.loads(pickle.dumps(digest)) == digest


def test_a_manifest_entry_holds_what_a_layer_is_asked_for_by() -> None:
    """The seed's ``FSLayer`` is the text of a digest, whatever that is worth."""
    assert FSLayer("sha256:abc").blob_sum == "sha256:abc"


def test_everything_the_package_promises_is_there() -> None:
    """``__all__`` is in order, names each once, and every name is there."""
    assert sorted(set(layerstore.__all__), key=layerstore.__all__.index) == layerstore.__all__
    assert all(hasattr(layerstore, name) for name in layerstore.__all__)

"""Payloads: the same bytes every time, all of them different, and a difference that says what landed where."""

from __future__ import annotations

import hashlib

import pytest

from layerstore_conformance.kit.payloads import BLOCK, Payload, difference, digest, expect_same

DATA = Payload("one").read(10 * BLOCK)
OTHER = Payload("two", 7).read(10 * BLOCK)


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_a_payload_is_the_same_every_time(seed: int) -> None:
    """Made twice, for the same label and seed, it has the same bytes."""
    assert Payload("a", seed).read(5000) == Payload("a", seed).read(5000)


def test_a_payload_is_the_same_in_every_version() -> None:
    """A failure that was reported can be repeated: these bytes do not change between versions."""
    assert digest(Payload("layer", 3).read(5000)) == (
        "sha256:50f7c8cf70d9c10a08637b5ee11b9c97a720e67341acc658233a815be619d605"
    )


@pytest.mark.parametrize(("label", "seed"), [("b", 0), ("a", 1)])
def test_payloads_of_another_label_or_seed_differ_in_every_block(label: str, seed: int) -> None:
    """No block of one is a block of the other."""
    first, second = Payload("a", 0).read(20 * BLOCK), Payload(label, seed).read(20 * BLOCK)
    starts = range(0, 20 * BLOCK, BLOCK)
    assert {first[at : at + BLOCK] for at in starts}.isdisjoint(second[at : at + BLOCK] for at in starts)


def test_no_block_of_a_payload_is_there_twice() -> None:
    """A block that landed in another's place is noticed."""
    blocks = {DATA[at : at + BLOCK] for at in range(0, len(DATA), BLOCK)}
    assert len(blocks) == 10


@pytest.mark.parametrize("offset", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3000])
@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2000])
def test_a_part_is_read_from_any_offset(offset: int, size: int) -> None:
    """Wherever it is read from, a payload is one stream."""
    assert Payload("one").read(size, offset) == DATA[offset : offset + size]


def test_the_digest_of_a_payload_is_that_of_its_bytes() -> None:
    """``sha256`` says what ``finish`` would be given."""
    assert Payload("one").sha256(1234) == f"sha256:{hashlib.sha256(DATA[:1234]).hexdigest()}"


def test_equal_bytes_have_no_difference() -> None:
    """There is nothing to tell."""
    assert difference(DATA, bytes(DATA)) == ""


@pytest.mark.parametrize("at", [0, 1, 100, BLOCK - 1, BLOCK, 3 * BLOCK + 77])
def test_a_difference_begins_at_the_first_byte_that_differs(at: int) -> None:
    """To the byte, wherever in a block it is."""
    actual = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    assert difference(DATA, actual).startswith(f"{len(DATA)} bytes, the same up to byte {at}; there: ")


def test_a_difference_names_the_end() -> None:
    """Cut short, the bytes end where others should be; or go on where they should end."""
    assert difference(DATA, DATA[:3000]) == (
        "3000 bytes instead of 5120, the same up to byte 3000; there: the end instead of byte 3000 of payload one:0"
    )
    assert difference(DATA[:3000], DATA) == (
        "5120 bytes instead of 3000, the same up to byte 3000; there: byte 3000 of payload one:0 instead of the end"
    )


def test_a_difference_names_zeros() -> None:
    """A hole is a hole."""
    actual = DATA[:1024] + bytes(1024) + DATA[2048:]
    assert difference(DATA, actual) == (
        "5120 bytes, the same up to byte 1024; there: zeros instead of byte 1024 of payload one:0"
    )


def test_a_difference_names_the_other_payload() -> None:
    """Which upload's bytes these are, and which of them."""
    actual = DATA[:1024] + OTHER[2048:3072] + DATA[2048:]
    assert difference(DATA, actual) == (
        "5120 bytes, the same up to byte 1025; there: byte 2049 of payload two:7 instead of byte 1025 of payload one:0"
    )


@pytest.mark.parametrize("shift", [1, 100, BLOCK, 700])
def test_a_difference_names_the_same_payload_elsewhere(shift: int) -> None:
    """Shifted bytes are distinguished from foreign ones."""
    told = difference(DATA, DATA[:1000] + DATA[1000 + shift :])
    at = int(told.partition("up to byte ")[2].partition(";")[0])
    assert f"there: byte {at + shift} of payload one:0 instead of byte {at} of payload one:0" in told


def test_a_difference_shows_bytes_of_no_payload() -> None:
    """Bytes of no payload are shown."""
    told = difference(DATA, DATA[:1024] + b"?" * 2000)
    assert told == (
        "3024 bytes instead of 5120, the same up to byte 1024; "
        f"there: {b'?' * 16!r} instead of byte 1024 of payload one:0"
    )


def test_large_bytes_are_not_compared_by_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the difference; pytest, which would need minutes to find it, is not asked."""

    def compare(*_: object) -> str:
        pytest.fail("pytest was asked to compare")

    monkeypatch.setattr("_pytest.assertion.util._reprcompare", compare)
    data = Payload("large").read(3 << 20)
    with pytest.raises(AssertionError, match="3145727 bytes instead of 3145728, the same up to byte 3145727"):
        expect_same(data[:-1], data, "cut short")

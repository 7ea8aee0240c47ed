"""What is measured: which cases there are, and what bytes a layer is made of."""

import hashlib

import pytest

from layerstore_benchmarks.case import KIB, MIB, SIZES, Case, plan, spell
from layerstore_benchmarks.payload import PERIOD, Source


def test_every_case_is_there_once() -> None:
    """A plan has no case twice, and every case's floor."""
    cases = plan(256 * MIB, MIB, cold=True)
    assert len(cases) == len(set(cases))
    assert {case.floor for case in cases} <= set(cases)


def test_smaller_layers_and_other_writes_are_tried() -> None:
    """Beside the layer asked for, smaller ones are stored, and one in writes of several sizes."""
    cases = plan(256 * MIB, MIB, cold=False)
    assert {case.size for case in cases} == {64 * MIB, *(size for size in SIZES if size <= 256 * MIB)}
    assert {case.write_size for case in cases if case.size == 64 * MIB} == {4 * KIB, 64 * KIB, MIB, 16 * MIB}


@pytest.mark.parametrize("cold", [False, True])
def test_cold_readings_are_planned_where_they_can_be_had(cold: bool) -> None:
    """A cold reading is a case only where the operating system lets go of what it has."""
    assert any(case.policy == "re-read cold" for case in plan(MIB, MIB, cold=cold)) is cold


@pytest.mark.parametrize("size", [1, 5, 4096, 100_000])
def test_a_plan_of_a_small_layer_writes_no_more_than_it(size: int) -> None:
    """No write is larger than its layer, and no layer than the one asked for."""
    cases = plan(size, MIB, cold=True)
    assert all(case.write_size <= case.size <= size for case in cases)


@pytest.mark.parametrize(("size", "spelled"), [(1, "1 B"), (4096, "4 KiB"), (3 << 29, "1.5 GiB"), (64 << 20, "64 MiB")])
def test_a_size_is_spelled_as_people_do(size: int, spelled: str) -> None:
    """Sizes are told in powers of 1024."""
    assert spell(size) == spelled


def test_a_case_says_what_it_is() -> None:
    """A case is named by what distinguishes it."""
    assert str(Case("resumed", MIB, 4 * KIB, 4)) == "resumed, 4 x, 1 MiB in 4 KiB"


@pytest.mark.parametrize("piece", [1000, 65_536, PERIOD])
def test_pieces_are_the_same_bytes_however_they_are_cut(piece: int) -> None:
    """A payload's pieces of any size, put together, are the bytes of its digest."""
    source, size = Source(3), 2 * PERIOD + 777
    hasher, total = hashlib.sha256(), 0
    for part in source.pieces(0, size, piece):
        hasher.update(part)
        total += len(part)
    assert (f"sha256:{hasher.hexdigest()}", total) == (source.digest(size), size)


def test_pieces_go_on_where_they_are_asked_to() -> None:
    """A payload is taken up at any offset."""
    whole = b"".join(Source().pieces(0, 10_000, 10_000))
    assert b"".join(Source().pieces(3_333, 10_000, 1000)) == whole[3_333:]

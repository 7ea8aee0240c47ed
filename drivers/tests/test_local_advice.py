"""What the local driver asks of the system ahead of time: to write what was written, to read what will be."""

import os
import sys
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.url import StoreURL
from layerstore_drivers.local import LocalDriver, draft, system
from layerstore_drivers.local.draft import BEHIND
from layerstore_drivers.local.reader import AHEAD
from layerstore_drivers.local.system import write_out

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no advice")

MIB = 1 << 20
SIZE = 32 * MIB

Advice = list[tuple[int, int, int]]


@pytest.fixture
def driver(tmp_path: Path) -> CheckedDriver:
    """Open a store of the test's own."""
    return CheckedDriver(LocalDriver.open(StoreURL("local", None, str(tmp_path))), "local")


@pytest.fixture
def advice(monkeypatch: pytest.MonkeyPatch) -> Advice:
    """Note where each piece of advice begins and ends, and what it is; none reaches the system."""
    noted: Advice = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, size, kind: noted.append((start, start + size, kind)))
    return noted


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Note where each piece that is written out begins and ends."""
    noted: list[tuple[int, int]] = []
    monkeypatch.setattr(draft, "write_out", lambda _, start, size: noted.append((start, start + size)))
    return noted


def test_what_lies_behind_is_written_out_once(driver: CheckedDriver, begun: list[tuple[int, int]]) -> None:
    """While bytes come in, the system is asked to write out all but the last few, each once."""
    with driver.open_writer("key") as writer:
        for _ in range(SIZE // MIB):
            writer.write(bytes(MIB))
    assert begun == [(at, at + BEHIND) for at in range(0, SIZE, BEHIND)]


def test_small_writes_here_and_there_are_not_written_out(driver: CheckedDriver, begun: list[tuple[int, int]]) -> None:
    """Writes that do not follow each other make no run, and the system does as it likes."""
    with driver.open_writer("key") as writer:
        for number in range(64):
            writer.seek(number * 2 * MIB)
            writer.write(b"here")
    assert begun == []


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_writing_out_is_a_call_that_the_system_takes(tmp_path: Path) -> None:
    """It is found in the C library, and accepted; of a descriptor that is none, it says nothing."""
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(MIB))
        file.flush()
        function = system._function()
        assert function is not None
        assert function(file.fileno(), 0, MIB, system._WRITE) == 0
    write_out(-1, 0, MIB)


def test_what_comes_next_is_read_ahead_once(driver: CheckedDriver, advice: Advice) -> None:
    """Who reads on and on has every byte asked for once, and half of what may be ahead is always there."""
    driver.put("key", bytes(SIZE))
    advice.clear()
    with driver.open_reader("key") as reader:
        for at in range(MIB, SIZE, MIB):
            reader.read(MIB)
            assert advice[-1][1] - at >= AHEAD // 2
    assert [start for start, _, _ in advice[1:]] == [stop for _, stop, _ in advice[:-1]]
    assert {kind for _, _, kind in advice} == {os.POSIX_FADV_WILLNEED}


def test_small_reads_are_not_read_ahead(driver: CheckedDriver, advice: Advice) -> None:
    """Who reads a link, or a little of a layer, has nothing fetched that nobody may want."""
    driver.put("key", bytes(SIZE))
    advice.clear()
    with driver.open_reader("key") as reader:
        for _ in range(8):
            reader.read(64 << 10)
    assert advice == []


def test_reading_elsewhere_is_read_ahead_from_there(driver: CheckedDriver, advice: Advice) -> None:
    """After a jump, back or forward, what follows it is asked for."""
    driver.put("key", bytes(SIZE))
    advice.clear()
    with driver.open_reader("key") as reader:
        for at in (20 * MIB, 0, 10 * MIB):
            reader.seek(at)
            reader.read(MIB)
    assert [start for start, _, _ in advice] == [21 * MIB, MIB, 11 * MIB]

"""What is the memory driver's own: stores by name, and memory that only bytes take."""

import gc
import itertools
import os
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import Driver
from layerstore.errors import InvalidOffsetError, InvalidURLError, NoSpaceError
from layerstore.url import StoreURL
from layerstore_drivers import memory
from layerstore_drivers.memory import BLOCK, MemoryDriver, MemoryReader, MemoryWriter


@pytest.fixture
def store() -> CheckedDriver:
    """Return a store of the test's own."""
    return CheckedDriver(MemoryDriver(), "memory")


@pytest.fixture
def taken() -> Iterator[Callable[[], int]]:
    """Tell how many bytes of memory were taken at most since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def _open(url: str) -> MemoryDriver:
    return MemoryDriver.open(StoreURL.parse(url))


def test_a_name_is_one_store() -> None:
    """Drivers opened on one name share what they store, even when none was open in between."""
    _open("memory://test-shared").put("a", b"1")
    gc.collect()
    assert _open("memory://test-shared").stat("a").size == 1


def test_another_name_is_another_store() -> None:
    """Nothing is seen under another name, nor in a store without one."""
    _open("memory://test-one").put("a", b"1")
    assert [list(_open(url).list("")) for url in ("memory://test-two", "memory:", "memory://")] == [[], [], []]


@pytest.mark.parametrize("url", ["memory:", "memory://"])
def test_a_store_without_a_name_is_private(url: str) -> None:
    """Every opening of a URL without a name makes a new store."""
    first, second = _open(url), _open(url)
    first.put("a", b"1")
    assert list(second.list("")) == []


def test_threads_that_open_a_name_share_one_store() -> None:
    """Opened for the first time in many threads at once, a name is one store."""
    with ThreadPoolExecutor(8) as pool:
        stores = pool.map(lambda _: _open("memory://test-threads")._store, range(50))
    assert len(set(stores)) == 1


@pytest.mark.parametrize("url", ["memory:name", "memory:///name", "memory://name/", "memory://name/path"])
def test_a_path_is_refused(url: str) -> None:
    """A store has a name and no path (O2)."""
    with pytest.raises(InvalidURLError, match="memory://name"):
        _open(url)


def test_the_hook_answers_with_the_driver() -> None:
    """The plugin's one function hands out the class."""
    assert memory.layerstore_driver() is cast("type[Driver]", MemoryDriver)


def test_a_gap_takes_no_memory(store: CheckedDriver, taken: Callable[[], int]) -> None:
    """A byte at the end of 1 EiB of zeros takes less than a few blocks, published and opened again, too."""
    far = 1 << 60
    with store.open_writer("a") as writer:
        writer.write(b"x")
        writer.seek(far)
        writer.write(b"y")
    with store.open_writer("a") as writer:
        writer.write(b"z")
    reader = store.open_reader("a", far - 3)
    assert (reader.read(), reader.size) == (b"\0\0\0yz", far + 2)
    assert taken() < 4 * BLOCK


def test_a_small_object_takes_its_own_size(store: CheckedDriver, taken: Callable[[], int]) -> None:
    """A thousand objects of 71 bytes, half of them written, take less than one block."""
    for number in range(500):
        store.put(f"put/{number}", bytes(71))
        with store.open_writer(f"written/{number}") as writer:
            writer.write(bytes(71))
    assert taken() < BLOCK


def test_versions_share_what_did_not_change(store: CheckedDriver, taken: Callable[[], int]) -> None:
    """Twenty versions of eight blocks, of which one byte is changed each time, are read from few more than that."""
    store.put("a", bytes(8 * BLOCK))
    readers = []
    for number in range(20):
        with store.open_writer("a") as writer:
            writer.seek(number)
            writer.write(b"x")
        readers.append(store.open_reader("a"))
    assert [reader.read(21).count(b"x") for reader in readers] == list(range(1, 21))
    assert taken() < (8 + 20 + 2) * BLOCK


def test_appending_and_flushing_copies_no_block_each_time(store: CheckedDriver) -> None:
    """However often it is flushed, the last block's spare room is filled on in place, and doubled six times (W6)."""
    writer = store.open_writer("a")
    blocks = []
    for _ in range(64):
        writer.write(bytes(BLOCK // 64))
        writer.flush()
        blocks.append(id(cast("MemoryWriter", writer)._blocks[0]))
    assert len(set(blocks)) <= 7


def test_closed_handles_let_go_of_their_blocks(store: CheckedDriver) -> None:
    """A closed reader or writer that is kept keeps no bytes (T4)."""
    store.put("a", b"1")
    reader, writer = store.open_reader("a"), store.open_writer("a")
    reader.close()
    writer.discard()
    assert (cast("MemoryReader", reader)._blocks, cast("MemoryWriter", writer)._blocks) == ({}, {})


def test_writers_leave_no_owner_behind(store: CheckedDriver) -> None:
    """What is remembered of a writer that was let go of, published or not, is nothing (T4)."""
    for number in range(100):
        store.open_writer(f"closed/{number}").close()
        store.open_writer(f"dropped/{number}")
    gc.collect()
    assert len(cast("MemoryDriver", store.inner)._store.owners) == 0


def test_an_object_of_several_blocks_is_read_in_steps_of_any_length(store: CheckedDriver) -> None:
    """No read leaves out, doubles or cuts off a byte at a block's border, and the end of whole blocks is the end."""
    data = os.urandom(3 * BLOCK)
    store.put("a", data)
    for step in (4093, BLOCK - 1, BLOCK, BLOCK + 1):
        with store.open_reader("a") as reader:
            assert b"".join(iter(lambda reader=reader, step=step: reader.read(step), b"")) == data  # type: ignore[misc]  # defaults bind
    assert store.open_reader("a", 3 * BLOCK).read() == b""
    with pytest.raises(InvalidOffsetError):
        store.open_reader("a", 3 * BLOCK + 1)


@pytest.mark.parametrize("size", [0, 1, BLOCK, 2 * BLOCK + 1])
def test_put_leaves_no_block_of_the_object_before(store: CheckedDriver, size: int) -> None:
    """Of three blocks that a writer made, nothing is left behind fewer (P1)."""
    with store.open_writer("a") as writer:
        writer.write(b"old" * BLOCK)
    store.put("a", b"x" * size)
    assert store.get("a", 9 * BLOCK) == b"x" * size


@pytest.mark.parametrize(
    ("before", "gap"),
    [(0, 1), (0, BLOCK), (5, 4096), (5, 2 * BLOCK + 3), (BLOCK - 1, 2), (BLOCK, BLOCK - 1), (BLOCK, BLOCK)],
)
def test_a_gap_is_zeros_on_both_sides_of_a_block(store: CheckedDriver, before: int, gap: int) -> None:
    """Wherever a gap begins and ends, it is as long as it should be, and zeros (W4)."""
    store.put("a", b"x" * before)
    with store.open_writer("a") as writer:
        writer.seek(before + gap)
        writer.write(b"y")
        assert writer.size == before + gap + 1
    assert store.get("a", 9 * BLOCK) == b"x" * before + bytes(gap) + b"y"


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (0, BLOCK), (BLOCK - 2, 4), (BLOCK - 2, BLOCK + 3), (BLOCK, BLOCK), (2 * BLOCK, BLOCK)],
)
def test_a_write_over_the_borders_of_blocks_replaces_in_place(store: CheckedDriver, offset: int, length: int) -> None:
    """Bytes are replaced where they are written, in one block or several, and all others stay (W5)."""
    model = bytearray(os.urandom(2 * BLOCK + BLOCK // 2))
    store.put("a", bytes(model))
    with store.open_writer("a") as writer:
        writer.seek(offset)
        writer.write(b"x" * length)
    model[offset : offset + length] = b"x" * length
    assert store.get("a", 9 * BLOCK) == bytes(model)


def test_a_writer_goes_on_on_any_side_of_what_it_flushed(store: CheckedDriver) -> None:
    """Flush after flush publishes what came since, in the last block, before it and beyond it (W6)."""
    model = bytearray()
    writer = store.open_writer("a")
    for offset in (0, 700, 100, 1400, BLOCK - 3, 5, BLOCK + 300):
        data = os.urandom(700)
        writer.seek(offset)
        writer.write(data)
        model.extend(bytes(max(0, offset - len(model))))
        model[offset : offset + 700] = data
        writer.flush()
        assert store.get("a", 9 * BLOCK) == bytes(model)


@pytest.mark.parametrize("size", [1, 4096, BLOCK, 2 * BLOCK + 1])
def test_a_block_is_a_copy_of_the_buffer(store: CheckedDriver, size: int) -> None:
    """Also where a buffer is just as long as a block, the block is not made of it (W9)."""
    buffer = bytearray(b"x" * size)
    with store.open_writer("a") as writer:
        writer.write(buffer)
        buffer[:] = b"y" * size
        buffer.clear()  # raises BufferError where a view of it was kept
    assert store.get("a", 9 * BLOCK) == b"x" * size


def test_a_block_of_bytes_is_kept_and_copied_when_it_is_changed(store: CheckedDriver, taken: Callable[[], int]) -> None:
    """Bytes cannot change, so whole blocks of them are kept; written to again, flushed or not, they are copied (W9)."""
    given = os.urandom(8 * BLOCK)
    with store.open_writer("a") as writer:
        before = taken()
        writer.write(given)
        assert taken() - before < BLOCK
        writer.seek(5)
        writer.write(b"xyz")
        writer.flush()
        writer.seek(BLOCK + 5)
        writer.write(b"uvw")
    first, second = given[:BLOCK], given[BLOCK:]
    assert store.get("a", 9 * BLOCK) == first[:5] + b"xyz" + first[8:] + second[:5] + b"uvw" + second[8:]


def _until_memory_runs_out(blocks: int) -> Callable[[MemoryWriter, int, int, memoryview], bytearray]:
    rebuilt, left = MemoryWriter._rebuilt, itertools.repeat(None, blocks)

    def fail_in_the_end(writer: MemoryWriter, number: int, start: int, part: memoryview) -> bytearray:
        for _ in left:
            return rebuilt(writer, number, start, part)
        raise MemoryError

    return fail_in_the_end


@pytest.mark.parametrize("offset", [0, BLOCK // 2, 3 * BLOCK], ids=["in place", "across the end", "beyond"])
def test_a_write_without_memory_for_it_changes_no_size(
    store: CheckedDriver, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    """Out of memory half way, the size stays, bytes are old or new, and a later gap is zeros (E1, W2, W4)."""
    store.put("a", b"o" * (BLOCK - 5))
    writer = store.open_writer("a")
    writer.seek(offset)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryWriter, "_rebuilt", _until_memory_runs_out(2))
        with pytest.raises(NoSpaceError):
            writer.write(bytearray(b"n") * 4 * BLOCK)
    assert writer.size == BLOCK - 5
    writer.seek(9 * BLOCK)
    writer.write(b"x")
    writer.close()
    data = store.get("a", 10 * BLOCK)
    assert set(data[: BLOCK - 5]) <= set(b"on")
    assert data[BLOCK - 5 :] == bytes(8 * BLOCK + 5) + b"x"


def test_a_put_object_is_written_on_block_by_block(store: CheckedDriver) -> None:
    """What put kept as it was given is copied before it is changed."""
    given = os.urandom(2 * BLOCK + 7)
    kept = bytes(bytearray(given))
    store.put("a", given)
    with store.open_writer("a") as writer:
        writer.seek(BLOCK - 1)
        writer.write(b"xyz")
        writer.seek(0, os.SEEK_END)
        writer.write(b"end")
    assert store.get("a", 4 * BLOCK) == kept[: BLOCK - 1] + b"xyz" + kept[BLOCK + 2 :] + b"end"
    assert given == kept

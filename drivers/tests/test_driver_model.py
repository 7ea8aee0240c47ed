"""The driver contract on every driver, as a model: any sequence of writes is what it would be on a bytearray."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from layerstore.checked import CheckedDriver
from layerstore.driver import Reader, Writer
from layerstore.errors import BackendUnavailableError, FencedError
from layerstore_drivers.memory import MemoryDriver

KEY = "a/b"

offsets = st.integers(0, 70)
payloads = st.binary(min_size=1, max_size=40)
steps = st.one_of(
    st.tuples(st.just("write"), offsets, payloads),
    st.tuples(st.just("append"), payloads),
    st.tuples(st.sampled_from(["flush", "close", "discard", "drop", "take over", "delete", "move"])),
    st.tuples(st.just("put"), st.binary(max_size=40)),
    st.tuples(st.just("fenced write"), offsets, payloads),
)


class _Model:
    """An object as the contract says it is, beside the object as the driver stores it."""

    def __init__(self, driver: CheckedDriver, other: CheckedDriver) -> None:
        self.driver = driver
        self.other = other
        self.published: bytes | None = None
        self.written = bytearray()
        self.fenced: list[Writer] = []
        self.readers: list[tuple[Reader, bytes]] = []
        self.writer = driver.open_writer(KEY)

    def run(self, name: str, *arguments: int | bytes) -> None:
        """Do one step to both."""
        getattr(self, name.replace(" ", "_"))(*arguments)

    def write(self, offset: int, data: bytes) -> None:
        self.writer.seek(offset)
        self.writer.write(data)
        self.written.extend(bytes(max(0, offset - len(self.written))))
        self.written[offset : offset + len(data)] = data

    def append(self, data: bytes) -> None:
        self.write(len(self.written), data)

    def flush(self) -> None:
        self.writer.flush()
        self.published = bytes(self.written)

    def close(self) -> None:
        self.writer.close()
        self.published = bytes(self.written)
        self._open()

    def discard(self) -> None:
        self.writer.discard()
        self._open()

    def drop(self) -> None:
        del self.writer
        self._open()

    def take_over(self) -> None:
        self.fenced.append(self.writer)
        self._open()

    def fenced_write(self, offset: int, data: bytes) -> None:
        for writer in self.fenced:
            writer.seek(offset)
            with suppress(FencedError):  # F3 lets it be raised early
                writer.write(data)

    def put(self, data: bytes) -> None:
        self.other.put(KEY, data)
        self.published = data
        self.take_over()

    def delete(self) -> None:
        self.other.delete(KEY)
        self.published = None
        self.take_over()

    def move(self) -> None:
        if self.published is not None:
            self.other.move(KEY, "c")
            self.other.move("c", KEY)
            self.take_over()

    def check(self) -> None:
        """Compare what the model and a second driver say (W3, W6, W7), and keep a reader of each version."""
        assert self.writer.size == len(self.written)
        stat = self.other.find(KEY)
        assert (stat and stat.size) == (None if self.published is None else len(self.published))
        if self.published is not None:
            assert self.other.get(KEY, 1000) == self.published
            if not self.readers or self.readers[-1][1] != self.published:
                self.readers.append((self.other.open_reader(KEY), self.published))

    def finish(self) -> None:
        """Check the old: readers read the version they opened (R4), fenced writers publish nothing (F3)."""
        for writer in self.fenced:
            with pytest.raises(FencedError):
                writer.flush()
        for reader, expected in self.readers:
            try:
                assert reader.readall() == expected
            except BackendUnavailableError:
                assert reader.version != getattr(self.other.find(KEY), "version", None)
        self.check()

    def _open(self) -> None:
        self.writer = self.driver.open_writer(KEY)
        self.written = bytearray(self.published or b"")


sequences = st.lists(steps, min_size=10, max_size=30)
repeatable = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=set(Phase) - {Phase.explain},  # it takes minutes, and the shortest failing sequence says enough
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example makes a store of its own
)


def _run(open_store: Callable[[], CheckedDriver], sequence: list[tuple[str, int, bytes]]) -> None:
    model = _Model(open_store(), open_store())
    for step in sequence:
        model.run(*step)
        model.check()
    model.finish()


@settings(repeatable, max_examples=25)
@given(sequence=sequences)
def test_any_sequence_of_steps_is_as_on_a_bytearray(
    new_store: Callable[[], Callable[[], CheckedDriver]], sequence: list[tuple[str, int, bytes]]
) -> None:
    """Written, flushed, thrown away, taken over, replaced and read in any order, no byte is wrong (R4, W, F3)."""
    _run(new_store(), sequence)


@pytest.mark.parametrize("new_store", [MemoryDriver], indirect=True)
@settings(repeatable, max_examples=120)
@given(sequence=sequences)
def test_any_sequence_of_steps_is_as_on_a_bytearray_over_many_blocks(
    new_store: Callable[[], Callable[[], CheckedDriver]], small_blocks: None, sequence: list[tuple[str, int, bytes]]
) -> None:
    """The same holds in memory where every few bytes are a block of their own (R4, W, F3)."""
    _run(new_store(), sequence)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the memory driver's blocks so small that a few bytes span several."""
    monkeypatch.setattr("layerstore_drivers.memory.BLOCK", 16)

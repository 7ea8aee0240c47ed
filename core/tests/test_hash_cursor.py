"""The hash cursor: what it says it has covered it has hashed, whatever was fed, cut, interrupted or failed before."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layerstore
from layerstore import LayerUpload, layout, open_driver
from layerstore.hashing import cursor, sha256
from layerstore.hashing.cursor import BACKLOG, BLOCK, GATHER, MARKS, OVERLAP, RECENT, HashCursor
from layerstore.uploads import front, spool, upload
from layerstore_conformance.kit.payloads import Payload, digest

if TYPE_CHECKING:
    from typing_extensions import Buffer

DATA = Payload("cursor").read(6 << 20)
WHOLE = 1 << 30


def check(hashing: HashCursor, covered: bytes) -> None:
    """Compare what is covered, and every mark on the way, with hashlib."""
    assert hashing.offset == len(covered)
    assert str(hashing.digest()) == digest(covered)
    for offset, state in hashing.marks():
        hasher = sha256.restore(state)
        hasher.update(covered[offset:])
        assert hasher.hexdigest() == hashlib.sha256(covered).hexdigest()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["feed", "start"]), st.integers(1, 3 * GATHER)),
        st.tuples(st.just("feed"), st.integers(1, 200)),
        st.tuples(st.just("cut"), st.integers(0, 8 * GATHER)),
        st.tuples(st.sampled_from(["marks", "settle", "digest"]), st.just(0)),
    ),
    max_size=30,
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(steps=STEPS, shift=st.integers(0, 1000))
def test_a_cursor_covers_what_a_model_says(steps: list[tuple[str, int]], shift: int) -> None:
    """Fed, started and cut at random, it has hashed what it covers, and is never cut back less than was asked."""
    hashing, covered = HashCursor(), b""
    for step, number in steps:
        if step in ("feed", "start"):
            data = DATA[len(covered) + shift :][:number]
            getattr(hashing, step)(data)
            covered += data
        elif step == "cut":
            hashing.cut(number)
            assert hashing.offset <= min(number, len(covered))
            covered = covered[: hashing.offset]
        else:
            getattr(hashing, step)()
        assert hashing.offset == len(covered)
    check(hashing, covered)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(first=STEPS, offset=st.integers(0, 8 * GATHER))
def test_a_cursor_goes_on_from_its_marks(first: list[tuple[str, int]], offset: int) -> None:
    """Exported and restored, the marks are those of the cursor they were taken from, and can be cut back to."""
    hashing, covered = HashCursor(), b""
    for _, number in first:
        hashing.feed(DATA[len(covered) :][:number])
        covered = DATA[: hashing.offset]
        hashing.settle()
    again = HashCursor([(at, sha256.restore(state)) for at, state in hashing.marks()])
    check(again, covered)
    again.cut(offset)
    check(again, covered[: again.offset])


def test_a_new_cursor_has_nothing_to_save() -> None:
    """No byte covered, no mark."""
    assert HashCursor().marks() == []
    assert str(HashCursor().digest()) == digest(b"")


def test_a_cut_within_what_was_gathered_loses_nothing_else() -> None:
    """Small writes not hashed yet are cut to the byte."""
    hashing = HashCursor()
    hashing.feed(DATA[:1000])
    hashing.cut(10)
    check(hashing, DATA[:10])


@pytest.mark.parametrize(("offset", "left"), [(0, 0), (99, 0), (500, 500), (499, 400), (501, 500), (999, 900)])
def test_a_cut_goes_back_to_the_nearest_mark(offset: int, left: int) -> None:
    """To the last one that is not beyond the offset, and no byte further."""
    hashing = HashCursor()
    for at in range(0, 1000, 100):
        hashing.feed(DATA[at : at + 100])
        hashing.settle()
    hashing.cut(offset)
    check(hashing, DATA[:left])


def test_a_cut_beyond_the_end_does_nothing() -> None:
    """There is nothing to go back from."""
    hashing = HashCursor()
    hashing.start(DATA[:BLOCK])
    hashing.cut(2 * BLOCK)
    check(hashing, DATA[:BLOCK])


def test_small_pieces_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash is called once for as many small writes as make 64 KiB, in the thread that wrote them."""
    calls: list[tuple[int, bool]] = []
    watch_updates(monkeypatch, lambda data: calls.append((len(memoryview(data)), threading.get_ident() == here)))
    here, hashing = threading.get_ident(), HashCursor()
    for at in range(0, GATHER, 1024):
        hashing.feed(DATA[at : at + 1024])
    assert calls == [(GATHER, True)]


def test_blocks_are_hashed_in_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the one that writes, and in order."""
    threads = set()
    watch_updates(monkeypatch, lambda _: threads.add(threading.get_ident()))
    hashing = HashCursor()
    for at in range(0, 4 * BLOCK, BLOCK):
        hashing.start(DATA[at : at + BLOCK])
    hashing.settle()
    assert threading.get_ident() not in threads
    check(hashing, DATA[: 4 * BLOCK])


def watch_updates(monkeypatch: pytest.MonkeyPatch, action: Callable[[Buffer], object]) -> None:
    """Do something with every piece before it is hashed, from the next cursor on."""
    kind = type(sha256.new())
    update = kind.update

    def watched(self: sha256.Hasher, data: Buffer) -> None:
        action(data)
        update(self, data)

    monkeypatch.setattr(kind, "update", watched)


def test_hashing_lags_behind_by_no_more_than_the_backlog() -> None:
    """Before a block too many is begun the first one is finished: its buffer can come round again."""
    hashing = HashCursor()
    for at in range(0, 6 * BLOCK, BLOCK):
        hashing.start(DATA[at : at + BLOCK])
        assert len(hashing._running) <= BACKLOG
    check(hashing, DATA)


def test_a_buffer_does_not_come_round_before_its_time() -> None:
    """There is one buffer more than hashing may lag behind by."""
    turns = cursor.buffers()
    small = [next(turns) for _ in range(3)]  # for a stream of a few bytes; they do not come round at all
    assert [len(buffer) for buffer in small] == [16 << 10, 64 << 10, 256 << 10]
    first = [next(turns) for _ in range(BACKLOG + 2)]
    assert len({id(buffer.obj) for buffer in first}) == BACKLOG + 1
    assert first[-1] is first[0]
    assert {len(buffer) for buffer in first} == {BLOCK}


@pytest.mark.parametrize("count", [1, MARKS, MARKS + 1, 1000])
def test_no_more_marks_are_kept_than_a_document_holds(count: int) -> None:
    """However many there were; of the last ones all."""
    hashing = HashCursor()
    for at in range(count):
        hashing.feed(DATA[at : at + 1])
        assert len(hashing.marks()) < MARKS
    recent = [offset for offset, _ in hashing.marks()][-RECENT:]
    assert recent == list(range(max(1, count - RECENT + 1), count + 1))
    check(hashing, DATA[:count])


def test_of_older_marks_every_second_is_kept() -> None:
    """When there are more than there may be, and not before."""
    hashing = HashCursor()
    for at in range(MARKS):
        hashing.feed(DATA[at : at + 1])
        hashing.settle()
    older, recent = MARKS - RECENT, list(range(MARKS - RECENT + 1, MARKS + 1))
    assert [offset for offset, _ in hashing.marks()] == [*range(1, older, 2), *recent]


def test_marks_are_kept_where_the_cursor_was_cut_back_to() -> None:
    """After a cut the marks beyond it are gone, and new ones take their place."""
    hashing = HashCursor()
    for at in range(0, 600, 100):
        hashing.feed(DATA[at : at + 100])
        hashing.marks()
    hashing.cut(250)
    assert hashing.offset == 200
    hashing.feed(DATA[:50])
    assert [offset for offset, _ in hashing.marks()] == [100, 200, 250]
    check(hashing, DATA[:200] + DATA[:50])


def fail_at(number: int) -> Callable[[Buffer], None]:
    """Make an action that raises the one time."""
    count = iter(range(1 << 30))

    def action(_: Buffer) -> None:
        if next(count) == number:
            raise MemoryError("injected")

    return action


@pytest.mark.parametrize("number", range(5))
def test_a_hash_that_failed_covers_nothing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The failure comes out, once, of whatever waits next; then the cursor begins anew, and is right."""
    watch_updates(monkeypatch, fail_at(number))
    hashing = HashCursor()
    with pytest.raises(MemoryError, match="injected"):  # noqa: PT012  (whichever call comes to wait)
        for at in range(0, 5 * BLOCK, BLOCK):
            hashing.start(DATA[at : at + BLOCK])
        hashing.settle()
    assert hashing.offset == 0
    hashing.start(DATA[:BLOCK])
    check(hashing, DATA[:BLOCK])


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("piece", [GATHER, OVERLAP])
def test_an_upload_whose_hash_failed_is_finished_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, piece: int
) -> None:
    """It is read back: what is asked for is compared with what is stored."""
    watch_updates(monkeypatch, fail_at(number))
    handle, failed = layerstore.open(f"memory://{tmp_path.name}").upload("a"), 0
    for at in range(0, 4 * piece, piece):
        try:
            handle.write(DATA[at : at + piece])
            handle.flush()  # else all of it is hashed at once, at the end
        except MemoryError:
            failed += 1
        if handle.size < at + piece:  # refused before it was stored
            handle.seek(at)
            handle.write(DATA[at : at + piece])
        handle.seek(at + piece)
    assert failed == 1
    assert handle.finish(digest(DATA[: 4 * piece])).read() == DATA[: 4 * piece]


class Interruption:
    """A trace function that presses Ctrl-C at the so many-eth line that is run in an upload's code."""

    def __init__(self, lines: int) -> None:
        """Let so many lines pass."""
        self.left = lines
        self.files = {module.__file__ for module in (cursor, front, spool, upload, layerstore.driver, contextlib)}

    def __call__(self, frame: FrameType, event: str, argument: object) -> Interruption | None:
        """Count a line."""
        if frame.f_code.co_filename not in self.files:
            return None
        if event == "line":
            self.left -= 1
            if self.left == -1:
                raise KeyboardInterrupt
        return self

    def interrupt(self, action: Callable[[], object]) -> bool:
        """Do something; tell whether it was interrupted.

        In a thread of its own: where a trace function raises at the beginning of a handler, CPython keeps the exception
        that was handled there as the context of all that the thread raises afterwards.
        """
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._interrupt, action).result()

    def _interrupt(self, action: Callable[[], object]) -> bool:
        gc.disable()  # else a handle of an earlier test may be collected, and interrupted in its place
        try:
            sys.settrace(self)
            action()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
            gc.enable()
        return False


def rewind(handle: LayerUpload) -> None:
    """Write over the second half of what is there."""
    handle.seek(handle.size // 2)
    handle.write(DATA[-GATHER:])


ACTIONS: dict[str, Callable[[LayerUpload], object]] = {
    "a small write": lambda handle: handle.write(DATA[:1000]),
    "a write that fills what is gathered": lambda handle: handle.write(DATA[: GATHER - 1]),
    "a large write": lambda handle: handle.write(DATA[:OVERLAP]),
    "a copied stream": lambda handle: handle.read_from(io.BytesIO(DATA[: BLOCK + 5])),
    "a rewind": rewind,
    "a flush": lambda handle: handle.flush(),
    "a digest": lambda handle: handle.digest(),
}


@pytest.mark.thorough
@pytest.mark.parametrize("gathered", [OVERLAP, BLOCK], ids=["with room in front", "full in front"])
@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_an_interrupted_upload_never_lies(
    tmp_path: Path, action: Callable[[LayerUpload], object], gathered: int
) -> None:
    """Interrupted at any line, what it says is the digest of what is stored, and finishes."""
    interrupted, lines = True, 0
    while interrupted:
        url = f"memory://{tmp_path.name}-{lines}"
        handle = layerstore.open(url).upload("a")
        handle.write(DATA[:2000])
        handle.flush()
        handle.write(DATA[2000 : 2000 + gathered])
        interrupted = Interruption(lines).interrupt(lambda: action(handle))  # noqa: B023  (called at once)
        handle.write(b"and on")
        wanted = handle.digest()
        handle.flush()
        stored = open_driver(url).get(layout.UploadKeys("a", handle.uuid).data, WHOLE)
        assert str(wanted) == digest(stored), f"interrupted at line {lines}"
        handle.finish(wanted).close()
        lines += 1
    assert lines > 10

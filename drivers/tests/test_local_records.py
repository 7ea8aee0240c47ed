"""Writers' records, versions, and what is swept: the driver's private area."""

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import FencedError
from layerstore_drivers.local import LocalDriver, record
from layerstore_drivers.local.system import try_lock

if TYPE_CHECKING:
    from tests.local_area import left_over
else:
    from local_area import left_over


@pytest.fixture
def driver(tmp_path: Path) -> CheckedDriver:
    """Return a driver on an empty root."""
    return CheckedDriver(LocalDriver(tmp_path))


def _area(root: Path, part: str) -> list[Path]:
    return sorted((root / ".layerstore" / part).iterdir())


def _end_sessions(root: Path) -> None:
    """Make all sessions look as if their processes had been killed."""
    for session in _area(root, "sessions"):
        session.unlink()


def test_a_hundred_puts_have_a_hundred_versions(driver: CheckedDriver) -> None:
    """However coarse the kernel's clock, each has its own version; also after a deletion (S2)."""
    versions = set()
    for number in range(100):
        driver.put("a", b"same")
        versions.add(driver.stat("a").version)
        if number % 3 == 0:
            driver.delete("a")
    assert len(versions) == 100


def test_a_hundred_flushes_have_a_hundred_versions(driver: CheckedDriver) -> None:
    """Each append and each rewrite changes the version, and a flush of nothing does not (S2, W6)."""
    versions = []
    with driver.open_writer("a") as writer:
        for number in range(100):
            writer.seek(0 if number % 3 == 0 else writer.size)
            writer.write(b"x")
            writer.flush()
            versions.append(writer.version)
            writer.flush()
            assert driver.stat("a").version == versions[-1]
    assert len(set(versions)) == 100


def test_the_version_stays_whatever_becomes_of_the_writer(driver: CheckedDriver) -> None:
    """Bytes written and discarded, or fenced, leave the version, the record's as the file's own (S2, W7)."""
    driver.put("a", b"old")
    version = driver.stat("a").version
    first, second = driver.open_writer("a"), driver.open_writer("a")
    with pytest.raises(FencedError):
        first.write(b"+")
    second.write(b"more")
    assert driver.stat("a").version == version
    second.discard()
    assert driver.stat("a").version == version


@pytest.mark.parametrize("slot", [0, 1])
def test_a_torn_slot_leaves_the_other(driver: CheckedDriver, tmp_path: Path, slot: int) -> None:
    """A record half written shows the state before or the state it has, and hides what is not flushed (W7)."""
    writer = driver.open_writer("a")
    for part in (b"1", b"2", b"3"):
        writer.write(part)
        writer.flush()
    writer.write(b"4")
    (path,) = _area(tmp_path, "writers")
    with path.open("r+b") as file:
        file.seek(slot * record.BLOCK + 20)
        file.write(b"torn")
    assert driver.get("a", 9) in (b"12", b"123")
    writer.discard()


def test_a_damaged_record_is_none(driver: CheckedDriver, tmp_path: Path) -> None:
    """With both slots damaged the object is what the file is, and the next writer goes on from there."""
    writer = driver.open_writer("a")
    writer.write(b"bytes")
    writer.flush()
    (path,) = _area(tmp_path, "writers")
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert driver.get("a", 9) == b"bytes"
    with driver.open_writer("a") as later:
        later.write(b"+")
    assert driver.get("a", 9) == b"bytes+"
    with pytest.raises(FencedError):
        writer.flush()


def test_a_record_whose_end_is_zero_is_one(driver: CheckedDriver, tmp_path: Path) -> None:
    """A loss of power in the middle of fencing may leave a zero at the end: what is not flushed stays hidden (W7)."""
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    writer.write(b"tail")
    (path,) = _area(tmp_path, "writers")
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    _end_sessions(tmp_path)
    CheckedDriver(LocalDriver(tmp_path)).put("b", b"")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert left_over(tmp_path) == []
    writer.discard()


def test_a_record_of_half_a_key_is_swept(driver: CheckedDriver, tmp_path: Path) -> None:
    """A loss of power may leave a record that was never synced, and says whose it is only in part."""
    writer = driver.open_writer("long/key")
    (path,) = _area(tmp_path, "writers")
    path.write_bytes(path.read_bytes()[:-4] + bytes(4))
    _end_sessions(tmp_path)
    CheckedDriver(LocalDriver(tmp_path)).put("b", b"")
    assert _area(tmp_path, "writers") == []
    writer.discard()


def test_a_slot_is_all_or_nothing() -> None:
    """Every single changed byte of a slot is noticed."""
    state = record.State(7, b"t" * 16, 1, 2, record.NOTHING, record.Identity(1, 2, 3, 4), growing=True)
    fd = os.memfd_create("record")
    whole = record.encode(record.Record(state, "session", "key"))
    for at in range(record._SLOT.size):
        torn = bytearray(whole)
        torn[at] ^= 1
        os.pwrite(fd, torn, 0)
        assert record.read(fd) == record.Record(state, "session", "key")  # the other slot
        torn[record.BLOCK + at] ^= 1
        os.pwrite(fd, torn, 0)
        assert record.read(fd) is None
    os.close(fd)


def test_a_killed_writers_remains_are_swept(driver: CheckedDriver, tmp_path: Path) -> None:
    """The next driver's first change removes its temporary files and its record, and cuts its bytes off (W7)."""
    driver.put("a", b"old")
    version = driver.stat("a").version
    tail, draft, new = driver.open_writer("a"), driver.open_writer("b"), driver.open_writer("c")
    tail.write(b"tail")
    draft.write(b"draft")
    _end_sessions(tmp_path)
    CheckedDriver(LocalDriver(tmp_path)).put("d", b"")
    assert left_over(tmp_path) == []
    assert (tmp_path / "a").read_bytes() == b"old"
    assert driver.stat("a").version == version
    for writer in (tail, draft, new):
        with pytest.raises(FencedError):
            writer.close()


def test_a_living_writers_files_are_not_swept(driver: CheckedDriver, tmp_path: Path) -> None:
    """As long as a writer lives nobody sweeps it, even when its driver is closed and collected (T2)."""
    tail, draft = driver.open_writer("a"), driver.open_writer("b")
    tail.flush()
    tail.write(b"tail")
    draft.write(b"draft")
    driver.close()
    del driver
    gc.collect()
    other = CheckedDriver(LocalDriver(tmp_path))
    other.put("c", b"")
    tail.close()
    draft.close()
    assert (other.get("a", 9), other.get("b", 9)) == (b"tail", b"draft")


def test_a_session_ends_with_its_last_handle(driver: CheckedDriver, tmp_path: Path) -> None:
    """Drivers and writers that are gone leave no file in the private area but the locks (T4)."""
    writer = driver.open_writer("a")
    writer.write(b"bytes")
    driver.close()
    del driver
    assert len(_area(tmp_path, "sessions")) == 1
    del writer
    gc.collect()
    assert _area(tmp_path, "sessions") == _area(tmp_path, "writers") == _area(tmp_path, "tmp") == []


def test_handles_give_their_descriptors_back(driver: CheckedDriver) -> None:
    """Closed, discarded, collected, or fenced and collected: no descriptor stays (T4)."""
    driver.put("a", b"old")
    before = len(os.listdir("/proc/self/fd"))
    for end in ("close", "discard", "flush", "fileno"):
        reader, writer = driver.open_reader("a"), driver.open_writer("a")
        writer.seek(0 if end == "flush" else 3)
        writer.write(b"new")
        getattr(writer, end, list)()
        listing = driver.list("")
        next(listing)
        del reader, writer, listing
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_writer_collected_inside_a_critical_section_waits_for_no_lock(driver: CheckedDriver, tmp_path: Path) -> None:
    """A collection can come anywhere, also where the thread holds the very lock that the dead writer needs."""
    writer = driver.open_writer("a")
    writer.write(b"lost")
    area = driver.inner._area  # type: ignore[attr-defined]  # the side door
    with area.lock("a") as lock, lock.held():
        del writer
        assert len(_area(tmp_path, "writers")) == 1
    assert _area(tmp_path, "writers") == []


def test_a_fork_does_not_end_its_parents_writers(driver: CheckedDriver, tmp_path: Path) -> None:
    """What a forked child collects is its copy; the writer and its files are the parent's (T4)."""
    writers = [driver.open_writer("a"), driver.open_writer("b")]
    writers[0].flush()
    for writer in writers:
        writer.write(b"bytes")
    pid = os.fork()
    if not pid:
        writers.clear()
        del writer, driver
        gc.collect()
        os._exit(0)
    os.waitpid(pid, 0)
    for writer in writers:
        writer.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"bytes"


def test_a_failed_write_leaves_no_torn_bytes(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where half a write got into the file, a later gap is zeros and a later flush has none of it (W2, W4)."""
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    _tear(monkeypatch)
    with pytest.raises(Exception, match="Input/output"):
        writer.write(b"torn bytes")
    monkeypatch.undo()
    writer.flush()
    assert driver.get("a", 99) == b"old"
    writer.seek(5)
    writer.write(b"!")
    writer.close()
    assert driver.get("a", 99) == b"old\0\0!"


def _tear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let writes of more than one byte, but for those of records, write half and fail."""
    real = os.pwrite

    def torn(fd: int, data: bytes, offset: int) -> int:
        if len(data) == record._SLOT.size:
            return real(fd, data, offset)
        real(fd, data[: len(data) // 2], offset)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", torn)


def test_a_record_is_read_once_to_learn_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many writers are open elsewhere: a deletion asks which are below its key, and reads only new ones."""
    driver, other = (CheckedDriver(LocalDriver(tmp_path)) for _ in range(2))
    driver.put("a", b"")
    writers = [other.open_writer(f"w/{number}") for number in range(5)]
    reads, read = list[int](), record.read

    def counted(fd: int) -> record.Record | None:
        reads.append(fd)
        return read(fd)

    monkeypatch.setattr(record, "read", counted)
    for key in ("a", "b", "c"):
        driver.delete(key)
    assert len(reads) == len(writers)
    driver.delete("w")
    for writer in writers:
        with pytest.raises(FencedError):
            writer.close()


def test_a_writer_collected_in_a_cycle_is_given_back_whole(driver: CheckedDriver, tmp_path: Path) -> None:
    """The collector ends what belongs together in no order: the writer must find its record open still (T4, W7)."""
    driver.put("a", b"old")
    cycle: list[object] = [driver.open_writer("a")]
    cycle.append(cycle)
    cycle[0].write(b"tail")  # type: ignore[attr-defined]
    del cycle
    gc.collect()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert left_over(tmp_path) == []


def _leave_a_note(driver: CheckedDriver) -> str:
    """Discard what was written in place, and return the version that the object goes on to have."""
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    writer.write(b"tail")
    writer.discard()
    return driver.stat("a").version


def test_a_note_keeps_the_version_of_what_was_cut(driver: CheckedDriver, tmp_path: Path) -> None:
    """Cutting off what was not flushed moves the file's change time; whoever looks sees the version it had (S2, W1)."""
    before = _leave_a_note(driver)
    assert str(record.Identity.of(os.stat(tmp_path / "a"))) != before
    another = CheckedDriver(LocalDriver(tmp_path))
    for _ in range(3):
        another.put("b", b"")  # sweeps, at first
        assert another.open_writer("a").version == another.stat("a").version == before
        assert len(_area(tmp_path, "writers")) == 1


def _flush(driver: CheckedDriver) -> None:
    with driver.open_writer("a") as writer:
        writer.write(b"+")


def _move_over(driver: CheckedDriver) -> None:
    driver.put("b", b"new")
    driver.move("b", "a")


ENDS: dict[str, Callable[[CheckedDriver], None]] = {
    "put over": lambda driver: driver.put("a", b"new"),
    "moved": lambda driver: driver.move("a", "b"),
    "moved over": _move_over,
    "deleted": lambda driver: driver.delete("a"),
    "published anew": _flush,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_note_goes_with_what_it_is_about(driver: CheckedDriver, tmp_path: Path, end: str) -> None:
    """Whatever ends the version ends its note."""
    before = _leave_a_note(driver)
    ENDS[end](driver)
    assert _area(tmp_path, "writers") == []
    assert all(driver.stat(key).version != before for key in list(driver.list("")))


def test_a_note_of_what_another_program_has_replaced_is_swept(driver: CheckedDriver, tmp_path: Path) -> None:
    """It speaks of no file any more."""
    _leave_a_note(driver)
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").rename(tmp_path / "a")
    CheckedDriver(LocalDriver(tmp_path)).put("b", b"")
    assert _area(tmp_path, "writers") == []


def _refuse(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_note_that_cannot_be_left_costs_the_version_only(
    driver: CheckedDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk what was not flushed is cut off all the same (W7)."""
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    writer.write(b"tail")
    before = driver.stat("a").version
    with monkeypatch.context() as full:
        full.setattr(os, "rename", _refuse)
        writer.discard()
    assert driver.get("a", 9) == b"old"
    assert driver.stat("a").version != before
    assert left_over(tmp_path) == []


def test_a_forked_child_holds_no_lock_of_its_parents_threads(driver: CheckedDriver) -> None:
    """Forked in the middle of another thread's call, it has a copy of the lock, and gives that up at once (T5)."""
    area = driver.inner._area  # type: ignore[attr-defined]  # the side door
    (hearing, saying), (heard, said) = os.pipe(), os.pipe()
    with area.lock("a") as lock:
        assert try_lock(lock)
        pid = os.fork()
        if not pid:
            os.write(said, b"!")
            os.read(hearing, 1)
            os._exit(0)
        os.read(heard, 1)
    with area.lock("a") as lock:  # given up by closing alone
        free = try_lock(lock)
    os.write(saying, b"!")
    os.waitpid(pid, 0)
    for fd in (hearing, saying, heard, said):
        os.close(fd)
    assert free

"""The order of syncs and renames: what returned, survives a loss of power (clause C4)."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver, system
from layerstore_drivers.local import writer as writing

pytestmark = pytest.mark.usefixtures("road")

Event = tuple[str, ...]


def _path(fd: int | None) -> str:
    return os.readlink(f"/proc/self/fd/{fd}") if fd is not None else ""


class Disk:
    """What of the calls seen so far a loss of power could still undo."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self.unsynced: set[str] = set()
        self.dirty: set[str] = set()

    def saw(self, *event: str) -> None:
        """Take note of a call that succeeded."""
        self.events.append(event)
        kind, *paths = event
        if kind == "write":
            self.dirty.add(paths[0])
        elif kind == "sync":
            self.unsynced.discard(paths[0])
            self.dirty.discard(paths[0])
        else:
            self.unsynced.update(os.path.dirname(path) for path in paths)
        if kind == "rmdir":
            self.unsynced.discard(paths[0])
        if kind == "rename" and "/writers/" not in paths[1]:
            assert paths[0] not in self.dirty, f"{paths[1]} was renamed into place before its bytes were durable"

    @property
    def at_risk(self) -> set[str]:
        """Files and directories that matter after a restart and are not synced: temporary ones and locks do not."""
        return {path for path in self.unsynced | self.dirty if not re.search(r"/\.layerstore($|/)", path)}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Record the calls of this process that change or sync files."""
    disk = Disk(tmp_path / "root")

    def watch(name: str, describe: Callable[..., Event]) -> None:
        real = getattr(os, name)

        def watched(*args: object, **kwargs: object) -> object:
            event = describe(*args, **kwargs)
            result = real(*args, **kwargs)
            disk.saw(*event)
            return result

        monkeypatch.setattr(os, name, watched)

    watch("fsync", lambda fd: ("sync", _path(fd)))
    watch("fdatasync", lambda fd: ("sync", _path(fd)))
    watch("pwrite", lambda fd, *_: ("write", _path(fd)))
    watch("utime", lambda fd, **_: ("write", _path(fd)))
    watch("mkdir", lambda name, *_, dir_fd=None: ("mkdir", os.path.join(_path(dir_fd), name)))
    watch("unlink", lambda name, dir_fd: ("unlink", os.path.join(_path(dir_fd), name)))
    watch("rmdir", lambda name, dir_fd: ("rmdir", os.path.join(_path(dir_fd), name)))
    watch("rename", _rename)
    return disk


def _rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> Event:
    return "rename", os.path.join(_path(src_dir_fd), source), os.path.join(_path(dst_dir_fd), target)


def _new(driver: CheckedDriver) -> None:
    with driver.open_writer("n/e/w") as writer:
        writer.write(b"bytes")


def _append(driver: CheckedDriver, key: str = "a/b") -> None:
    with driver.open_writer(key) as writer:
        writer.write(b"bytes")


def _rewrite(driver: CheckedDriver) -> None:
    with driver.open_writer("a/b") as writer:
        writer.seek(1)
        writer.write(b"bytes")


def _nothing(driver: CheckedDriver) -> None:
    with driver.open_writer("a/b"):
        pass


ACTS: dict[str, Callable[[CheckedDriver], None]] = {
    "put": lambda driver: driver.put("p/u/t", b"bytes"),
    "put over": lambda driver: driver.put("a/b", b"bytes"),
    "flush new": _new,
    "flush appended": _append,
    "flush rewritten": _rewrite,
    "flush nothing": _nothing,
    "move": lambda driver: driver.move("a/b", "m/o/ve"),
    "delete": lambda driver: driver.delete("a/b"),
    "delete prefix": lambda driver: driver.delete("a"),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_returned_is_durable(disk: Disk, act: str) -> None:
    """Bytes, names, and the names of directories made on the way are synced, each before what builds on it (C4, W6)."""
    CheckedDriver(LocalDriver(disk.root)).put("a/b", b"old bytes")
    assert not disk.at_risk
    driver = CheckedDriver(LocalDriver(disk.root))
    ACTS[act](driver)
    assert not disk.at_risk


def test_a_new_root_is_durable(disk: Disk) -> None:
    """The directories above the first object are synced, up to the one that was there (C4)."""
    disk.root = disk.root / "deep" / "root"
    CheckedDriver(LocalDriver(disk.root)).put("a", b"")
    synced = {path for kind, path, *_ in disk.events if kind == "sync"}
    assert {str(disk.root), str(disk.root.parent), str(disk.root.parents[1]), str(disk.root.parents[2])} <= synced


@pytest.mark.parametrize("act", ["put over", "flush appended", "flush nothing", "move", "put"])
def test_names_that_another_process_made_are_made_durable(disk: Disk, act: str) -> None:
    """Whoever made a directory or an object may have died before its sync: what builds on it does that (C4)."""
    (disk.root / "a").mkdir(parents=True)
    (disk.root / "a" / "b").write_bytes(b"old")
    disk.unsynced |= {str(disk.root), str(disk.root / "a")}
    ACTS[act](CheckedDriver(LocalDriver(disk.root)))
    assert str(disk.root) not in disk.unsynced
    assert act == "put" or str(disk.root / "a") not in disk.unsynced


@pytest.mark.parametrize("act", ["put", "put over", "flush appended", "flush nothing", "move", "move away"])
def test_directories_that_another_process_made_are_made_durable(disk: Disk, act: str) -> None:
    """So are those in the middle of a path, which nothing is put into or taken out of (C4)."""
    (disk.root / "a" / "b" / "c").mkdir(parents=True)
    (disk.root / "a" / "b" / "c" / "d").write_bytes(b"old")
    LocalDriver(disk.root).put("other", b"old")
    made = {str(disk.root / "a"), str(disk.root / "a" / "b")}
    disk.unsynced |= made
    acts: dict[str, Callable[[CheckedDriver], None]] = {
        "put": lambda driver: driver.put("a/b/c/new", b""),
        "put over": lambda driver: driver.put("a/b/c/d", b""),
        "flush appended": lambda driver: _append(driver, "a/b/c/d"),
        "flush nothing": lambda driver: driver.open_writer("a/b/c/d").close(),
        "move": lambda driver: driver.move("other", "a/b/c/e"),
        "move away": lambda driver: driver.move("a/b/c/d", "other"),
    }
    acts[act](CheckedDriver(LocalDriver(disk.root)))
    assert not disk.unsynced & made


def test_a_directory_with_the_number_of_one_that_was_removed_is_made_durable(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed by another process, and made anew, it may look like the one that is known to be durable (C4)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a/b", b"")
    os.replace(disk.root / "a", disk.root / "gone")

    def remake(name: str, *, dir_fd: int) -> None:
        os.replace("gone", name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        disk.unsynced.add(str(disk.root))

    with monkeypatch.context() as reused:
        reused.setattr(os, "mkdir", remake)
        driver.put("a/b", b"")
    assert not disk.at_risk


def test_a_directory_made_anew_is_made_durable_whatever_its_number(disk: Disk) -> None:
    """Another process removes one and makes another: many file systems give it the same number (C4)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a/b", b"")
    number = (disk.root / "a").stat().st_ino
    shutil.rmtree(disk.root / "a")
    others = [disk.root / f"a.{tried}" for tried in range(16)]
    for made in others:
        made.mkdir()
    again = [made for made in others if made.stat().st_ino == number]  # none where numbers are not used again
    os.replace((again or others)[0], disk.root / "a")
    disk.unsynced.add(str(disk.root))
    driver.put("a/c", b"")
    assert str(disk.root) not in disk.unsynced


def test_where_nothing_tells_two_directories_apart_each_call_makes_them_durable(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without handles, or where a sandbox forbids to ask for them (C4)."""
    monkeypatch.setattr(system, "_name_to_handle_at", lambda: None)
    driver = CheckedDriver(LocalDriver(disk.root))
    for key in ("a/b/c", "a/b/d"):
        disk.unsynced |= {str(disk.root), str(disk.root / "a")}
        driver.put(key, b"")
        assert not disk.at_risk


def test_a_moved_objects_bytes_are_durable_even_if_another_program_wrote_them(disk: Disk) -> None:
    """A registry may not have synced what it wrote: the move does (M5)."""
    disk.root.mkdir()
    (disk.root / "a").write_bytes(b"foreign")
    CheckedDriver(LocalDriver(disk.root)).move("a", "b")
    kinds = [event for event in disk.events if ".layerstore" not in event[1]]
    assert kinds.index(("sync", str(disk.root / "a"))) < kinds.index(
        ("rename", str(disk.root / "a"), str(disk.root / "b"))
    )


def test_the_target_of_a_move_is_durable_before_the_source_is_gone(disk: Disk) -> None:
    """Cut off between the two syncs, the bytes are under the target or under both (M2)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a/x", b"")
    disk.events.clear()
    driver.move("a/x", "b/y")
    after = disk.events[[event[0] for event in disk.events].index("rename") :]
    synced = [path for kind, path, *_ in after if kind == "sync"]
    assert synced.index(str(disk.root / "b")) < synced.index(str(disk.root / "a"))


def test_an_append_is_hidden_durably_before_it_is_written(disk: Disk) -> None:
    """The record of where the object ends is on disk before the file grows beyond (W7)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a", b"old")
    disk.events.clear()
    writer = driver.open_writer("a")
    writer.write(b"tail")
    before = disk.events[: disk.events.index(("write", str(disk.root / "a")))]
    record, directory = [paths[0] for kind, *paths in before if kind == "sync"][-2:]
    assert os.path.dirname(record) == directory == str(disk.root / ".layerstore" / "writers")
    writer.discard()


def test_appended_bytes_are_durable_before_the_record_says_so(disk: Disk) -> None:
    """A flush syncs the data, then the record; two syncs are all it costs (W6)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    writer = driver.open_writer("a")
    writer.flush()
    writer.write(b"first")
    writer.flush()
    writer.write(b"second")
    disk.events.clear()
    writer.flush()
    data, record = [path for kind, path in disk.events if kind == "sync"]
    assert data == str(disk.root / "a")
    assert "/writers/" in record
    writer.discard()


def test_a_rewrite_is_durable_before_the_record_speaks_of_it(disk: Disk) -> None:
    """The record hides what was appended before, until that file is gone for good; and then durably does not (W6, W7).

    Else its number, which may be another file's next, would have that one cut off after a loss of power.
    """
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    writer.write(b"tail")
    writer.seek(0)
    writer.write(b"O")
    disk.events.clear()
    writer.flush()
    last = disk.events[-3:]
    assert last[0] == ("sync", str(disk.root))
    assert [(kind, "/writers/" in path) for kind, path in last[1:]] == [("write", True), ("sync", True)]
    writer.discard()


def test_a_rewrite_without_an_append_syncs_no_record(disk: Disk) -> None:
    """Nothing being in growth, the file and its directory are all that a rewrite syncs (W6)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a", b"old")
    with driver.open_writer("a") as writer:
        writer.seek(0)
        writer.write(b"new")
        disk.events.clear()
        writer.flush()
        assert [event[0] for event in disk.events].count("sync") == 2


def test_a_cut_by_a_process_that_was_killed_is_made_durable(disk: Disk) -> None:
    """Who fences after another has, finds the file cut; that it stays so, is then known (W7, F1)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    writer.write(b"tail")
    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(os, "fsync", _fail)
        with pytest.raises(Exception, match="Input/output"):
            driver.open_writer("a")
    assert (disk.root / "a").read_bytes() == b"old"
    driver.open_writer("a").discard()
    assert str(disk.root / "a") not in disk.dirty


def test_a_rewrite_cut_off_before_it_was_durable_is_made_so_by_who_fences(disk: Disk) -> None:
    """Else the file before could come back, and without the record all that was appended to it (W7, F1)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    writer.write(b"tail")
    writer.seek(0)
    writer.write(b"O")
    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(writing, "sync_directory", _fail)  # where it is killed
        with pytest.raises(Exception, match="Input/output"):
            writer.flush()
    disk.events.clear()
    driver.open_writer("a").discard()
    kinds = [(event[0], event[1].rpartition("/")[0].endswith("writers")) for event in disk.events]
    assert disk.events.index(("sync", str(disk.root))) < kinds.index(("unlink", True))


def test_a_removal_that_another_process_began_is_made_durable(disk: Disk) -> None:
    """Who deletes below a directory that is gone makes sure that it stays gone (D4)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a/b/c", b"old")
    shutil.rmtree(disk.root / "a" / "b")
    disk.events.clear()
    driver.delete("a/b/c")
    assert ("sync", str(disk.root / "a")) in disk.events


def test_a_small_put_syncs_the_file_and_its_directory(disk: Disk) -> None:
    """Once the directories are known to be durable, a put costs two syncs (P2)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a/b", b"")
    disk.events.clear()
    driver.put("a/b", b"x" * 71)
    assert [event[0] for event in disk.events if event[0] in ("sync", "rename")] == ["sync", "rename", "sync"]


def test_a_flush_whose_sync_failed_is_never_reported_as_done(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed sync the bytes may be lost, and a second sync succeed: the flush goes on failing (W8)."""
    driver = CheckedDriver(LocalDriver(disk.root))
    driver.put("a", b"old")
    writer = driver.open_writer("a")
    writer.write(b"lost")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", _fail)
        with pytest.raises(Exception, match="Input/output"):
            writer.flush()
    with pytest.raises(Exception, match="earlier flush"):
        writer.write(b"more")
    with pytest.raises(Exception, match="earlier flush"):
        writer.close()
    assert driver.get("a", 99) == b"old"


def _fail(_: int) -> None:
    raise OSError(5, "Input/output error")


STRACE = shutil.which("strace")


@pytest.mark.skipif(
    STRACE is None and "LAYERSTORE_CI" not in os.environ,
    reason="strace is not installed; the recorded calls are tested",
)
def test_the_kernel_sees_sync_rename_sync(tmp_path: Path) -> None:
    """As the system calls go: the data, the rename, the directory, and first of all the directory's own name (C4)."""
    calls = _traced(tmp_path, "from layerstore_drivers.local import LocalDriver as D; D(Path('root')).put('d/k', b'x')")
    where = [
        next(number for number, line in enumerate(calls) if re.search(pattern, line))
        for pattern in (r'mkdir.*"d"', r"fsync\(\d+<[^>]*/tmp/", r'rename.*"k"')
    ]
    made, data, renamed = where
    assert data < renamed
    assert any(re.search(r"fsync\(\d+<[^>]*/root>", line) for line in calls[made:renamed])
    assert any(re.search(r"fsync\(\d+<[^>]*/root/d>", line) for line in calls[renamed:])


def _traced(where: Path, code: str) -> list[str]:
    """Run code in a process under strace, and return its syncs, renames and makings of directories."""
    trace = where / "trace"
    options = ["-f", "-y", "-e", "trace=fsync,/rename,/mkdir", "-o", str(trace)]
    command = [str(STRACE), *options, sys.executable, "-c", f"from pathlib import Path; {code}"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=where, env=env, check=True, timeout=60)
    return trace.read_text().splitlines()

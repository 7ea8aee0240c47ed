"""A trace of system calls says what a process did to files, and what it has made durable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from layerstore_conformance.powerloss import strace
from layerstore_conformance.powerloss.losses import all_lost, nothing_lost, rebuild
from layerstore_conformance.powerloss.trace import Trace

pytestmark = pytest.mark.skipif(not strace.works(), reason="there is no strace, or it may not trace")

EVERYTHING = """
import os, shutil
os.makedirs("a/b")
with open("a/new", "wb") as file: file.write(b"one" * 5000); file.write(b"two")
with open("a/new", "ab") as file: file.write(b"appended")
with open("a/new", "r+b") as file: file.seek(4); file.write(b"over"); file.seek(0, 2); file.write(b"behind")
with open("a/cut", "wb") as file: file.write(b"x" * 100); file.truncate(30)
with open("a/cut", "wb") as file: file.write(b"anew")
fd = os.open("a/b/offsets", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"far", 5000)
os.pwritev(fd, [b"ga", b"ther"], 10)
os.writev(fd, [b"be", b"gin"])
other = os.dup(fd)
os.write(other, b"goes on")
os.lseek(fd, -2, os.SEEK_END)
os.write(other, b"end")
os.ftruncate(fd, 6000)
os.posix_fallocate(fd, 6000, 100)
copy = os.open("a/b/copy", os.O_RDWR | os.O_CREAT)
os.copy_file_range(fd, copy, 50, 8, 3)
os.sendfile(copy, fd, 5000, 3)
os.close(other)
os.truncate("a/cut", 2)
os.rename("a/new", "a/newer")
os.rename("a/newer", "a/b/moved")
os.link("a/b/moved", "a/linked")
os.replace("a/b/copy", "a/cut")
shutil.copy("a/linked", "copied")
os.mkdir("gone"); os.rmdir("gone")
open("empty", "x").close(); os.unlink("empty")
os.rename("a/b", "c")
os.pwrite(fd, b"by a descriptor", 20)
os.chdir("c")
open("below", "w").write("the working directory is another")
"""


EXCHANGE = """
import ctypes
open("a", "x"), open("b", "x")
assert not ctypes.CDLL(None).renameat2(-100, b"a", -100, b"b", 2)
"""


def traced(tmp_path: Path, program: str) -> Trace:
    """Run a program in an empty directory, and return the recording."""
    top = tmp_path.resolve() / "top"
    top.mkdir()
    strace.run([sys.executable, "-c", program], tmp_path / "calls", cwd=top)
    recording = Trace(top, tmp_path / "marks")
    recording.read(tmp_path / "calls")
    return recording


def contents(top: Path) -> dict[str, bytes | None]:
    """Return what is in a directory."""
    return {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else None for path in sorted(top.rglob("*"))
    }


def test_what_a_process_did_to_files_is_known_from_its_calls(tmp_path: Path) -> None:
    """If nothing is lost, the tree that is made again is the one that the process has left."""
    recording = traced(tmp_path, EVERYTHING)
    rebuild(recording, nothing_lost(recording, recording.time), tmp_path / "again")
    found = contents(tmp_path / "again")
    assert found == contents(tmp_path / "top")
    assert len(found) == 8


@pytest.mark.parametrize(
    ("program", "kept"),
    [
        ("import os; fd = os.open('a', os.O_CREAT | os.O_RDWR); os.write(fd, b'1')", {}),
        ("import os; fd = os.open('a', os.O_CREAT | os.O_RDWR); os.write(fd, b'1'); os.fsync(fd)", {}),
        ("import os; os.open('a', os.O_CREAT); os.fsync(os.open('.', os.O_RDONLY))", {"a": b""}),
        ("import os; os.pwrite(os.open('a', os.O_CREAT | os.O_RDWR), b'1', 0); os.sync()", {"a": b"1"}),
        ("import os; os.mkdir('d'); os.fsync(os.open('.', 0)); open('d/a', 'w').close()", {"d": None}),
        (
            "import os; os.mkdir('d'); os.fsync(os.open('.', 0)); open('d/a', 'w').close(); os.fsync(os.open('d', 0))",
            {"d": None, "d/a": b""},
        ),
    ],
)
def test_what_is_not_synced_is_lost(tmp_path: Path, program: str, kept: dict[str, bytes | None]) -> None:
    """A sync of a file is none of its name, and one of a directory is none of the bytes of its files."""
    recording = traced(tmp_path, program)
    rebuild(recording, all_lost(recording, recording.time), tmp_path / "again")
    assert contents(tmp_path / "again") == kept


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.open('.', os.O_TMPFILE | os.O_RDWR)",
        "import os; os.mkdir('a'); os.link('/etc/hostname', 'a/b')",
        EXCHANGE,
    ],
    ids=["a file without a name", "a link from elsewhere", "an exchange"],
)
def test_a_call_that_is_not_understood_is_no_verdict(tmp_path: Path, program: str) -> None:
    """Where the trace cannot say what there is, it says that."""
    tried = tmp_path / "tried"
    tried.mkdir()
    if subprocess.run([sys.executable, "-c", program], cwd=tried, capture_output=True, check=False).returncode:
        pytest.skip("this file system does not do it")
    with pytest.raises(strace.UntracedError):
        traced(tmp_path, program)


def test_a_process_that_fails_is_not_taken_for_one_that_did_nothing(tmp_path: Path) -> None:
    """Its error is told."""
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        traced(tmp_path, "1 / 0")

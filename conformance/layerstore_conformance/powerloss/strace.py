"""The system calls of another process, as strace writes them down."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

_CALLS: Final = (
    *("open", "openat", "openat2", "creat", "close", "dup", "dup2", "dup3", "fcntl", "lseek", "ioctl"),
    *("mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat"),
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range", "sendfile", "ftruncate", "truncate"),
    *("fallocate", "utimensat", "fsync", "fdatasync", "sync", "syncfs", "fstat", "newfstatat"),
    *("chdir", "fchdir"),
)
FAILING: Final = 7
"""How often a sync fails, if one does: each so many calls."""

_SYNCS: Final = ("fsync", "fdatasync")

_LONGEST: Final = 1 << 28
"""Bytes of an argument that are written down."""

_LINE: Final = re.compile(r"(\d+) +(\d+)\.(\d+) (?:<\.\.\. \w+ resumed>)?(.*)")
_CALL: Final = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>)?")
_BEGUN: Final = " <unfinished ...>"
_NAMED: Final = re.compile(r"(-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class UntracedError(Exception):
    """A system call that is not understood, so that nothing can be said about a loss of power."""


@cache
def works() -> bool:
    """Return whether there is a strace that may trace."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(
        [*_words(Path(os.devnull)), "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return tried.returncode == 0


def run(words: list[str], notes: Path, *, failing_sync: int = 0, **more: Any) -> None:  # noqa: ANN401  (of subprocess.run)
    """Run a command, and write down its system calls.

    If ``failing_sync`` is not 0, that sync of each process, counted from 1, and each :data:`FAILING`-th after it fail.

    Raises:
        AssertionError: the command failed.
    """
    fail = ["-e", f"inject={','.join(_SYNCS)}:error=EIO:when={failing_sync}+{FAILING}"] if failing_sync else []
    ended = subprocess.run([*_words(notes, *fail), *words], capture_output=True, text=True, check=False, **more)
    assert ended.returncode == 0, f"the traced process failed: {ended.stderr[-2000:]}"


def _words(notes: Path, *more: str) -> list[str]:
    """Return the strace command: threads and children, paths of descriptors, times, and whole arguments, in hex."""
    how = [*more, "-f", "-y", "-v", "-xx", "-ttt", "-s", str(_LONGEST), "-e", "signal=none", "-e", "quiet=all"]
    return ["strace", *how, "--seccomp-bpf", "-e", f"trace={','.join(_CALLS)}", "-o", str(notes), "--"]


class Call(NamedTuple):
    """A system call that succeeded, or a sync that failed."""

    name: str
    args: str
    result: int
    path: str
    """Of the descriptor that it returned."""
    ns: int
    """When it ended."""

    def descriptor(self) -> int:
        """Return the first descriptor among the arguments; -1 for the working directory, or if there is none."""
        found = _NAMED.search(self.args)
        return _number(found[1]) if found else -1

    def descriptors(self) -> list[int]:
        """Return the descriptors among the arguments; -1 for the working directory."""
        return [_number(number) for number, _ in _NAMED.findall(self.args)]

    def directory(self) -> str:
        """Return the path of the first descriptor among the arguments; empty if there is none."""
        found = _NAMED.search(self.args)
        return _plain(found[2]) if found else ""

    def working_directory(self) -> str:
        """Return the working directory; empty if the arguments do not name it."""
        return _plain(dict(_NAMED.findall(self.args)).get("AT_FDCWD", ""))

    def directories(self) -> list[str]:
        """Return the paths of the descriptors among the arguments."""
        return [_plain(path) for _, path in _NAMED.findall(self.args)]

    def texts(self) -> list[str]:
        """Return the texts among the arguments."""
        return [_plain(text) for text in _TEXT.findall(self.args)]

    def paths(self, directory: str) -> list[str]:
        """Return the paths that the arguments name, whole; those without a descriptor begin at ``directory``."""
        pairs = zip_longest(self.directories(), self.texts(), fillvalue=directory)
        return [os.path.normpath(os.path.join(below, text)) for below, text in pairs]

    def data(self) -> bytes:
        """Return the bytes that were written."""
        whole = b"".join(_bytes(text) for text in _TEXT.findall(self.args))
        return whole[: self.result]

    def numbers(self) -> list[int]:
        """Return the numbers at the end of the arguments."""
        return [int(each) for each in re.findall(r", (-?\d+)(?=,|$)", self.args)]


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls that succeeded, and the syncs that failed, in the order of their ends."""
    begun: dict[str, str] = {}
    for line in lines:
        process, seconds, micros, text = _matched(line)
        if text.endswith(_BEGUN):
            begun[process] = text.removesuffix(_BEGUN)
            continue
        match = _CALL.match(begun.pop(process, "") + text)
        if match and (int(match[3]) >= 0 or match[1] in _SYNCS):
            ns = int(seconds) * 10**9 + int(micros) * 1000
            yield Call(match[1], match[2], int(match[3]), _plain(match[4] or ""), ns)


def _matched(line: str) -> tuple[str, str, str, str]:
    match = _LINE.fullmatch(line.rstrip("\n"))
    if match is None:
        raise UntracedError(line)
    process, seconds, micros, text = match.groups()
    return process, seconds, micros, text


def in_hex(text: str) -> str:
    """Return a text as it stands in the arguments of a call."""
    return "".join(f"\\x{each:02x}" for each in os.fsencode(text))


def _number(descriptor: str) -> int:
    return -1 if descriptor == "AT_FDCWD" else int(descriptor)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _plain(text: str) -> str:
    return os.fsdecode(_bytes(text))

"""What other programs do in a directory that is a store: to its files, and beside them.

For drivers whose objects are files, each under its key below one directory.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import mkdtemp

from layerstore_conformance.harness import How, changed
from layerstore_conformance.kit.litter import HARMLESS, TOLD, file_of


def tampering(root: Path, read: Callable[[str], bytes | None]) -> Callable[[str, How], None]:
    """Return the ``tamper`` of a harness, which changes files; ``read`` tells what of a file is published.

    Behind that may lie what a writer has not flushed. It goes: another program stores what it has read.
    """

    def tamper(key: str, how: How) -> None:
        path = root / key
        if how == "make":
            path.parent.mkdir(parents=True, exist_ok=True)
            _rename_over(path, changed(b"", how) or b"")
            return
        before = read(key)
        assert before is not None, f"there is no {key}"
        stat, data = path.stat(), changed(before, how)
        if how == "replace":
            _rename_over(path, data or b"")
        elif how == "append" and stat.st_size == len(before):
            with path.open("ab") as file:
                file.write((data or b"")[len(before) :])
        elif data is not None and how in {"append", "truncate", "replace-quietly"}:
            _overwrite(path, data)
        else:
            kept = {name: os.getxattr(path, name) for name in os.listxattr(path)}
            path.unlink()
            if data is not None:
                path.write_bytes(data)  # in many file systems it gets the number of the one that went
                for name, value in kept.items():
                    os.setxattr(path, name, value)
        if data is not None and how not in {"append", "truncate", "replace"}:
            _as_it_was(path, stat)

    return tamper


def _overwrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def _rename_over(path: Path, data: bytes) -> None:
    new = path.with_name(".new")
    new.write_bytes(data)
    new.replace(path)


def _as_it_was(path: Path, before: os.stat_result) -> None:
    """Set all back that can be. When it was last changed cannot; a step of that clock goes by, 4 ms on old kernels."""
    while True:
        path.chmod(before.st_mode)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            return


def littering(root: Path, *, served: bool = False) -> Callable[[str], AbstractContextManager[list[str]]]:
    """Return what puts below a prefix one of everything that no driver stores, the ``foreign`` of a harness.

    Where it is ``served``, by FTP, these are names alone: what a link leads to is all that a server tells of it.
    """

    @contextmanager
    def foreign(prefix: str) -> Iterator[list[str]]:
        place, elsewhere = root / prefix, Path(mkdtemp(dir=root.parent))
        made = [each for each in (place, *place.parents) if not each.exists()]
        place.mkdir(parents=True, exist_ok=True)
        (elsewhere / "_layers").mkdir()
        (elsewhere / "_layers" / "link").write_bytes(b"of another disk")
        things = _named_in(place, root) | ({} if served else _odd_in(place, elsewhere))
        before = {path: _what(path) for path in (*things, elsewhere)}
        try:
            yield [f"{prefix}/{name}" for name in things.values() if name]
            gone = [str(path) for path, what in before.items() if _what(path) != what]
            assert not gone, f"these were taken away, or changed: {gone}"
        finally:
            for path in before:
                _take(path)
            for each in made:  # the deepest first
                if each.exists() and not any(each.iterdir()):
                    each.rmdir()

    return foreign


def _named_in(place: Path, root: Path) -> dict[Path, str]:
    """Make things whose names are no keys, and what has the names of the driver's own things at the top of its store.

    Return their paths, with the names that a scan tells; none of what is harmless.
    """
    own = [f"{each.name}/" if each.is_dir() else each.name for each in root.glob(".*")]
    for name in (*TOLD, *HARMLESS, *own):
        path = place / file_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of no key")
    return {place / name: name for name in (*TOLD, *own)} | {place / name: "" for name in HARMLESS}


def _odd_in(place: Path, elsewhere: Path) -> dict[Path, str]:
    """Make what only a file system has: links, a pipe, a socket, a device, and a name that is no text."""
    (place / "linked-directory").symlink_to(elsewhere)
    (place / "linked-file").symlink_to(elsewhere / "_layers" / "link")
    (place / "linked-nowhere").symlink_to("nowhere")
    os.mkfifo(place / "pipe")
    _make_socket(place / "socket")
    devices = ["device"] if _made_device(place / "device") else []
    no_text = place / os.fsdecode(b"no text \xff")
    no_text.write_bytes(b"of no key")
    names = ("linked-directory", "linked-file", "linked-nowhere", "pipe", "socket", *devices)
    named = {place / name: name for name in names}
    return {**named, no_text: r"no text \xff"}


def _make_socket(path: Path) -> None:
    """Bind a socket of this machine; its path may be longer than an address of one may be."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def _made_device(path: Path) -> bool:
    """Make a device without a driver, which only root may do, and not everywhere; return whether it is there."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(250, 250))
    except OSError:
        return False
    return True


def _what(path: Path) -> object:
    """Return what distinguishes a thing from another one in its place; None if there is none."""
    if not os.path.lexists(path):
        return None
    number, mode = path.lstat().st_ino, path.lstat().st_mode
    if path.is_symlink():
        return number, path.readlink()
    if path.is_dir():
        return number, [_what(each) for each in sorted(path.iterdir())]
    return number, mode, path.read_bytes() if path.is_file() else None


def _take(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()

"""What other programs do in a directory that is a store: to its files, and beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import mkdtemp

from layerstore_conformance.harness import How, changed


def tampering(root: Path, read: Callable[[str], bytes | None]) -> Callable[[str, How], None]:
    """Return what changes the files of a store; ``read`` tells what of a file is published.

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


def by_the_second(tamper: Callable[[str, How], None], root: Path) -> Callable[[str, How], None]:
    """Return what changes files, and leaves each dated a second later than before: all that a server tells of times."""

    def later(key: str, how: How) -> None:
        path = root / key
        before = path.stat().st_mtime if path.exists() else None
        tamper(key, how)
        if path.exists() and before is not None:
            os.utime(path, (before + 1, before + 1))

    return later


def littering(root: Path, *, served: bool = False) -> Callable[[str], AbstractContextManager[list[str]]]:
    """Return what puts one of everything below a prefix that a directory can hold and no driver stores.

    Where it is ``served``, by FTP, these are names alone: what a link leads to is all that a server tells of it.
    """

    @contextmanager
    def foreign(prefix: str) -> Iterator[list[str]]:
        place, elsewhere = root / prefix, Path(mkdtemp(dir=root.parent))
        made = [each for each in (place, *place.parents) if not each.exists()]
        place.mkdir(parents=True, exist_ok=True)
        (elsewhere / "_layers").mkdir()
        (elsewhere / "_layers" / "link").write_bytes(b"of another disk")
        things = _named_in(place) + ([] if served else _linked_in(place, elsewhere))
        try:
            yield [f"{prefix}/{name}" for name in things]
            gone = [name for name in things if not os.path.lexists(place / name)]
            assert not gone, f"these were taken away: {gone}"
            assert (elsewhere / "_layers" / "link").exists(), "what a link leads to was taken away"
        finally:
            for name in things:
                _take(place / name)
            _take(elsewhere)
            for each in made:  # the deepest first
                if each.exists() and not any(each.iterdir()):
                    each.rmdir()

    return foreign


def _linked_in(place: Path, elsewhere: Path) -> list[str]:
    (place / "linked-directory").symlink_to(elsewhere)
    (place / "linked-file").symlink_to(elsewhere / "_layers" / "link")
    (place / "linked-nowhere").symlink_to("nowhere")
    os.mkfifo(place / "pipe")
    return ["linked-directory", "linked-file", "linked-nowhere", "pipe"]


def _named_in(place: Path) -> list[str]:
    for name in ("my repo", ".hidden", "ärger"):
        (place / name / "_layers").mkdir(parents=True)
        (place / name / "_layers" / "link").write_bytes(b"of a repository whose name is no key")
    (place / ".file").write_bytes(b"hidden")
    (place / "a file").write_bytes(b"of no key")
    return ["my repo", ".hidden", "ärger", ".file", "a file"]


def _take(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()

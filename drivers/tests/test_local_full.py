"""Full, failing and read-only disks: typed errors, nothing lost or leaked, nothing left that cannot be removed."""

import errno
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import Writer
from layerstore.errors import AccessDeniedError, DriverError, FencedError, NoSpaceError
from layerstore_drivers.local import LocalDriver, system

if TYPE_CHECKING:
    from tests.local_area import left_over
else:
    from local_area import left_over

pytestmark = pytest.mark.usefixtures("road")

PLENTY = bytes(range(256)) * 4 * 1024
"""1 MiB, more than the small disk has."""

NOTE = 3
"""Blocks of 4 KiB that a note takes, which says that an object has the version that it had."""


def _mounted(directory: Path, *options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", ",".join(["size=512k", *options]), "tmpfs", str(directory)]
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 512 KiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    if not _mounted(directory):
        pytest.skip("mounting a small disk needs root on Linux; the injected failures are tested")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True, timeout=60)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _append(driver: CheckedDriver) -> None:
    with driver.open_writer("a/b") as writer:
        writer.write(PLENTY)


def _rewrite(driver: CheckedDriver) -> None:
    with driver.open_writer("a/b") as writer:
        writer.seek(0)
        writer.write(PLENTY)


def _new(driver: CheckedDriver) -> None:
    with driver.open_writer("n/e/w") as writer:
        writer.write(PLENTY)


@pytest.mark.parametrize("fill", [lambda driver: driver.put("a/b", PLENTY), _append, _rewrite, _new])
def test_a_full_disk_keeps_the_old_value(disk: Path, fill: Callable[[CheckedDriver], None]) -> None:
    """No space is a typed error; the old bytes are there, the space is free again, all descriptors are closed."""
    driver = CheckedDriver(LocalDriver(disk))
    driver.put("a/b", b"old")
    before, free = _descriptors(), os.statvfs(disk).f_bfree
    with pytest.raises(NoSpaceError):
        fill(driver)
    assert driver.get("a/b", 99) == b"old"
    assert free - os.statvfs(disk).f_bfree <= NOTE
    assert _descriptors() == before
    assert left_over(disk) == []
    assert list(driver.list("")) == ["a/"]


def test_a_full_disk_can_be_emptied(disk: Path) -> None:
    """With no block left, deleting and reading work, from a driver that is new too; then writing does again."""
    driver = CheckedDriver(LocalDriver(disk))
    driver.put("a/b", b"old")
    with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))
    for another in (driver, CheckedDriver(LocalDriver(disk))):
        with pytest.raises(NoSpaceError):
            another.put("more", b"x" * 100_000)
        assert another.get("a/b", 99) == b"old"
    CheckedDriver(LocalDriver(disk)).delete("ballast")
    driver.put("more", b"x" * 100_000)


def test_an_append_goes_on_once_there_is_space(disk: Path) -> None:
    """A writer that met a full disk still has what it accepted, no torn bytes, and can go on (W2, W4, W8)."""
    driver = CheckedDriver(LocalDriver(disk))
    driver.put("ballast", bytes(300_000))
    with driver.open_writer("a") as writer:
        writer.write(b"first")
        writer.flush()
        with pytest.raises(NoSpaceError):
            writer.write(PLENTY)
        driver.delete("ballast")
        writer.seek(10)
        writer.write(b"second")
    assert driver.get("a", 99) == b"first" + bytes(5) + b"second"


def test_a_read_only_disk_is_read_and_refuses(disk: Path) -> None:
    """Where nothing may be written all reads work, and all else is a refusal (E1)."""
    CheckedDriver(LocalDriver(disk)).put("a/b", b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, timeout=60)
    driver = CheckedDriver(LocalDriver(disk))
    assert driver.get("a/b", 99) == b"old"
    assert list(driver.list("a")) == ["a/b"]
    for act in (driver.open_writer, driver.delete, lambda key: driver.put(key, b""), lambda key: driver.move(key, "c")):
        with pytest.raises(AccessDeniedError):
            act("a/b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; the read-only disk is tested")
def test_a_directory_that_may_not_be_written_is_a_refusal(tmp_path: Path) -> None:
    """Missing permission is told apart from a missing object (E1)."""
    driver = CheckedDriver(LocalDriver(tmp_path))
    driver.put("a/b", b"old")
    (tmp_path / "a").chmod(0o500)
    with pytest.raises(AccessDeniedError):
        driver.put("a/c", b"")
    (tmp_path / "a").chmod(0o700)


CALLS = ["fdatasync", "fsync", "ftruncate", "mkdir", "open", "pwrite", "rename", "unlink", "utime"]


def _fail_call(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Let one of the coming system calls fail; return the list in which it will be noted."""
    counter, failed = itertools.count(), list[str]()

    def breaking(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if next(counter) == number:
                failed.append(name)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        # What is synced is tested elsewhere; hundreds of real syncs here would only take their time.
        real = (lambda _: None) if "sync" in name else getattr(os, name)
        monkeypatch.setattr(os, name, breaking(name, real))
    if openat2 := system._openat2():
        broken = breaking("openat2", openat2)
        monkeypatch.setattr(system, "_openat2", lambda: broken)
    return failed


def _write(driver: CheckedDriver, key: str, offset: int) -> None:
    with driver.open_writer(key) as writer:
        writer.seek(offset)
        writer.write(b"new")


FAILING: dict[str, tuple[Callable[[CheckedDriver], None], dict[str, bytes]]] = {
    "put": (lambda driver: driver.put("d/new", b"new"), {"a/b": b"old", "d/new": b"new"}),
    "put over": (lambda driver: driver.put("a/b", b"new"), {"a/b": b"new"}),
    "flush new": (lambda driver: _write(driver, "d/new", 0), {"a/b": b"old", "d/new": b"new"}),
    "flush appended": (lambda driver: _write(driver, "a/b", 3), {"a/b": b"oldnew"}),
    "flush rewritten": (lambda driver: _write(driver, "a/b", 0), {"a/b": b"new"}),
    "move": (lambda driver: driver.move("a/b", "d/new"), {"d/new": b"old"}),
    "delete": (lambda driver: driver.delete("a"), {}),
}


def _content(driver: CheckedDriver) -> dict[str, bytes]:
    return {key: driver.get(key, 99) for top in list(driver.list("")) for key in list(driver.list(top.rstrip("/")))}


@pytest.mark.parametrize("act", FAILING)
def test_whichever_call_fails_the_store_is_whole(tmp_path: Path, act: str) -> None:
    """Each system call fails once: it raises, all is old or all new, nothing leaks, and a retry works (E4)."""
    run, after = FAILING[act]
    for number in itertools.count():
        root = tmp_path / str(number)
        CheckedDriver(LocalDriver(root)).put("a/b", b"old")
        driver, before = CheckedDriver(LocalDriver(root)), _descriptors()
        with pytest.MonkeyPatch.context() as monkeypatch:
            failed = _fail_call(monkeypatch, number)
            raised = _outcome(run, driver)
        found = _content(driver)
        assert found == after or (raised and found == {"a/b": b"old"}), (number, failed)
        assert raised in (None, NoSpaceError), (number, failed)
        if not failed:
            break
        del driver
        assert _descriptors() <= before, (number, failed)
        _check_again(root, run, after)
    assert number > 5, "calls failed"


def test_a_fence_that_fails_half_way_costs_no_bytes(tmp_path: Path) -> None:
    """Whichever call of an opening fails, the earlier writer publishes all it wrote or is fenced (F4, E4)."""
    for number in itertools.count():
        driver, other = (CheckedDriver(LocalDriver(tmp_path / str(number))) for _ in range(2))
        driver.put("a", b"old")
        writer = driver.open_writer("a")
        writer.write(b"+new")
        with pytest.MonkeyPatch.context() as monkeypatch:
            failed = _fail_call(monkeypatch, number)
            _outcome(lambda driver: driver.open_writer("a").discard(), other)
        assert other.get("a", 9) == b"old"
        fenced = _outcome(lambda _, writer=writer: _more(writer), driver)  # type: ignore[misc]
        assert fenced in (None, FencedError)
        assert other.get("a", 9) == (b"old" if fenced else b"old+new+"), (number, failed)
        if not failed:
            break
    assert number > 5, "calls failed"


def _more(writer: Writer) -> None:
    writer.write(b"+")
    writer.close()


def _outcome(run: Callable[[CheckedDriver], None], driver: CheckedDriver) -> type[DriverError] | None:
    try:
        run(driver)
    except DriverError as error:
        return type(error)
    return None


def _check_again(root: Path, run: Callable[[CheckedDriver], None], after: dict[str, bytes]) -> None:
    """Repeat on what the failure has left, and look for litter."""
    driver = CheckedDriver(LocalDriver(root))
    if _content(driver) != after:
        run(driver)
    assert _content(driver) == after
    driver.put("any", b"")
    assert left_over(root) == []

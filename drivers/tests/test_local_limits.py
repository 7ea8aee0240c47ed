"""Limits of the system, met at every step of an upload's life: typed errors, nothing lost or left, and no restart.

A limit of the process is set in a process of its own, which runs a function of this module.
"""

import errno
import gc
import itertools
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from layerstore import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    LayerService,
    LayerStoreError,
    NoSpaceError,
)
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.promises import theorem
from layerstore_conformance.promises.lifecycles import (
    TrackedUpload,
    cancelled,
    middle_rewritten,
    resumed,
    straight,
    wrong_then_right,
)
from layerstore_conformance.promises.promise import Kept
from layerstore_drivers.local import LocalDriver

if TYPE_CHECKING:
    from tests.local_area import left_over
else:
    from local_area import left_over

pytestmark = pytest.mark.once

Limit = Callable[[], AbstractContextManager[None]]

NAME = "library/limits"
EXHAUSTIVE = "LAYERSTORE_EXHAUSTIVE" in os.environ
LIVES = pytest.mark.parametrize("lifecycle", [straight, resumed, middle_rewritten, wrong_then_right, cancelled])


class Limited:
    """Lives with a limit from some moment on, until that is in the way; then without it, to a good end.

    The process and its driver go on. What they had begun when they met the limit is no burden to them.
    """

    def __init__(self, where: Path, lifecycle: Callable[[TrackedUpload], None], *, chunk: int = 3000) -> None:
        self.where, self.lifecycle, self.chunk = where, lifecycle, chunk
        self.lives = 0
        self.raised: set[type[LayerStoreError]] = set()

    def at_every_step(self, limit: Limit) -> None:
        """Live once with the limit from the first step on, once from the second, and so on."""
        for step in itertools.count():
            if not self.live(limit, step):
                return

    def live(self, limit: Limit, step: int = 0) -> bool:
        """Live with the limit from a step on; tell whether there are so many steps."""
        self.lives += 1
        root = self.where / str(self.lives)
        service, limits, steps = LayerService(LocalDriver(root)), ExitStack(), itertools.count()
        old, before = _store_a_layer(service), _descriptors()

        def tell(*_: object) -> None:
            if next(steps) == step:
                limits.enter_context(limit())

        life = TrackedUpload(service, NAME, chunk=self.chunk, tell=tell)
        with limits:
            try:
                self.lifecycle(life)
            except LayerStoreError as error:
                self.raised.add(type(error))
            life.abandon()
            gc.collect()
            assert _descriptors() <= before, "a descriptor is left"
        life.kept.append(old)
        theorem.check_cut_off(service, life, theorem.finish_again)
        _check_nothing_left(root, service)
        return next(steps) > step


def _store_a_layer(service: LayerService) -> Kept:
    """Store a layer that is to be there whatever happens."""
    content = Payload("old").read(5000)
    upload = service.upload(NAME)
    upload.write(content)
    upload.finish(digest(content)).close()
    return Kept(NAME, content)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _check_nothing_left(root: Path, service: LayerService) -> None:
    """Check that a new driver, after the old one is gone, finds nothing that it should not, or removes it."""
    service.close()
    del service
    gc.collect()
    LocalDriver(root).put("any", b"")
    assert left_over(root) == []


def _run(call: str) -> None:
    """Run a function of this module in a process of its own."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    code = f"import os, test_local_limits as limits; os.fsync = os.fdatasync = lambda fd: None; limits.{call}"
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=300)


@contextmanager
def _lowered(kind: int, value: int) -> Iterator[None]:
    old = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, old)


@LIVES
def test_a_limit_of_file_sizes_is_no_space(tmp_path: Path, lifecycle: Callable[[TrackedUpload], None]) -> None:
    """What would be larger than RLIMIT_FSIZE raises NoSpaceError; below, all goes on (E1, E4)."""
    _run(f"with_small_files({str(tmp_path)!r}, limits.{lifecycle.__name__})")


def with_small_files(where: str, lifecycle: Callable[[TrackedUpload], None]) -> None:
    """Lower the limit of file sizes: too small for anything, for a writer's record, or for more than two chunks."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limited = Limited(Path(where), lifecycle)
    for size in (10, 8321, 8400):
        limited.at_every_step(partial(_lowered, resource.RLIMIT_FSIZE, size))
    assert limited.raised == {NoSpaceError}


@LIVES
def test_a_limit_of_descriptors_is_an_unavailable_backend(
    tmp_path: Path, lifecycle: Callable[[TrackedUpload], None]
) -> None:
    """With too few descriptors BackendUnavailableError is raised, and nothing is taken for missing (E1, E4)."""
    _run(f"with_few_descriptors({str(tmp_path)!r}, limits.{lifecycle.__name__})")


def with_few_descriptors(where: str, lifecycle: Callable[[TrackedUpload], None]) -> None:
    """Lower the limit of descriptors so that so many, and no more, can still be opened."""
    limited = Limited(Path(where), lifecycle)
    for spare in range(0, 8, 1 if EXHAUSTIVE else 3):
        limited.at_every_step(partial(_spare_descriptors, spare))
    assert limited.raised == {BackendUnavailableError}


@contextmanager
def _spare_descriptors(spare: int) -> Iterator[None]:
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    free = (number for number in itertools.count() if number not in used)
    with _lowered(resource.RLIMIT_NOFILE, next(itertools.islice(free, spare, None))):
        yield


GROWING = ("open", "mkdir", "pwrite", "copy_file_range", "rename")
CHANGING = (*GROWING, "ftruncate", "utime", "unlink", "rmdir")

FAILURES: dict[int, tuple[tuple[str, ...], type[DriverError]]] = {
    errno.ENOSPC: (GROWING, NoSpaceError),
    errno.EDQUOT: (GROWING, NoSpaceError),
    errno.EROFS: (CHANGING, AccessDeniedError),
    errno.EIO: ((*CHANGING, "fsync", "fdatasync"), BackendUnavailableError),
}


@LIVES
@pytest.mark.parametrize("number", FAILURES, ids=errno.errorcode.get)
def test_from_any_call_on_the_disk_fails(
    tmp_path: Path, lifecycle: Callable[[TrackedUpload], None], number: int
) -> None:
    """A disk that is full, over quota, read-only or broken from some call on costs nothing that was stored (E1, E4)."""
    names, error = FAILURES[number]
    limited = Limited(tmp_path, lifecycle)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda _: None)
        for first in itertools.count(step=1 if EXHAUSTIVE else 7):
            failed: list[str] = []
            limited.live(partial(_failing, names, number, first, failed))
            if not failed:
                break
    assert limited.raised == {error}


@contextmanager
def _failing(names: tuple[str, ...], number: int, first: int, failed: list[str]) -> Iterator[None]:
    """Let all of these system calls fail but for so many; note which."""
    counter = itertools.count()

    def breaking(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: Any, **kwargs: object) -> object:  # noqa: ANN401  (of any call)
            reading = name == "open" and not args[1] & os.O_CREAT
            if not reading and next(counter) >= first:
                failed.append(name)
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(os, name, breaking(name, getattr(os, name)))
        yield


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 6 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(directory)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("mounting a small disk needs root on Linux; the injected failures are tested")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True, timeout=60)


@LIVES
def test_a_disk_may_be_full_at_any_step(disk: Path, lifecycle: Callable[[TrackedUpload], None]) -> None:
    """Filled by another at any step, it holds what it held; emptied, the same upload goes on (E1, E4, W8)."""
    limited = Limited(disk, lifecycle, chunk=30_000)
    limited.at_every_step(partial(_filled, disk / "ballast"))
    assert limited.raised == {NoSpaceError}


@contextmanager
def _filled(ballast: Path) -> Iterator[None]:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()

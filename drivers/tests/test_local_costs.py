"""What each call of the local driver costs: system calls and syncs, counted to the last one (clause P2).

The store is warm: its private area, the repository, and the directory of the blob's first two digits are there, and
known to be durable.
"""

import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore import Layer, LayerService
from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver, locks, system

if TYPE_CHECKING:
    from tests.local_calls import counted, syncs
else:
    from local_calls import counted, syncs

NAME = "library/costs"
STRACE = shutil.which("strace")

pytestmark = pytest.mark.skipif(system._openat2() is None, reason="the system has no openat2, or forbids it")


def digest(data: bytes) -> str:
    """Return the sha256."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def contents(size: int) -> list[bytes]:
    """Return three contents whose blobs are in one directory."""
    all_of_them = (number.to_bytes(8, "big").ljust(size, b"-") for number in itertools.count())
    return list(itertools.islice((data for data in all_of_them if digest(data).startswith("sha256:00")), 3))


def straight(service: LayerService, data: bytes, wanted: str) -> Layer:
    """Store a layer: what most uploads are."""
    upload = service.upload(NAME)
    upload.write(data)
    return upload.finish(wanted)


def in_two_requests(service: LayerService, data: bytes, wanted: str) -> Layer:
    """Begin and close; resume, write and finish: what POST and PUT of a registry do."""
    upload = service.upload(NAME)
    upload.close()
    upload = service.resume(NAME, upload.uuid)
    upload.write(data)
    return upload.finish(wanted)


@pytest.fixture
def service(tmp_path: Path) -> LayerService:
    """Return a service on a warm store."""
    service = LayerService(LocalDriver(tmp_path))
    for data in contents(10 << 10)[:2]:
        straight(service, data, digest(data)).close()
        in_two_requests(service, data[::-1], digest(data[::-1])).close()
    return service


@pytest.fixture
def driver(tmp_path: Path) -> CheckedDriver:
    """Return a driver that knows ``d`` to be durable."""
    driver = CheckedDriver(LocalDriver(tmp_path))
    driver.put("d/old", b"old")
    return driver


def test_a_small_layer_costs_54_system_calls_and_6_syncs(service: LayerService) -> None:
    """Two puts and a look; the target was 60 calls and 8 syncs."""
    data = contents(4096)[2]
    wanted = digest(data)
    with counted() as calls:
        layer = straight(service, data, wanted)
    assert calls == {
        "urandom": 1,  # the upload's id
        "getpid": 2,  # of a put: whose session it is
        "stat": 3,  # the root, once for each call of the driver
        "openat2": 9,  # of a put the directory, the lock, and the record that is not there; of the look two records
        "fstat": 4,
        "name_to_handle_at": 4,  # of a put both directories: whether they are those that are known to be durable
        "open": 4,  # of a put the file, and the directory that was made
        "mkdir": 2,
        "pwrite": 2,
        "utime": 2,
        "rename": 2,
        "fsync": 6,
        "flock": 4,
        "close": 9,
    }
    assert calls.total() <= 60
    layer.close()


@pytest.mark.skipif(
    STRACE is None and "LAYERSTORE_CI" not in os.environ, reason="strace is not installed; the calls are counted here"
)
def test_the_kernel_counts_as_many_system_calls(tmp_path: Path) -> None:
    """None is made behind the back of the count."""
    code = (
        "import os, test_local_costs as t; from pathlib import Path; from layerstore import LayerService;"
        "s = LayerService(t.LocalDriver(Path('store'))); a, b, c = t.contents(4096);"
        "t.straight(s, a, t.digest(a)); t.straight(s, b, t.digest(b)); d = t.digest(c);"
        "os.access('/begin', 0); layer = t.straight(s, c, d); os.access('/end', 0)"
    )
    trace = tmp_path / "trace"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [str(STRACE), "-o", str(trace), sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, env=env, check=True, timeout=120)
    _, _, during = trace.read_text().partition("/begin")
    names = Counter(re.findall(r"^(\w+)\(", during.partition("/end")[0], re.MULTILINE))
    names.subtract(["access", "faccessat2"] if names["faccessat2"] else ["access"])  # the mark of the end
    for noise in ("brk", "mmap", "munmap", "futex", "madvise"):  # the interpreter's own
        del names[noise]
    assert names.total() == 54, names
    assert names["fsync"] == 6


def test_a_layer_in_two_requests_costs_18_syncs(service: LayerService) -> None:
    """Of each step as many as its promise needs: none for a record, nor for bytes that are known to be durable."""
    data = contents(10 << 10)[2]
    wanted = digest(data)
    with counted() as calls:
        in_two_requests(service, data, wanted).close()
    assert syncs(calls) == 18


@pytest.mark.parametrize(("key", "size", "count"), [("d/new", 10, 19), ("d/old", 10, 19), ("e/new", 10, 22)])
def test_what_a_put_costs(driver: CheckedDriver, key: str, size: int, count: int) -> None:
    """Two syncs, and one for a new directory; each directory is opened once."""
    with counted() as calls:
        driver.put(key, bytes(size))
    assert calls.total() == count, calls
    assert syncs(calls) == (3 if key.startswith("e/") else 2)


def test_what_a_stat_costs(driver: CheckedDriver) -> None:
    """The root, the object, and a look before and after for the record that says where it ends."""
    with counted() as calls:
        driver.stat("d/old")
    assert calls == Counter(stat=1, openat2=3, fstat=2, close=1)


def test_an_empty_object_that_is_written_to_costs_two_syncs(driver: CheckedDriver) -> None:
    """An upload that was begun and closed is empty: nothing of it has to be kept by a record."""
    driver.put("d/empty", b"")
    with counted() as calls, driver.open_writer("d/empty") as writer:
        writer.write(b"bytes")
    assert syncs(calls) == 2


def test_an_appending_flush_costs_five_syncs_and_the_next_one_two(driver: CheckedDriver) -> None:
    """The record and its name, the bytes, the object's name, the record; then the bytes and the record."""
    writer = driver.open_writer("d/old")
    found = []
    for _ in range(2):
        with counted() as calls:
            writer.write(b"bytes")
            writer.flush()
        found.append(syncs(calls))
    writer.close()
    assert found == [5, 2]


@pytest.mark.parametrize(("flushed", "count"), [(True, 2), (False, 3)])
def test_a_move_syncs_bytes_only_if_they_may_not_be_durable(driver: CheckedDriver, flushed: bool, count: int) -> None:
    """What this driver has flushed, and nobody has changed since, is durable; what another put there may not be."""
    if flushed:
        with driver.open_writer("d/new") as writer:
            writer.write(b"bytes")
    else:
        driver.put("d/new", b"bytes")
    with counted() as calls:
        driver.move("d/new", "d/moved")
    assert syncs(calls) == count


def test_a_move_syncs_bytes_that_another_program_has_changed(driver: CheckedDriver, tmp_path: Path) -> None:
    """Whatever this driver has flushed before."""
    with driver.open_writer("d/new") as writer:
        writer.write(b"bytes")
    (tmp_path / "d" / "new").write_bytes(b"other bytes")
    with counted() as calls:
        driver.move("d/new", "d/moved")
    assert syncs(calls) == 3


def test_a_deletion_looks_into_each_directory_once(driver: CheckedDriver) -> None:
    """And into none where it has found an object."""
    for key in ("e/a", "e/b/c", "e/b/d/e"):
        driver.put(key, b"")
    with counted() as calls:
        driver.delete("e")
    assert calls["scandir"] == 3
    with counted() as calls:
        driver.delete("d/old")
    assert calls["scandir"] == 0


@pytest.mark.parametrize("act", ["put", "flush of a new object"])
def test_no_lock_is_held_while_the_disk_works(driver: CheckedDriver, act: str) -> None:
    """Locks are shared by keys: whoever waits for one waits for no sync, nor for a directory that is made."""
    held = []

    def watch(name: str) -> None:
        if name in ("fsync", "fdatasync", "mkdir"):
            held.append(locks._held.any)

    with counted(watch):
        if act == "put":
            driver.put("new/directory/key", b"bytes")
        else:
            with driver.open_writer("new/directory/key") as writer:
                writer.write(b"bytes")
    assert len(held) >= 6
    assert not any(held)

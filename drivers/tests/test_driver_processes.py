"""The driver contract on every driver that declares ``shared``: what another process sees, fences and leaves behind."""

from collections.abc import Callable

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import FencedError

InChild = Callable[[str], int]


def test_another_process_sees_and_changes_the_same_store(driver: CheckedDriver, in_child: InChild) -> None:
    """What was put here is read there, and what was flushed there is read here (C3)."""
    driver.put("a", b"here")
    assert in_child("with driver.open_writer('b') as writer: writer.write(driver.get('a', 9) + b' and there')") == 0
    assert driver.get("b", 99) == b"here and there"


def test_another_process_fences(driver: CheckedDriver, other: CheckedDriver, in_child: InChild) -> None:
    """Writers are fenced from another process as from another thread, and only those (C3, F1, F2)."""
    keys = ["opened/a", "put/a", "deleted/a", "moved/a", "left/a"]
    writers = [driver.open_writer(key) for key in keys]
    for writer in writers:
        writer.write(b"old")
        writer.flush()
        writer.write(b" more")
    code = """
driver.open_writer('opened/a')
driver.put('put/a', b'new')
driver.delete('deleted')
driver.move('moved/a', 'b')
"""
    assert in_child(code) == 0
    for writer in writers[:-1]:
        with pytest.raises(FencedError):
            writer.close()
    writers[-1].close()
    assert [other.get(key, 99) for key in ("opened/a", "put/a", "b", "left/a")] == [b"old", b"new", b"old", b"old more"]
    assert other.find("deleted/a") is other.find("moved/a") is None


def test_a_killed_writer_leaves_nothing(driver: CheckedDriver, other: CheckedDriver, in_child: InChild) -> None:
    """What a process wrote since its last flush is gone with it, and it is in nobody's way (W7, F1)."""
    code = """
import os, signal
for key in ("a", "new"):
    writer = driver.open_writer(key)
    writer.write(b"kept" if key == "a" else b"lost")
    if key == "a":
        writer.flush()
        writer.write(b"lost")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert in_child(code) == -9
    assert list(other.list("")) == ["a"]
    with driver.open_writer("a") as writer:
        writer.write(b"+")
    assert other.get("a", 99) == b"kept+"

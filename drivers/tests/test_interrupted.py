"""Ctrl-C, or any exception that a signal raises, in the middle of a driver's step: what is published stays as it is."""

import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

import layerstore
from layerstore.checked import CheckedDriver
from layerstore.errors import BackendUnavailableError, DriverError, LayerStoreError, UnsupportedOperationError
from layerstore_drivers.local import system
from layerstore_drivers.local.record import OwnRecord
from layerstore_drivers.local.system import DIRECTORY
from layerstore_drivers.local.tree import Tree
from layerstore_drivers.memory import MemoryDriver, _Store

NEW = b"new" * 1000
DIGEST = f"sha256:{sha256(NEW).hexdigest()}"


def interrupted(method: Callable[..., object], call: int = 1) -> Callable[..., object]:
    """Return a method of which one call, by its number, is interrupted when it has done its work."""
    calls = count(1)

    def once(*args: object, **kwargs: object) -> object:
        result = method(*args, **kwargs)
        if next(calls) == call:
            raise KeyboardInterrupt
        return result

    return once


def overwrite(writer: layerstore.driver.Writer) -> None:
    """Write over the start, as somebody does who takes no notice of refusals."""
    writer.seek(0)
    try:
        writer.write(b"late")
    except DriverError:
        return


def test_a_layer_outlives_the_upload_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handle whose flush was interrupted, and that is written to again, changes no layer that was finished since."""
    store = layerstore.open(f"local:{tmp_path}")
    upload = store.upload("demo")
    upload.flush()
    upload.write(NEW)
    monkeypatch.setattr(os, "rename", interrupted(os.rename))
    with pytest.raises(KeyboardInterrupt):
        upload.flush()
    layer = store.resume("demo", upload.uuid).finish(DIGEST)
    upload.seek(0)
    with pytest.raises(LayerStoreError):  # noqa: PT012  (the flush, for so few bytes are gathered)
        upload.write(b"late")
        upload.flush()
    assert layer.read() == NEW


@pytest.mark.parametrize("step", ["rename", "tell_grown"])
def test_a_flush_that_was_interrupted_is_the_last(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local writer whose flush was interrupted when it may have published accepts no more, and changes nothing."""
    driver = layerstore.open_driver(f"local:{tmp_path}")
    driver.put("key", b"old")
    writer = driver.open_writer("key")
    writer.seek(0 if step == "rename" else 3)
    writer.write(NEW)
    where = {"rename": os, "tell_grown": OwnRecord}[step]
    monkeypatch.setattr(where, step, interrupted(getattr(where, step)))
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    seen = driver.get("key", 10_000)
    with pytest.raises(BackendUnavailableError, match="interrupted"):
        writer.write(b"late")
    assert driver.get("key", 10_000) == seen


WALKS: dict[str, Callable[[Tree], object]] = {
    "open": lambda tree: os.close(tree.open("a/b/c", DIRECTORY, "a/b/c/key")),
    "sync_lowest": lambda tree: tree.sync_lowest("a/b/c/key"),
    "refuse_obstacles": lambda tree: tree.refuse_obstacles("a/file/key"),
}


@pytest.mark.parametrize("call", range(1, 6))
@pytest.mark.parametrize("walk", WALKS)
def test_an_interruption_closes_no_descriptor_twice(
    walk: str, call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor is closed once, whatever comes after: its number may be another thread's file by then."""
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    tree = Tree(tmp_path)
    tree.open_root("")
    monkeypatch.setattr(system, "_openat2", lambda: None)  # step by step
    monkeypatch.setattr(os, "close", interrupted(os.close, call))
    with suppress(KeyboardInterrupt, UnsupportedOperationError):  # and not that there is no such descriptor
        WALKS[walk](tree)


def test_an_interrupted_flush_to_memory_hands_its_blocks_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer in memory whose flush was interrupted when it had published writes no more to what others see."""
    driver = CheckedDriver(MemoryDriver())
    writer = driver.open_writer("key")
    writer.write(bytearray(NEW))
    monkeypatch.setattr(_Store, "replace", interrupted(_Store.replace))
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    overwrite(writer)
    assert driver.get("key", 10_000) == NEW


@pytest.mark.parametrize("step", ["replace", "remove"])
def test_an_interrupted_move_in_memory_loses_no_bytes(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A move in memory, cut off after either half, leaves the bytes under a key at least, and both can be deleted."""
    driver = CheckedDriver(MemoryDriver())
    driver.put("source", NEW)
    monkeypatch.setattr(_Store, step, interrupted(getattr(_Store, step)))
    with pytest.raises(KeyboardInterrupt):
        driver.move("source", "target")
    assert NEW in [driver.get(key, 10_000) for key in ("source", "target") if driver.find(key)]
    driver.delete("source")
    driver.delete("target")
    assert list(driver.list("")) == []

"""How the local driver is found and opened."""

import os
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import AccessDeniedError, BackendUnavailableError, InvalidURLError
from layerstore.url import StoreURL
from layerstore_drivers import local
from layerstore_drivers.local import LocalDriver


def test_the_plugin_hands_out_the_driver() -> None:
    """The module of the entry point answers the hook with the driver class."""
    assert local.layerstore_driver() is LocalDriver


def test_an_absolute_path_is_the_root(tmp_path: Path) -> None:
    """``local:///path`` stores in plain files below the path (O1)."""
    driver = LocalDriver.open(StoreURL.parse(f"local://{tmp_path}/store"))
    driver.put("a/b", b"bytes")
    assert (tmp_path / "store" / "a" / "b").read_bytes() == b"bytes"


def test_a_relative_path_is_of_the_directory_it_was_opened_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``local:path`` means the working directory of the opening, wherever the process goes later (O1)."""
    monkeypatch.chdir(tmp_path)
    driver = LocalDriver.open(StoreURL.parse("local:my%20store"))
    monkeypatch.chdir("/")
    driver.put("a", b"bytes")
    assert (tmp_path / "my store" / "a").read_bytes() == b"bytes"


@pytest.mark.parametrize("url", [StoreURL("local", "host", "/x"), StoreURL("local"), StoreURL("local", None, "a\0b")])
def test_a_url_without_a_local_path_is_refused(url: StoreURL) -> None:
    """A host, no path, and a path that no file can have are no roots (O2)."""
    with pytest.raises(InvalidURLError):
        LocalDriver.open(url)


def test_opening_and_failing_reads_make_nothing(tmp_path: Path) -> None:
    """Only writing makes the root; until then the backend is missing, which is not the same as empty (E2, O2)."""
    driver = CheckedDriver(LocalDriver(tmp_path / "root"))
    for act in (driver.stat, driver.open_reader, driver.delete, lambda key: list(driver.list(key))):
        with pytest.raises(BackendUnavailableError):
            act("key")
    with pytest.raises(BackendUnavailableError):
        driver.move("key", "other")
    assert not (tmp_path / "root").exists()


def test_a_root_that_is_a_file_is_no_backend(tmp_path: Path) -> None:
    """A file where the root should be is a missing backend, in reading and in writing (E2)."""
    (tmp_path / "file").write_bytes(b"")
    driver = CheckedDriver(LocalDriver(tmp_path / "file"))
    with pytest.raises(BackendUnavailableError):
        driver.stat("key")
    with pytest.raises(BackendUnavailableError):
        driver.put("key", b"")


def test_a_special_file_is_no_object(tmp_path: Path) -> None:
    """A fifo is neither read nor listed nor replaced, and nobody waits for its other end (E1, L5)."""
    os.mkfifo(tmp_path / "pipe")
    driver = CheckedDriver(LocalDriver(tmp_path))
    assert list(driver.list("")) == []
    for key in ("pipe", "pipe/below"):
        with pytest.raises(AccessDeniedError, match="a special file is in the way: pipe"):
            driver.find(key)
        with pytest.raises(AccessDeniedError):
            driver.put(key, b"")
        with pytest.raises(AccessDeniedError):
            driver.open_writer(key)

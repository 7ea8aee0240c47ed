"""No symlink below the root is followed, wherever it stands and wherever it leads."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import Foreign
from layerstore.errors import AccessDeniedError, DriverError, PathNotFoundError
from layerstore_drivers.local import LocalDriver, listing, system

pytestmark = pytest.mark.usefixtures("road")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a directory that is not the store's, with a file in it."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_bytes(b"secret")
    return directory


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Path:
    """Return a root with links out of it and within: to a file, to a directory, to nothing, to itself."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "dir").mkdir()
    (root / "dir" / "real").write_bytes(b"real")
    targets = {"file": outside / "secret", "out": outside, "none": outside / "none", "in": root / "dir"}
    for name, target in targets.items():
        (root / name).symlink_to(target)
    (root / "loop").symlink_to(root / "loop")
    return root


LINKS = ["file", "out", "none", "in", "loop", "out/secret", "in/real", "none/x", "out/sub/new"]


@pytest.mark.parametrize("key", LINKS)
def test_what_a_symlink_leads_to_is_not_read(root: Path, key: str) -> None:
    """A symlink in the place of an object, or above it, is a refusal that names it; nothing is below it (E1, L3)."""
    driver = CheckedDriver(LocalDriver(root))
    named = f"a symlink is in the way: {key.partition('/')[0]}"
    for read in (driver.open_reader, driver.stat, lambda key: driver.move(key, "stolen")):
        with pytest.raises(AccessDeniedError, match=named):
            read(key)
    assert list(driver.list(key)) == []


@pytest.mark.parametrize("key", ["dir", "dir/real/below", "none.such", "dir/none/such"])
def test_what_is_no_object_for_another_reason_is_not_found(root: Path, key: str) -> None:
    """A directory, what is below an object, and what is missing are no refusal (R3, S3)."""
    driver = CheckedDriver(LocalDriver(root))
    for read in (driver.open_reader, driver.stat, lambda key: driver.move(key, "stolen")):
        with pytest.raises(PathNotFoundError):
            read(key)


@pytest.mark.parametrize("key", LINKS)
@pytest.mark.parametrize("act", ["put", "write", "move"])
def test_nothing_is_written_through_a_symlink(root: Path, outside: Path, key: str, act: str) -> None:
    """A symlink in the way of a write is a refusal, and everything stays as it is (E4)."""
    driver = CheckedDriver(LocalDriver(root))
    writes: dict[str, Callable[[], object]] = {
        "put": lambda: driver.put(key, b"new"),
        "write": lambda: driver.open_writer(key),
        "move": lambda: driver.move("dir/real", key),
    }
    with pytest.raises(AccessDeniedError):
        writes[act]()
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert (root / "dir" / "real").read_bytes() == b"real"


def test_symlinks_are_not_listed(root: Path) -> None:
    """A listing has real files and directories only (L5)."""
    assert list(CheckedDriver(LocalDriver(root)).list("")) == ["dir/"]


@pytest.mark.parametrize("key", LINKS)
def test_deleting_a_symlink_deletes_nothing_behind_it(root: Path, outside: Path, key: str) -> None:
    """What is behind a symlink stays, and the symlink is no object that could go (D1, D2)."""
    CheckedDriver(LocalDriver(root)).delete(key)
    assert (outside / "secret").exists()
    assert (root / "dir" / "real").exists()
    assert (root / key.split("/", maxsplit=1)[0]).is_symlink()


def test_symlinks_below_a_prefix_stay_when_it_is_deleted(root: Path, outside: Path) -> None:
    """Another program made them; the objects beside them go, and where they lead nothing happens (D5)."""
    for name in ("file", "out"):
        (root / "dir" / name).symlink_to(outside / ("secret" if name == "file" else ""))
    CheckedDriver(LocalDriver(root)).delete("dir")
    assert sorted(path.name for path in (root / "dir").iterdir()) == ["file", "out"]
    assert (outside / "secret").exists()


def test_a_scan_has_the_symlinks_that_a_listing_passes_over(root: Path) -> None:
    """Each by its name, in one pass with what a listing has (L6)."""
    symlinks = [Foreign(name, "a symlink") for name in ("file", "in", "loop", "none", "out")]
    assert list(CheckedDriver(LocalDriver(root)).scan("")) == ["dir/", *symlinks]


@pytest.mark.parametrize("prefix", LINKS)
def test_a_symlink_in_the_place_of_a_prefix_is_scanned(root: Path, prefix: str) -> None:
    """So is one in the place of a segment above: what should be there may be behind it (L6)."""
    found = list(CheckedDriver(LocalDriver(root)).scan(prefix))
    assert found == [Foreign(prefix.split("/", maxsplit=1)[0], "a symlink")]


@pytest.mark.parametrize("prefix", ["missing", "dir/missing/x", "dir/real", "dir/real/x"])
def test_where_nothing_is_in_the_way_nothing_is_scanned(root: Path, prefix: str) -> None:
    """Below what is missing, and below an object, there is nothing (L3, L6)."""
    assert list(CheckedDriver(LocalDriver(root)).scan(prefix)) == []


def test_a_directory_that_holds_a_symlink_and_no_object_is_foreign(root: Path, outside: Path) -> None:
    """The scan names what it found in it, however deep, and whatever is harmless beside it (L6)."""
    (root / "empty" / "deep").mkdir(parents=True)
    (root / "empty" / ".DS_Store").write_bytes(b"")
    (root / "empty" / "deep" / "link").symlink_to(outside)
    found = list(CheckedDriver(LocalDriver(root)).scan(""))
    assert found[:2] == ["dir/", Foreign("empty/deep/link", "a symlink")]


def test_special_files_are_foreign(root: Path) -> None:
    """A FIFO and a socket are no objects, are not opened, and stay (L6, D5)."""
    os.mkfifo(root / "dir" / "fifo")
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(root / "dir"):
        bound.bind("socket")
    driver = CheckedDriver(LocalDriver(root))
    special = [Foreign(f"dir/{name}", "a special file") for name in ("fifo", "socket")]
    assert list(driver.scan("dir")) == [special[0], "dir/real", special[1]]
    assert list(driver.scan("dir/fifo/x")) == special[:1]
    driver.delete("dir")
    assert list(driver.scan("dir")) == special


def test_a_directory_replaced_by_a_symlink_while_it_is_scanned_is_foreign(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there a moment ago, and what it held may be in use (L6)."""
    opened = system.open_beneath

    def swap(directory: int, path: str, flags: int) -> int:
        (root / "dir").rename(root / "moved")
        (root / "dir").symlink_to(root / "moved")
        return opened(directory, path, flags)

    monkeypatch.setattr(listing, "open_beneath", swap)
    assert next(CheckedDriver(LocalDriver(root)).scan("")) == Foreign("dir", "replaced while it was looked at")


def test_a_symlink_replaced_by_a_directory_while_it_is_scanned_is_foreign(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the directory holds was not seen (L6)."""
    found = listing.in_the_way

    def swap(directory: int, prefix: str) -> Foreign | None:
        (root / "in").unlink()
        (root / "in").mkdir()
        return found(directory, prefix)

    monkeypatch.setattr("layerstore_drivers.local.driver.in_the_way", swap)
    assert list(CheckedDriver(LocalDriver(root)).scan("in")) == [Foreign("in", "replaced while it was looked at")]


@pytest.mark.parametrize("name", ["lost+found", "other"])
def test_a_directory_that_may_not_be_read_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nobody knows what it holds; but for the one that is root's in every file system (L6, E1)."""
    (root / name).mkdir()
    opened = system.open_beneath

    def refuse(directory: int, path: str, flags: int) -> int:
        if path == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(directory, path, flags)

    monkeypatch.setattr(listing, "open_beneath", refuse)
    driver = CheckedDriver(LocalDriver(root))
    if name == "lost+found":
        assert next(driver.scan("")) == next(driver.list("")) == "dir/"
        return
    with pytest.raises(AccessDeniedError):
        list(driver.scan(""))


def test_a_directory_in_the_place_of_a_link_is_foreign(root: Path) -> None:
    """Empty it would be nothing, were it not for the link that should be there (L6)."""
    area = "docker/registry/v2/repositories/link/_layers"
    link = f"{area}/sha256/{'0' * 64}/link"
    (root / link).mkdir(parents=True)
    (root / "docker/registry/v2/repositories/link/_manifests/tags/link").mkdir(parents=True)
    found = [Foreign(f"{link}/", "a directory in the place of a link")]
    driver = CheckedDriver(LocalDriver(root))
    assert list(driver.scan(f"{area}/sha256")) == found
    assert list(driver.scan(f"{area}/sha256/{'0' * 64}")) == found
    driver.delete(area)
    assert list(driver.scan("docker")) == []


def test_the_private_area_is_no_way_out(root: Path, outside: Path) -> None:
    """Not even the driver's own directory may be a symlink."""
    (root / ".layerstore").symlink_to(outside)
    with pytest.raises(DriverError):
        CheckedDriver(LocalDriver(root)).put("a", b"")
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_the_root_itself_may_be_a_symlink(root: Path, tmp_path: Path) -> None:
    """Where the root is, is the caller's business."""
    (tmp_path / "alias").symlink_to(root)
    assert CheckedDriver(LocalDriver(tmp_path / "alias")).get("dir/real", 9) == b"real"

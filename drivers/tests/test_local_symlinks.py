"""No symlink below the root is followed, wherever it stands and wherever it leads."""

from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import AccessDeniedError, DriverError, PathNotFoundError
from layerstore_drivers.local import LocalDriver

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
    """Behind a symlink, and under its own name, there is nothing (R3, S3, L3)."""
    driver = CheckedDriver(LocalDriver(root))
    for read in (driver.open_reader, driver.stat):
        with pytest.raises(PathNotFoundError):
            read(key)
    assert list(driver.list(key)) == []
    with pytest.raises(PathNotFoundError):
        driver.move(key, "stolen")


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


def test_a_prefix_is_deleted_with_its_symlinks_but_not_with_their_targets(root: Path, outside: Path) -> None:
    """The links below a prefix go with it, and lead nowhere meanwhile (D1)."""
    for name in ("file", "out"):
        (root / "dir" / name).symlink_to(outside / ("secret" if name == "file" else ""))
    CheckedDriver(LocalDriver(root)).delete("dir")
    assert not (root / "dir").exists()
    assert (outside / "secret").exists()


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

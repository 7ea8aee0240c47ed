"""Files that another program, such as a registry, keeps below the same root."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

import layerstore
from layerstore.checked import CheckedDriver
from layerstore.driver import Foreign, Writer
from layerstore.errors import FencedError, LayerInvalidDigestError, UnsupportedOperationError
from layerstore_drivers.local import LocalDriver

FILE, DIRECTORY = "a file whose name is no key", "a directory whose name is no key"

pytestmark = pytest.mark.usefixtures("road")


@pytest.fixture
def driver(tmp_path: Path) -> CheckedDriver:
    """Return a driver on a root where another program has left a file."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data").write_bytes(b"foreign")
    return CheckedDriver(LocalDriver(tmp_path))


def test_a_foreign_file_is_an_object(driver: CheckedDriver) -> None:
    """It is read, described and listed like any other; reader, stat and writer agree on it (S2)."""
    assert driver.get("a/data", 99) == b"foreign"
    assert list(driver.list("a")) == ["a/data"]
    with driver.open_reader("a/data") as reader:
        assert reader.version == driver.stat("a/data").version == driver.open_writer("a/data").version


def test_a_foreign_file_is_appended_to_in_place(driver: CheckedDriver, tmp_path: Path) -> None:
    """An append copies nothing: it is the same file after it (W6)."""
    inode = (tmp_path / "a" / "data").stat().st_ino
    with driver.open_writer("a/data") as writer:
        writer.write(b" and ours")
    assert (tmp_path / "a" / "data").read_bytes() == b"foreign and ours"
    assert (tmp_path / "a" / "data").stat().st_ino == inode


def test_a_foreign_file_is_rewritten(driver: CheckedDriver, tmp_path: Path) -> None:
    """Bytes in the middle are replaced, for whoever looks, at the flush and not before (W5, W6)."""
    with driver.open_writer("a/data") as writer:
        writer.seek(3)
        writer.write(b"EI")
        assert (tmp_path / "a" / "data").read_bytes() == b"foreign"
    assert (tmp_path / "a" / "data").read_bytes() == b"forEIgn"


def test_nothing_is_left_beside_an_object(driver: CheckedDriver, tmp_path: Path) -> None:
    """After the writer is closed, another program sees the bytes as a plain file, and no other file."""
    with driver.open_writer("a/new") as writer:
        writer.write(b"published")
    writer = driver.open_writer("a/new")
    writer.write(b" and not")
    writer.discard()
    assert sorted(os.listdir(tmp_path / "a")) == ["data", "new"]
    assert (tmp_path / "a" / "new").read_bytes() == b"published"


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"+")


def _write(path: Path, data: bytes, offset: int) -> None:
    """Write in place, and set the time of the last change of the bytes back, as ``rsync --inplace --times`` does."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace(path: Path) -> None:
    """Replace by a file of the same size and time."""
    status, new = path.stat(), path.with_name("new")
    new.write_bytes(b"x" * status.st_size)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)


def _anew(path: Path) -> None:
    """Delete, and make anew with the same bytes and time."""
    status, content = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


TAMPERING: dict[str, Callable[[Path], object]] = {
    "in place": lambda path: _write(path, b"X", 1),
    "appended": _append,
    "replaced": _replace,
    "made anew": _anew,
}


def _opened(driver: CheckedDriver) -> Writer:
    return driver.open_writer("a/data")


def _flushed(driver: CheckedDriver) -> Writer:
    writer = driver.open_writer("a/data")
    writer.write(b" and ours")
    writer.flush()
    return writer


def _written(driver: CheckedDriver) -> Writer:
    writer = _flushed(driver)
    writer.write(b" and not yet")
    return writer


def _rewritten(driver: CheckedDriver) -> Writer:
    writer = _flushed(driver)
    writer.seek(0)
    writer.write(b"F")
    writer.flush()
    return writer


def _taken_over(driver: CheckedDriver) -> Writer:
    """Leave the object to a second writer, whose record says which version the file is that was cut."""
    _written(driver).discard()
    return driver.open_writer("a/data")


WRITERS: dict[str, Callable[[CheckedDriver], Writer]] = {
    "opened": _opened,
    "flushed": _flushed,
    "written": _written,
    "rewritten": _rewritten,
    "taken over": _taken_over,
}


@pytest.mark.parametrize("change", TAMPERING)
@pytest.mark.parametrize("writing", WRITERS)
def test_a_change_that_hides_itself_is_noticed(
    driver: CheckedDriver, tmp_path: Path, writing: str, change: str
) -> None:
    """Keeping size and times, another program changes the version, whatever a writer has done (X1, X2)."""
    writer = WRITERS[writing](driver)
    before = driver.stat("a/data").version
    assert before == writer.version
    TAMPERING[change](tmp_path / "a" / "data")
    assert driver.stat("a/data").version != before
    with pytest.raises(FencedError):
        driver.move("a/data", "b", version=before)
    with pytest.raises(FencedError):
        writer.flush()
    writer.discard()
    assert driver.stat("a/data").version != before
    assert driver.open_writer("a/data").version != before


@pytest.mark.parametrize("change", ["in place", "appended"])
@pytest.mark.parametrize("writing", WRITERS)
def test_a_writer_that_writes_on_does_not_hide_a_change(
    driver: CheckedDriver, tmp_path: Path, writing: str, change: str
) -> None:
    """What it does to the file afterwards makes nobody take the other's bytes for those of its version (X1, X2)."""
    writer = WRITERS[writing](driver)
    before = writer.version
    writer.seek(0, os.SEEK_END)
    TAMPERING[change](tmp_path / "a" / "data")
    with pytest.raises(FencedError):
        writer.write(b"more")
    with pytest.raises(FencedError):
        writer.flush()
    assert driver.stat("a/data").version != before
    writer.discard()
    assert driver.stat("a/data").version != before


@pytest.mark.parametrize("change", TAMPERING)
def test_a_change_of_what_a_killed_writer_left_is_noticed(driver: CheckedDriver, tmp_path: Path, change: str) -> None:
    """What the next driver cuts off, and the note that it leaves, do not vouch for bytes of another program (X1)."""
    writer = _written(driver)
    for session in (tmp_path / ".layerstore" / "sessions").iterdir():
        session.unlink()
    for _ in range(2):
        before = driver.stat("a/data").version
        TAMPERING[change](tmp_path / "a" / "data")
        CheckedDriver(LocalDriver(tmp_path)).put("other", b"")
        assert driver.stat("a/data").version != before
    writer.discard()


def test_what_another_program_appends_to_what_was_flushed_is_its_own(driver: CheckedDriver, tmp_path: Path) -> None:
    """It is seen at once, and neither the writer that was opened before nor the next one cuts it off (X1)."""
    writer = _flushed(driver)
    _append(tmp_path / "a" / "data")
    assert driver.get("a/data", 99) == b"foreign and ours+"
    writer.discard()
    driver.open_writer("a/data").discard()
    assert driver.get("a/data", 99) == b"foreign and ours+"


def test_a_saved_hash_state_of_other_bytes_is_not_believed(tmp_path: Path) -> None:
    """An upload whose bytes another program has replaced, keeping size and times, finishes by what is there (X1)."""
    store = layerstore.open(f"local:{tmp_path}")
    upload = store.upload("demo")
    upload.write(b"these bytes")
    upload.close()
    (data,) = tmp_path.glob("**/_uploads/*/data")
    _write(data, b"those", 0)
    with pytest.raises(LayerInvalidDigestError):
        store.resume("demo", upload.uuid).finish(f"sha256:{sha256(b'these bytes').hexdigest()}")
    again = store.resume("demo", upload.uuid)
    assert again.finish(f"sha256:{sha256(b'those bytes').hexdigest()}").read() == b"those bytes"


CHANGES: dict[str, Callable[[Path], object]] = {
    "replaced": lambda path: (path.with_name("t").write_bytes(b"foreign"), path.with_name("t").rename(path)),
    "appended": _append,
    "emptied": lambda path: path.write_bytes(b""),
    "removed": lambda path: path.unlink(),
    "moved": lambda path: path.rename(path.with_name("elsewhere")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_another_program_fences(driver: CheckedDriver, tmp_path: Path, change: str) -> None:
    """A writer replaces the version it was opened at and nothing else, whoever made the other (F4)."""
    writer = driver.open_writer("a/data")
    before = driver.stat("a/data").version
    CHANGES[change](tmp_path / "a" / "data")
    found = driver.find("a/data")
    assert found is None or found.version != before
    with pytest.raises(FencedError):
        writer.close()
    assert driver.find("a/data") == found


@pytest.mark.parametrize("change", ["replaced", "emptied", "removed", "moved"])
def test_a_change_while_an_append_is_pending_fences(driver: CheckedDriver, tmp_path: Path, change: str) -> None:
    """Also where bytes were appended in place and not yet flushed, the change stands (F4)."""
    writer = driver.open_writer("a/data")
    writer.write(b"pending")
    CHANGES[change](tmp_path / "a" / "data")
    found = driver.find("a/data")
    with pytest.raises(FencedError):
        writer.close()
    assert driver.find("a/data") == found


NAMES = [".hidden", "with space", "pct%41", "umläut"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_no_keys_are_not_listed(driver: CheckedDriver, tmp_path: Path, name: str) -> None:
    """Foreign names are in no listing and make no prefix; a scan has them (L5, L6)."""
    (tmp_path / "b" / name).mkdir(parents=True)
    for directory in (tmp_path, tmp_path / "b" / name):
        (directory / f"{name}.file").write_bytes(b"")
    assert list(driver.list("")) == ["a/"]
    file, inside = Foreign(f"{name}.file", FILE), Foreign(f"b/{name}/", DIRECTORY)
    assert set(driver.scan("")) == {"a/", file, inside}
    assert list(driver.scan("b")) == [inside]


@pytest.mark.parametrize("name", NAMES)
def test_what_no_key_names_stays_when_its_prefix_is_deleted(driver: CheckedDriver, tmp_path: Path, name: str) -> None:
    """Objects and empty directories go; what another program has put beside them does not (D5)."""
    for directory in ("b/c", f"b/{name}", "b/d/e"):
        (tmp_path / directory).mkdir(parents=True)
    for file in ("b/object", "b/c/object", f"b/c/{name}", f"b/{name}/object"):
        (tmp_path / file).write_bytes(b"")
    driver.delete("b")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("b/**/*")}
    assert left == {"b/c", f"b/c/{name}", f"b/{name}", f"b/{name}/object"}


def test_what_is_too_deep_for_a_key_stays(driver: CheckedDriver, tmp_path: Path) -> None:
    """A path of more than 200 segments is no key: it is foreign (L6, D5)."""
    deep = "/".join("d" * 200)
    (tmp_path / deep).mkdir(parents=True)
    (tmp_path / deep / "file").write_bytes(b"")
    assert list(driver.scan("d")) == [Foreign(f"{deep}/file", FILE)]
    driver.delete("d")
    assert (tmp_path / deep / "file").exists()


def test_a_name_that_is_no_text_can_be_printed(driver: CheckedDriver, tmp_path: Path) -> None:
    """It is escaped: messages and JSON hold it (L6)."""
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    found = [child for child in driver.scan("") if isinstance(child, Foreign)]
    assert found == [Foreign("caf\\xe9/", DIRECTORY)]
    found[0].name.encode("ascii")


def test_the_drivers_own_directory_is_not_foreign(driver: CheckedDriver, tmp_path: Path) -> None:
    """At the top of the store, and nowhere else (L6)."""
    driver.put("b/object", b"")
    assert list(driver.scan("")) == ["a/", "b/"]
    (tmp_path / "b" / ".layerstore").mkdir()
    assert list(driver.scan("b")) == [Foreign("b/.layerstore/", DIRECTORY), "b/object"]


@pytest.mark.parametrize("name", [".DS_Store", "._link", ".nfs0000000001", "@eaDir/", "lost+found/", ".snapshot/"])
def test_what_is_harmless_is_passed_over_and_stays(driver: CheckedDriver, tmp_path: Path, name: str) -> None:
    """A directory that holds nothing else is nothing; what is open on an NFS could not be removed anyway (L6, D5)."""
    (tmp_path / "b" / "c").mkdir(parents=True)
    left = tmp_path / "b" / "c" / name
    left.mkdir() if name.endswith("/") else left.write_bytes(b"")
    assert [list(driver.scan(prefix)) for prefix in ("", "b", "b/c")] == [["a/"], [], []]
    driver.put("b/c/object", b"")
    driver.delete("b")
    assert list(driver.scan("")) == ["a/"]
    assert left.exists() == (name != "lost+found/"), "the name of that is a key's, so that empty it goes"


def test_what_may_be_a_repository_is_not_harmless(driver: CheckedDriver, tmp_path: Path) -> None:
    """A name is passed over only as the kind of thing that programs leave under it (L6)."""
    for name in ("._layers", ".DS_Store"):
        (tmp_path / "b" / name).mkdir(parents=True)
    (tmp_path / "b" / "desktop.ini").symlink_to(tmp_path)
    assert [child.name for child in driver.scan("b") if isinstance(child, Foreign)] == [
        "b/.DS_Store/",
        "b/._layers/",
        "b/desktop.ini",
    ]


def test_directories_without_an_object_are_nothing(driver: CheckedDriver, tmp_path: Path) -> None:
    """They are not listed, and are out of the way of a key of their name (K3)."""
    (tmp_path / "b" / "c" / "d").mkdir(parents=True)
    assert list(driver.list("")) == ["a/"]
    driver.put("b", b"object")
    assert driver.get("b", 9) == b"object"


def test_a_foreign_file_is_not_removed_for_a_key_of_its_directorys_name(driver: CheckedDriver, tmp_path: Path) -> None:
    """What is no object, but no empty directory either, is left alone (C2)."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".mine").write_bytes(b"")
    with pytest.raises(UnsupportedOperationError):
        driver.put("b", b"")
    assert (tmp_path / "b" / ".mine").exists()


def test_an_object_as_deep_as_a_key_can_be(driver: CheckedDriver) -> None:
    """200 levels are written, found and deleted (K1)."""
    key = "/".join("d" * 200)
    driver.put(key, b"deep")
    assert list(driver.list("")) == ["a/", "d/"]
    assert driver.get(key, 9) == b"deep"
    driver.delete("d")
    assert list(driver.list("")) == ["a/"]


def test_a_segment_as_long_as_a_name_can_be(driver: CheckedDriver) -> None:
    """255 bytes leave no room for a suffix: whatever is kept for a writer is kept elsewhere (K1)."""
    key = "n" * 255
    with driver.open_writer(key) as writer:
        writer.write(b"bytes")
    assert driver.get(key, 9) == b"bytes"


def test_a_file_with_two_names_is_not_written_in_place(driver: CheckedDriver, tmp_path: Path) -> None:
    """Neither a link that another program made, nor half a move that a loss of power left, changes with an append."""
    (tmp_path / "b").hardlink_to(tmp_path / "a" / "data")
    with driver.open_writer("a/data") as writer:
        writer.write(b"+")
    assert driver.get("a/data", 9) == b"foreign+"
    assert (tmp_path / "b").read_bytes() == b"foreign"


def test_a_move_between_two_names_of_one_file_removes_the_source(driver: CheckedDriver, tmp_path: Path) -> None:
    """A rename would leave both (M1)."""
    (tmp_path / "b").hardlink_to(tmp_path / "a" / "data")
    driver.move("a/data", "b")
    assert list(driver.list("")) == ["b"]
    assert driver.get("b", 9) == b"foreign"

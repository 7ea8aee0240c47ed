"""Where pyfs URLs point, and that no message shows a password."""

from pathlib import Path

import pytest

from layerstore import InvalidURLError, LayerStoreError, StoreURL, open_driver
from layerstore.errors import BackendUnavailableError
from layerstore_drivers.pyfilesystem.address import Address

SECRET = "s3cret-and-long"


def address(url: str, **given: object) -> Address:
    """Read a URL and options, as the driver does."""
    parsed = StoreURL.parse(url)
    return Address.of(parsed, {**parsed.options, **given})


def test_a_server_is_read_from_the_url() -> None:
    """Host, port and directory come from the URL, user and password from options (O1)."""
    found = address("pyfs+ftp://files.example:2121/some//dir/?user=me&timeout=5", password=SECRET)
    assert (found.host, found.port, found.root) == ("files.example", 2121, "/some/dir")
    assert (found.user, found.password, found.timeout) == ("me", SECRET, 5)


def test_a_server_alone_is_its_standard_port_and_nobody_in_particular() -> None:
    """Without a port it is 21, without a user anonymous."""
    found = address("pyfs+ftp://[::1]")
    assert (found.host, found.port, found.root, found.user) == ("::1", 21, "", "anonymous")


@pytest.mark.parametrize(
    "url",
    [
        "pyfs:x",
        "pyfs+zip:///a.zip",
        "pyfs+mem://name/path",
        "pyfs+temp:path",
        "pyfs+osfs://host/path",
        "pyfs+osfs:relative",
        "pyfs+ftp:///dir",
        "pyfs+ftp://host:99999/dir",
        "pyfs+mem://name?user=me",
        "pyfs+ftp://host/dir?timeout=0",
        "pyfs+ftp://host/dir?timeout=soon",
    ],
)
def test_a_url_that_means_nothing_is_refused(url: str) -> None:
    """What a filesystem does not have is not passed over in silence (O2)."""
    with pytest.raises(InvalidURLError):
        open_driver(url)


def test_a_line_break_in_a_credential_is_refused_unseen() -> None:
    """No second FTP command is smuggled in by a password, and the password is not shown (E3)."""
    with pytest.raises(InvalidURLError, match="line break") as caught:
        open_driver("pyfs+ftp://host/dir", password=f"{SECRET}\r\nDELE x")
    assert SECRET not in str(caught.value)


def test_a_password_before_the_host_is_refused_unseen() -> None:
    """``user:password@host`` is no store URL, and the refusal does not repeat it (E3)."""
    with pytest.raises(InvalidURLError) as caught:
        open_driver(f"pyfs+ftp://me:{SECRET}@host/dir")
    assert SECRET not in repr(caught.value) + str(caught.value)


def test_an_address_does_not_show_its_password() -> None:
    """The repr of an address can be logged (E3)."""
    assert SECRET not in repr(address("pyfs+ftp://host/dir", password=SECRET))


@pytest.mark.parametrize("kind", ["mem", "temp"])
def test_a_name_is_one_store_in_the_process(kind: str) -> None:
    """Two drivers on one name see each other's objects; on another name, or none, there is another store."""
    open_driver(f"pyfs+{kind}://url-test").put("key", b"data")
    assert open_driver(f"pyfs+{kind}://url-test").get("key", 10) == b"data"
    for other in (f"pyfs+{kind}://url-test-2", f"pyfs+{kind}:"):
        assert list(open_driver(other).list("")) == []


def test_a_directory_is_one_store_however_it_is_written(tmp_path: Path) -> None:
    """Drivers on one directory fence each other, a slash more or less."""
    writer = open_driver(f"pyfs+osfs://{tmp_path}").open_writer("key")
    open_driver(f"pyfs+osfs://{tmp_path}/./").put("key", b"")
    with pytest.raises(LayerStoreError, match="taken over"):
        writer.flush()


def test_a_tilde_or_a_variable_is_a_name(tmp_path: Path) -> None:
    """No part of a path is replaced, as OSFS would: a store is where its URL says."""
    (tmp_path / "$HOME").mkdir()
    open_driver(f"pyfs+osfs://{tmp_path}/%24HOME").put("key", b"data")
    assert (tmp_path / "$HOME" / "key").read_bytes() == b"data"


def test_a_temporary_store_without_a_name_ends_with_its_driver() -> None:
    """The directory is removed when nothing leads to it any more."""
    driver = open_driver("pyfs+temp:")
    driver.put("key", b"")
    root = Path(driver.inner._store.files._fs.getsyspath("/"))  # type: ignore[attr-defined]  # the bridge's own
    assert root.is_dir()
    del driver
    assert not root.exists()


def test_a_server_that_is_not_there_is_an_unavailable_backend() -> None:
    """A refused connection is no missing key (E2), and the password is in no part of the error (E3)."""
    with pytest.raises(BackendUnavailableError) as caught:
        open_driver(f"pyfs+ftp://127.0.0.1:9/dir?user=me&password={SECRET}").stat("key")
    assert SECRET not in repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)

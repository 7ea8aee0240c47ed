"""The repr of every public object says what it is."""

import layerstore
from layerstore import Digest


def test_a_store_and_its_driver_name_the_scheme() -> None:
    """And nothing of the URL, which may hold a credential."""
    store = layerstore.open("memory://secret", verify="reread")
    assert repr(store) == "<LayerService memory verify=reread>"
    assert repr(store.driver) == "<CheckedDriver memory MemoryDriver>"


def test_a_handle_names_its_key_and_size() -> None:
    """Those of a driver; open or closed."""
    with layerstore.open_driver("memory:").open_writer("a/key") as writer:
        writer.write(b"bytes")
    assert repr(writer) == "<MemoryWriter 'a/key' 5 bytes>"


def test_a_reader_names_its_key_and_size() -> None:
    """As a writer does."""
    driver = layerstore.open_driver("memory:")
    driver.put("a/key", b"bytes")
    assert repr(driver.open_reader("a/key")) == "<MemoryReader 'a/key' 5 bytes>"


def test_an_upload_and_its_layer_name_the_repository() -> None:
    """And what each is found by."""
    upload = layerstore.open("memory:").upload("library/hello")
    upload.write(b"bytes")
    assert repr(upload) == f"<LayerUpload library/hello {upload.uuid} 5 bytes>"
    digest = Digest.of(b"bytes")
    assert repr(upload.finish(digest)) == f"<Layer library/hello@{digest} 5 bytes>"

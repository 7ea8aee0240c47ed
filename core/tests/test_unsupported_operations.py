"""A file object refuses what it cannot do as Python's own do: with io.UnsupportedOperation."""

import io
import shutil
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import layerstore
from layerstore import Digest, Layer, LayerClosedError, LayerUpload, Reader

Ask: TypeAlias = Callable[[Any], object]

CANNOT_READ: list[Ask] = [
    lambda file: file.read(1),
    lambda file: file.read(),
    lambda file: file.readall(),
    lambda file: file.readinto(bytearray(1)),
    lambda file: file.readline(),
    next,
    lambda file: shutil.copyfileobj(file, io.BytesIO()),
]
CANNOT_WRITE: list[Ask] = [
    lambda file: file.write(b""),
    lambda file: file.write(b"x"),
    lambda file: file.writelines([b"x"]),
    lambda file: shutil.copyfileobj(io.BytesIO(b"x"), file),
]
CANNOT: list[Ask] = [lambda file: file.truncate(), lambda file: file.truncate(0), lambda file: file.fileno()]


def upload() -> LayerUpload:
    """Return an upload that is open."""
    return layerstore.open("memory:").upload("demo")


def layer() -> Layer:
    """Return a layer that is open."""
    opened = upload()
    opened.write(b"bytes")
    return opened.finish(Digest.of(b"bytes"))


def reader() -> Reader:
    """Return a reader that is open."""
    driver = layerstore.open_driver("memory:")
    driver.put("key", b"bytes")
    return driver.open_reader("key")


@pytest.mark.parametrize("ask", CANNOT_READ + CANNOT)
def test_an_upload_refuses_to_be_read(ask: Ask) -> None:
    """Whichever way it is asked; it says so itself, and ``readable`` says it beforehand."""
    with upload() as file:
        assert not file.readable()
        with pytest.raises(io.UnsupportedOperation):
            ask(file)


@pytest.mark.parametrize("ask", CANNOT_WRITE + CANNOT)
@pytest.mark.parametrize("opened", [layer, reader])
def test_what_is_read_refuses_to_be_written(opened: Callable[[], Layer | Reader], ask: Ask) -> None:
    """Whichever way it is asked, and also if nothing is to be written."""
    with opened() as file:
        assert not file.writable()
        with pytest.raises(io.UnsupportedOperation):
            ask(file)


def test_a_closed_file_object_says_that_it_is_closed() -> None:
    """That comes first, as it does of Python's own."""
    for file, ask in [(upload(), CANNOT_READ[0]), (layer(), CANNOT_WRITE[0]), (reader(), CANNOT_WRITE[0])]:
        file.close()
        with pytest.raises(LayerClosedError):
            ask(file)

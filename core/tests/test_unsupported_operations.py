"""What a file object cannot do it refuses as Python's own do: with io.UnsupportedOperation."""

import io
import shutil
from collections.abc import Callable
from typing import Any

import pytest

import layerstore
from layerstore import Digest, LayerClosedError

CANNOT_READ = [
    lambda file: file.read(1),
    lambda file: file.read(),
    lambda file: file.readall(),
    lambda file: file.readinto(bytearray(1)),
    lambda file: file.readline(),
    lambda file: next(file),
    lambda file: shutil.copyfileobj(file, io.BytesIO()),
]
CANNOT_WRITE = [
    lambda file: file.write(b""),
    lambda file: file.write(b"x"),
    lambda file: file.writelines([b"x"]),
    lambda file: shutil.copyfileobj(io.BytesIO(b"x"), file),
]
CANNOT = [lambda file: file.truncate(), lambda file: file.truncate(0), lambda file: file.fileno()]


def upload() -> Any:
    """Return an upload that is open."""
    return layerstore.open("memory:").upload("demo")


def layer() -> Any:
    """Return a layer that is open."""
    opened = upload()
    opened.write(b"bytes")
    return opened.finish(Digest.of(b"bytes"))


def reader() -> Any:
    """Return a reader that is open."""
    driver = layerstore.open_driver("memory:")
    driver.put("key", b"bytes")
    return driver.open_reader("key")


@pytest.mark.parametrize("ask", CANNOT_READ + CANNOT)
def test_an_upload_refuses_to_be_read(ask: Callable[[Any], object]) -> None:
    """Whichever way it is asked; it says so itself, and ``readable`` says it beforehand."""
    with upload() as file, pytest.raises(io.UnsupportedOperation):
        assert not file.readable()
        ask(file)


@pytest.mark.parametrize("ask", CANNOT_WRITE + CANNOT)
@pytest.mark.parametrize("opened", [layer, reader])
def test_what_is_read_refuses_to_be_written(opened: Callable[[], Any], ask: Callable[[Any], object]) -> None:
    """Whichever way it is asked, and also if nothing is to be written."""
    with opened() as file, pytest.raises(io.UnsupportedOperation):
        assert not file.writable()
        ask(file)


def test_a_closed_file_object_says_that_it_is_closed() -> None:
    """That comes first, as it does of Python's own."""
    for opened, ask in [(upload, CANNOT_READ[0]), (layer, CANNOT_WRITE[0]), (reader, CANNOT_WRITE[0])]:
        file = opened()
        file.close()
        with pytest.raises(LayerClosedError):
            ask(file)

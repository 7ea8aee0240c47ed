"""The toolkit for object stores: reading, and heads that are not what they were."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from layerstore.errors import (
    BackendUnavailableError,
    InvalidOffsetError,
)
from layerstore.objectstore import Got, Limits
from layerstore.objectstore.head import RESERVED, Head, Moving
from layerstore.objectstore.memory import MemoryService

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects, read, write
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects, read, write


def test_an_offset_beyond_the_end_is_refused(driver: Objects) -> None:
    """An object cannot be opened there."""
    driver.put("a", b"data")
    with pytest.raises(InvalidOffsetError):
        driver.open_reader("a", 5)


def test_reading_seeks_to_and_fro_over_pieces(driver: Objects) -> None:
    """Each piece is found, and the bytes are those of the object."""
    data = bytes(range(5 * LEAST))
    write(driver, "a", data)
    with driver.open_reader("a") as reader:
        for at in (70, 3, 40, 79, 0):
            reader.seek(at)
            assert reader.read(7) == data[at : at + 7]


def test_an_object_that_was_opened_for_writing_is_the_same_object(driver: Objects) -> None:
    """Neither version nor time nor bytes change."""
    driver.put("a", bytes(range(3 * LEAST)))
    before = driver.stat("a")
    driver.open_writer("a")
    assert driver.stat("a") == before
    assert read(driver, "a") == bytes(range(3 * LEAST))


class Breaking(MemoryService):
    """Breaks a connection after some bytes."""

    def __init__(self, after: int) -> None:
        """Break each after so many."""
        super().__init__(Limits(least_part=LEAST))
        self.after = after

    def get(self, name: str, start: int, stop: int, etag: str | None = None) -> Got:
        """Answer with a stream that breaks."""
        got = super().get(name, start, stop, etag)
        got.stream.close()
        data = self.objects[name].data[start:stop]
        return Got(got.etag, got.size, got.modified, got.metadata, _Broken(data, self.after))


class _Broken(BytesIO):
    def __init__(self, data: bytes, after: int) -> None:
        super().__init__(data)
        self.left = after

    def read(self, size: int | None = -1, /) -> bytes:
        if self.left <= 0:
            raise BackendUnavailableError("", "the connection broke")
        data = super().read(min(size or 0, self.left))
        self.left -= len(data)
        return data


def test_a_broken_connection_is_resumed() -> None:
    """A reader goes on where it broke."""
    service = Breaking(1 << 20)
    driver = Objects(service)
    write(driver, "a", bytes(range(60)))
    with driver.open_reader("a") as reader:
        service.after = 7
        assert reader.read() == bytes(range(60))


def test_a_connection_that_breaks_again_and_again_is_an_error() -> None:
    """An object is never cut short in silence."""
    service = Breaking(1 << 20)
    driver = Objects(service)
    write(driver, "a", bytes(60))
    with driver.open_reader("a") as reader:
        service.after = 0
        with pytest.raises(BackendUnavailableError, match="again and again"):
            reader.read()


def test_a_short_range_that_breaks_is_an_error() -> None:
    """A head is read whole or not at all."""
    service = Breaking(1 << 20)
    driver = Objects(service)
    driver.put("a", b"data")
    service.after = 0
    with pytest.raises(BackendUnavailableError, match="the connection broke"):
        driver.stat("a")


def test_a_short_range_is_read_again_if_it_breaks() -> None:
    """Once is no failure."""
    service = Breaking(1 << 20)
    driver = Objects(service)
    driver.put("a", b"data")
    service.after = 0
    store = driver._store
    whole = store.call

    def mend(*args: object, **kwargs: object) -> object:
        got: object = whole(*args, **kwargs)  # type: ignore[arg-type]  # any call
        service.after = 1 << 20
        return got

    store.call = mend  # type: ignore[method-assign,assignment]  # the first answer breaks, and no other
    assert driver.stat("a").size == 4


def test_bytes_that_are_missing_are_an_error(driver: Objects) -> None:
    """A range that ends before its end is not taken for whole."""
    driver.put("a", b"data")
    with pytest.raises(BackendUnavailableError, match="ends at byte 4 of 9"):
        driver._store.read("a", "a", 0, 9)


def test_a_reader_of_pieces_that_are_gone_says_so(service: Asked, driver: Objects) -> None:
    """The object was replaced since it was opened."""
    write(driver, "a", bytes(60))
    with driver.open_reader("a") as reader:
        driver.delete("a")
        with pytest.raises(BackendUnavailableError, match="was changed"):
            reader.read()


def test_a_reader_of_a_plain_object_that_is_replaced_says_so(driver: Objects) -> None:
    """Its first bytes are here, the rest is another version's."""
    driver.put("a", bytes(1 << 20))
    with driver.open_reader("a") as reader:
        driver.put("a", bytes(2 << 20))
        with pytest.raises(BackendUnavailableError, match="was changed"):
            reader.read()


def test_a_long_list_of_pieces_is_read_by_more_requests(service: Asked, driver: Objects) -> None:
    """The first request for a head brings the first pieces, and others the rest."""
    write(driver, "a", bytes(3000 * LEAST))
    assert len(service.objects["a"].data) > 1 << 16
    assert service.asked(lambda: driver.open_writer("a")) == ["get", "get", "put"]
    assert read(driver, "a") == bytes(3000 * LEAST)


def test_a_head_that_is_replaced_while_it_is_read_is_read_again(service: Asked, driver: Objects) -> None:
    """Its pieces and its first line are of one head."""
    write(driver, "a", bytes(3000 * LEAST))
    other = Objects(service)
    service.before = service.at(1, lambda call, name: other.open_writer("a"))
    with driver.open_reader("a", 1) as reader:
        assert reader.read() == bytes(3000 * LEAST - 1)


def test_a_head_that_is_replaced_again_and_again_is_an_error(service: Asked, driver: Objects) -> None:
    """There is an end to it."""
    write(driver, "a", bytes(3000 * LEAST))

    def replace(call: str, name: str) -> None:
        service.before = lambda call, name: None
        Objects(service).open_writer("a")
        service.before = replace

    service.before = replace
    with pytest.raises(BackendUnavailableError, match="changed 100 times"):
        driver.open_reader("a", 1)


def test_a_list_of_pieces_that_another_program_changed_is_no_list(service: Asked, driver: Objects) -> None:
    """Its checksum says so; no other bytes are read in its place."""
    write(driver, "a", bytes(60))
    found = service.objects["a"]
    service.put("a", found.data[:-1] + b"0", found.metadata)
    with pytest.raises(BackendUnavailableError, match="another program"):
        read(driver, "a")


@pytest.mark.parametrize("data", [b"", b"replaced", b"{}\n"])
def test_bytes_in_place_of_a_head_are_the_object(service: Asked, driver: Objects, data: bytes) -> None:
    """Also if their metadata are the head's."""
    write(driver, "a", bytes(60))
    version = driver.stat("a").version
    service.put("a", data, service.objects["a"].metadata)
    assert read(driver, "a") == data
    assert driver.stat("a").version != version


def test_bytes_behind_a_head_make_an_object_of_it(service: Asked, driver: Objects) -> None:
    """Its length is in it, so that a program that appends to it is noticed."""
    write(driver, "a", bytes(60))
    version = driver.stat("a").version
    service.put("a", service.objects["a"].data + b"more", service.objects["a"].metadata)
    assert driver.stat("a").version != version


def test_nobody_makes_a_head_by_putting_its_bytes(service: Asked, driver: Objects) -> None:
    """A layer that looks like a head is a layer: else it could show what lies elsewhere."""
    write(driver, "a", b"secret")
    body = service.objects["a"].data
    driver.put("b", body)
    assert read(driver, "b") == body


def test_the_longest_first_line_is_read_at_once() -> None:
    """It names the longest key as a target."""
    head = Head("n" * 16, 1 << 40, "v" * 40, made="m" * 16, piece=1 << 30, moving=Moving("m" * 16, "k" * 1000))
    assert len(head.dump()[0]) < 4096
    assert len(Head("n" * 16, piece=1 << 40).dump()[0]) == RESERVED

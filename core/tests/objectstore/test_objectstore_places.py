"""The toolkit for object stores: what lies where, under which name, and what options and services may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from layerstore.errors import (
    BackendUnavailableError,
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.objectstore import Limits, Part
from layerstore.objectstore.memory import MemoryService
from layerstore.objectstore.options import one_of, whole, yes

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects, lose, read, write
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects, lose, read, write

LONG = "/".join(["x" * 249] * 4)
"""A key of 999 bytes."""


def test_what_is_put_or_moved_is_a_plain_object(service: Asked, driver: Objects) -> None:
    """Another program reads it under its key; what a writer has published lies in pieces until it is moved."""
    driver.put("a", b"put")
    write(driver, "upload/data", bytes(3 * LEAST))
    assert (driver.is_plain("a"), driver.is_plain("upload/data")) == (True, False)
    driver.move("upload/data", "blob/data")
    assert driver.is_plain("blob/data")
    assert {name: found.data for name, found in service.objects.items()} == {"a": b"put", "blob/data": bytes(3 * LEAST)}


def test_what_is_not_there_is_not_plain(driver: Objects) -> None:
    """Nothing is under the key, or nothing yet."""
    driver.open_writer("reserved")
    for key in ("none", "reserved"):
        with pytest.raises(PathNotFoundError):
            driver.is_plain(key)


def test_what_is_not_there_cannot_be_read(driver: Objects) -> None:
    """Nothing is under the key, or nothing yet."""
    driver.open_writer("reserved")
    for key in ("none", "reserved"):
        with pytest.raises(PathNotFoundError):
            driver.stat(key)
        with pytest.raises(PathNotFoundError):
            driver.open_reader(key)


def test_a_flush_of_nothing_new_keeps_the_version_and_finds_out_that_it_is_fenced(driver: Objects) -> None:
    """It asks who holds the key."""
    driver.put("a", b"data")
    writer = driver.open_writer("a")
    writer.flush()
    assert writer.version == driver.stat("a").version
    driver.open_writer("a")
    with pytest.raises(FencedError):
        writer.flush()


def test_pieces_lie_beside_their_key_below_a_hidden_name(service: Asked) -> None:
    """Below the key they would make a folder of it, in a service that has folders."""
    write(Objects(service, "some/prefix/"), "upload/data", b"piece")
    write(Objects(service), "top", b"piece")
    places = sorted(name.rpartition("/")[0] for name in service.objects)
    assert places == ["", ".layerstore/top", "some/prefix/upload", "some/prefix/upload/.layerstore/data"]


def test_a_key_too_long_for_pieces_beside_it_has_them_at_the_top(service: Asked, driver: Objects) -> None:
    """They are found there: a delete of the key or of a prefix of it takes them away."""
    for deleted in (LONG, LONG[:249], LONG[:499]):
        write(driver, LONG, bytes(3 * LEAST))
        assert read(driver, LONG) == bytes(3 * LEAST)
        assert max(len(name) for name in service.objects) <= 1024
        assert list(driver.list("")) == [f"{LONG[:249]}/"]
        driver.delete(deleted)
        assert not service.objects


def test_a_prefix_that_leaves_no_room_for_a_key_is_refused(service: Asked) -> None:
    """A name has 1,024 bytes, and a key up to 1,000 of them."""
    Objects(service, f"{'x' * 23}/")
    with pytest.raises(ValueError, match="the prefix has at most 24 bytes"):
        Objects(service, f"{'x' * 24}/")


def test_pieces_are_not_smaller_than_the_service_takes(service: Asked) -> None:
    """Else they could not be composed."""
    with pytest.raises(ValueError, match="at least 16 bytes, not 15"):
        Objects(service, piece=15)


def test_errors_of_the_service_name_the_key(service: Asked) -> None:
    """Not the name that the service has been asked for."""
    driver = Objects(service, "prefix/")
    service.before = lose
    with pytest.raises(BackendUnavailableError) as caught:
        driver.stat("a")
    assert caught.value.key == "a"


def test_a_handle_that_was_never_opened_gives_nothing_back() -> None:
    """A constructor that fails half way leaves no more than that."""
    from layerstore.objectstore.reader import ObjectReader
    from layerstore.objectstore.writer import ObjectWriter

    ObjectReader.__new__(ObjectReader).release()
    ObjectWriter.__new__(ObjectWriter).release()


def test_options_are_read_or_refused() -> None:
    """A sentence says what an option must be."""
    assert yes({"a": "true"}, "a")
    assert not yes({}, "a")
    assert whole({"a": "7"}, "a", 1, 1) == 7
    assert one_of({}, "a", "x", ("x", "y")) == "x"
    for read_it, said in (
        (lambda: yes({"a": "perhaps"}, "a"), "a is true or false"),
        (lambda: whole({"a": "many"}, "a", 1, 1), "a is a whole number, at least 1"),
        (lambda: whole({"a": 0}, "a", 1, 1), "a is a whole number, at least 1"),
        (lambda: one_of({"a": "z"}, "a", "x", ("x", "y")), "a is one of x, y"),
    ):
        with pytest.raises(ValueError, match=said):
            read_it()


def test_the_service_in_memory_takes_no_parts_that_a_service_does_not_take() -> None:
    """Neither too small ones, nor too large ones, nor too many."""
    service = MemoryService(Limits(least_part=4, most_parts=2, most_copied=6))
    service.put("a", bytes(20), {})
    for ends in ((3, 6), (7,), (4, 8, 12)):
        parts = [Part("a", start, stop) for start, stop in zip((0, *ends), ends, strict=False)]
        with pytest.raises(UnsupportedOperationError):
            service.compose("b", parts, {})

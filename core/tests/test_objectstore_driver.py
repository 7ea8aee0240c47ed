"""The toolkit for object stores: what lies where, what a listing says, and what a service may do wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from layerstore.driver import Foreign, Unpublished
from layerstore.errors import (
    BackendUnavailableError,
    DriverError,
    FencedError,
    InvalidOffsetError,
    NoSpaceError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.objectstore import Got, Limits, ObjectStoreDriver, Page, Part
from layerstore.objectstore.head import RESERVED, Head, Moving
from layerstore.objectstore.memory import MemoryService
from layerstore.objectstore.move import PATIENCE, move
from layerstore.objectstore.options import one_of, whole, yes
from layerstore.objectstore.probe import check_conditions
from layerstore.objectstore.stager import Pool
from layerstore.objectstore.store import Store

if TYPE_CHECKING:
    from tests.objects import LEAST, Asked, Objects, lose, read, write
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects, lose, read, write

LONG = "/".join(["x" * 249] * 4)
"""A key of 999 bytes."""


@pytest.fixture
def service() -> Asked:
    """Return a service of the test's own."""
    return Asked()


@pytest.fixture
def driver(service: Asked) -> Objects:
    """Open a store in it."""
    return Objects(service)


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


def test_a_reserved_key_is_not_listed_and_is_told_when_scanned(driver: Objects) -> None:
    """Nor is a prefix with nothing else below it."""
    driver.open_writer("a/b")
    driver.put("c", bytes(RESERVED))
    assert list(driver.list("")) == ["c"]
    [unpublished, _] = driver.scan("")
    assert isinstance(unpublished, Unpublished)
    assert unpublished.name == "a/"
    assert [each.name for each in driver.scan("a") if isinstance(each, Unpublished)] == ["a/b"]


def test_pieces_without_a_head_are_told_when_scanned_until_they_are_deleted(service: Asked, driver: Objects) -> None:
    """A writer that was killed has left them, and the delete of its key takes them away."""
    writer = driver.open_writer("a/b")
    writer.write(bytes(3 * LEAST))
    writer._stager.settle()
    service.delete("a/b")
    assert [each.name for each in driver.scan("a") if isinstance(each, Unpublished)] == ["a/b"]
    assert list(driver.list("a")) == []
    driver.delete("a")
    assert not service.objects


def test_a_key_that_is_reserved_while_it_is_listed_may_be_gone(service: Asked, driver: Objects) -> None:
    """It is no object."""
    driver.open_writer("a")
    service.before = service.at(1, lambda call, name: service.delete("a"))
    assert list(driver.list("")) == []


@pytest.mark.parametrize("page", [1000, 3])
def test_foreign_things_are_told_apart(page: int) -> None:
    """Names that are no keys are foreign, markers of folders and harmless things are not."""
    service = Asked(Limits(least_part=LEAST, page=page))
    driver = Objects(service)
    for name in ("p/a", "p/ä", "p/.hidden/x", "p/q/no key", "p/marker/", "p/.DS_Store", "p/my r/.layerstore/x/1"):
        service.put(name, b"" if name.endswith("/") else b"data", {})
    driver.put("p/q/key", b"")
    driver.open_writer("p/taken")
    driver.open_writer("p/z/taken")
    found = list(driver.scan("p"))
    assert [each for each in found if isinstance(each, str)] == ["p/a", "p/q/"]
    assert sorted(each.name for each in found if isinstance(each, Foreign)) == ["p/.hidden/", "p/my r/", "p/ä"]
    assert sorted(each.name for each in found if isinstance(each, Unpublished)) == ["p/taken", "p/z/"]


def test_a_prefix_with_but_a_foreign_thing_says_which(service: Asked, driver: Objects) -> None:
    """A prefix that is a key is foreign if nothing in it is an object."""
    service.put("p/q/no key", b"", {})
    [foreign] = driver.scan("p")
    assert foreign == Foreign("p/q/", "no object, and 'p/q/no key', which is no key")


def test_a_delete_takes_markers_and_leaves_foreign_things(service: Asked, driver: Objects) -> None:
    """What another program has put below the prefix under a name that is no key stays."""
    for name in ("p/a", "p/b/", "p/no key"):
        service.put(name, b"", {})
    driver.delete("p")
    assert list(service.objects) == ["p/no key"]


class Ignoring(MemoryService):
    """A service that answers 200 and ignores conditions, or refuses what it should not."""

    def __init__(self, how: str) -> None:
        """Do something wrong."""
        super().__init__(Limits(least_part=LEAST))
        self.how = how

    def put(self, name: str, data: bytes, metadata: Mapping[str, str], etag: str | None = None) -> str:
        """Store."""
        if self.how == "quoted" and etag:
            raise FencedError(name)
        ignored = {"none": etag == "", "match": bool(etag)}.get(self.how)
        return super().put(name, data, metadata, None if ignored else etag)

    def delete(self, name: str, etag: str | None = None) -> None:
        """Delete."""
        super().delete(name, None if self.how == "delete" else etag)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("none", "stores an object although If-None-Match"),
        ("match", "replaces an object although If-Match"),
        ("delete", "deletes an object although If-Match"),
        ("quoted", "refuses what a condition allows"),
    ],
)
def test_a_service_that_does_not_keep_to_conditions_is_refused_before_the_first_write(how: str, said: str) -> None:
    """One clear line, and nothing is left of the trial; reading needs no conditions."""
    service = Ignoring(how)
    driver = ObjectStoreDriver.__new__(Objects)
    ObjectStoreDriver.__init__(driver, service, piece=LEAST)
    service.objects["there"] = service_object(b"data")
    for act in (lambda: driver.put("a", b""), lambda: driver.open_writer("a"), lambda: driver.move("there", "b")):
        with pytest.raises(UnsupportedOperationError, match=said):
            act()
    assert list(service.objects) == ["there"]
    assert list(driver.list("")) == ["there"]


def service_object(data: bytes) -> Any:  # noqa: ANN401  (the service's own)
    """Return an object as a service in memory keeps it."""
    service = MemoryService()
    service.put("x", data, {})
    return service.objects["x"]


def test_a_move_of_nothing_puts_nothing(service: Asked) -> None:
    """Not even to try out conditions: some services make a missing bucket of the first object."""
    driver = ObjectStoreDriver.__new__(Objects)
    ObjectStoreDriver.__init__(driver, service, piece=LEAST)

    def move() -> None:
        with pytest.raises(PathNotFoundError):
            driver.move("a", "b")

    assert service.asked(move) == ["get"]


def test_a_trial_whose_answer_was_lost_is_no_refusal(service: Asked) -> None:
    """The client has asked again, and met what it had stored itself."""
    service.before = service.at(0, lambda call, name: MemoryService.put(service, name, b"first", {}))
    check_conditions(service, "")
    assert not service.objects


def test_a_failed_piece_is_sent_again(service: Asked, driver: Objects) -> None:
    """Before more is accepted, and before it is published."""
    writer = driver.open_writer("a")
    service.before = service.at(0, lose)
    writer.write(bytes(range(2 * LEAST + 1)))
    service.before = lambda call, name: None
    writer.write(b"more")
    writer.flush()
    assert read(driver, "a") == bytes(range(2 * LEAST + 1)) + b"more"


def test_a_write_is_refused_while_a_piece_cannot_be_stored(service: Asked, driver: Objects) -> None:
    """Memory would fill with what the service does not take; what was accepted is published when it does."""
    writer = driver.open_writer("a")
    service.before = lose
    writer.write(bytes(range(LEAST + 1)))
    for act in (lambda: writer.write(bytes(9 * LEAST)), writer.flush):
        with pytest.raises(DriverError):
            act()
    assert writer.size == LEAST + 1
    service.before = lambda call, name: None
    writer.flush()
    assert read(driver, "a") == bytes(range(LEAST + 1))


def test_a_failed_write_leaves_nothing_beyond_the_end(service: Asked, driver: Objects) -> None:
    """A later write behind it finds zeros there."""
    driver.put("a", b"x" * (2 * LEAST + 3))
    for begin in (b"", b"y"):
        writer = driver.open_writer("a")
        size = writer.size
        writer.write(begin)
        service.before = lambda call, name: lose(call, name) if call == "get" else None
        with pytest.raises(DriverError):
            _overwrite(writer, 3)
        service.before = lambda call, name: None
        writer.seek(size + len(begin) + 4 * LEAST)
        writer.write(b"z")
        writer.discard()
        assert size == writer.size - 4 * LEAST - 1 - len(begin)


def _overwrite(writer: object, at: int) -> None:
    from layerstore.objectstore.writer import ObjectWriter

    assert isinstance(writer, ObjectWriter)
    writer.seek(at)
    writer.write(b"w" * (6 * LEAST))


def test_a_write_that_is_cut_off_is_forgotten(driver: Objects) -> None:
    """Bytes beyond the size that counts are dropped, whether they are in memory or stored."""
    writer = driver.open_writer("a")
    writer.write(b"kept")
    for more in (b"x" * 3, b"x" * LEAST, b"x" * (3 * LEAST)):
        writer.write_at(writer.size, memoryview(more))  # below the front, which would count them
    writer.write_at(2 * LEAST, memoryview(b"end"))
    writer.size = 2 * LEAST + 3
    writer.flush()
    assert read(driver, "a") == b"kept" + bytes(2 * LEAST - 4) + b"end"


def test_gaps_are_zeros_stored_once(service: Asked, driver: Objects) -> None:
    """However long a gap is, its pieces are one."""
    writer = driver.open_writer("a")
    writer.write(b"x")
    writer.seek(50 * LEAST + 2)
    writer.write(b"y")
    writer.close()
    assert read(driver, "a") == b"x" + bytes(50 * LEAST + 1) + b"y"
    assert len(service.objects) == 4


def test_pieces_are_overwritten_in_place(service: Asked, driver: Objects) -> None:
    """Whole, in part, and again before they are stored; what they replace is gone after the flush."""
    data = bytearray(range(5 * LEAST))
    driver.put("a", bytes(data))
    writer = driver.open_writer("a")
    for at, size in ((LEAST, LEAST), (3, 2), (LEAST + 2, 3), (4 * LEAST - 1, 2), (0, 2 * LEAST)):
        writer.seek(at)
        writer.write(bytes([200 + at % 50]) * size)
        data[at : at + size] = bytes([200 + at % 50]) * size
    writer.flush()
    assert read(driver, "a") == data
    writer.seek(0)
    writer.write(bytes(5 * LEAST))
    writer.close()
    assert read(driver, "a") == bytes(5 * LEAST)
    assert len(service.objects) == 6


def test_a_piece_that_is_gone_means_that_the_writer_is_fenced(driver: Objects) -> None:
    """Pieces go only with their object."""
    write(driver, "a", bytes(5 * LEAST))
    writer = driver.open_writer("a")
    driver.delete("a")
    writer.seek(3)
    with pytest.raises(FencedError):
        writer.write(b"x")


def test_more_pieces_than_an_object_may_have_are_refused() -> None:
    """The flush says so, and the object is as it was."""
    driver = Objects(Asked(Limits(least_part=LEAST, most_parts=3)))
    write(driver, "a", bytes(3 * LEAST))
    writer = driver.open_writer("a")
    writer.write(b"x")
    with pytest.raises(NoSpaceError):
        writer.flush()
    assert driver.stat("a").size == 3 * LEAST


def test_an_object_that_is_too_large_to_be_copied_at_once_is_copied_in_even_parts() -> None:
    """None of them is too small for the service."""
    service = Asked(Limits(least_part=LEAST, most_copied=2 * LEAST + 1))
    driver = Objects(service)
    driver.put("a", bytes(range(4 * LEAST + 4)))
    driver.move("a", "b")
    assert read(driver, "b") == bytes(range(4 * LEAST + 4))


def test_an_object_of_no_bytes_is_moved(driver: Objects) -> None:
    """There is nothing to compose."""
    driver.put("a", b"")
    write(driver, "b", b"")
    driver.move("a", "c")
    driver.move("b", "d")
    assert [driver.stat(key).size for key in driver.list("")] == [0, 0]


class Killed(BaseException):
    """The process ends."""


def _kill(call: str, name: str) -> None:
    raise Killed


def _cut_off(service: Asked, driver: Objects, number: int) -> None:
    """Kill a move before its request of this number."""
    write(driver, "a", b"data")
    service.before = service.at(number, _kill)
    with pytest.raises(Killed):
        driver.move("a", "b")
    service.before = lambda call, name: None


def _move(service: Asked, pause: Callable[[float], None], target: str = "c") -> None:
    move(Store(service, ""), "a", target, None, piece=LEAST, pause=pause)


def test_a_move_waits_for_another_one_and_then_takes_over(service: Asked, driver: Objects) -> None:
    """A killed move has claimed the source: after a while the next one moves it."""
    _cut_off(service, driver, 2)
    pauses: list[float] = []
    _move(service, pauses.append)
    assert len(pauses) == PATIENCE
    assert (list(driver.list("")), read(driver, "c")) == (["c"], b"data")


def test_a_move_that_another_one_has_made_is_finished_in_its_name(service: Asked, driver: Objects) -> None:
    """There is nothing left to move: one of the two has moved it."""
    _cut_off(service, driver, 3)
    with pytest.raises(PathNotFoundError):
        _move(service, lambda seconds: None)
    assert (list(driver.list("")), read(driver, "b")) == (["b"], b"data")


def test_a_move_ends_its_wait_when_the_other_one_is_done(service: Asked, driver: Objects) -> None:
    """The source is gone then."""
    _cut_off(service, driver, 2)
    with pytest.raises(PathNotFoundError):
        _move(service, lambda seconds: driver.delete("a"))


def test_a_move_ends_its_wait_when_the_source_is_another(service: Asked, driver: Objects) -> None:
    """Somebody has opened a writer, and the claim is void."""
    _cut_off(service, driver, 2)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        driver.open_writer("a")

    _move(service, pause)
    assert len(pauses) == 1
    assert list(driver.list("")) == ["c"]


def test_a_move_whose_pieces_are_gone_fails(service: Asked, driver: Objects) -> None:
    """It says so, and leaves the target alone."""
    write(driver, "a", b"data")
    [piece] = [name for name in service.objects if name != "a"]
    service.delete(piece)
    with pytest.raises(BackendUnavailableError, match="its pieces are gone"):
        driver.move("a", "b")
    assert list(driver.list("")) == ["a"]


def test_a_move_that_fails_gives_up_its_claim(service: Asked, driver: Objects) -> None:
    """The next one need not wait."""
    write(driver, "a", b"data")
    service.before = lambda call, name: lose(call, name) if call == "compose" else None
    with pytest.raises(BackendUnavailableError):
        driver.move("a", "b")
    service.before = lambda call, name: None
    _move(service, lambda seconds: pytest.fail("it waits"))
    assert list(driver.list("")) == ["c"]


@pytest.mark.parametrize("number", [0, 3])
def test_an_object_that_never_rests_is_given_up(service: Asked, driver: Objects, number: int) -> None:
    """Opening, moving and removing have an end, even if others come in between again and again."""
    write(driver, "a", b"data")

    def open_again(call: str, name: str) -> None:
        if (call, name) in {("put", "a"), ("delete", "a")}:
            service.before = lambda call, name: None
            Objects(service).open_writer("a")
            service.before = open_again

    if number:
        service.before = service.at(number, lambda call, name: setattr(service, "before", open_again))
        service.before = lambda call, name: open_again(call, name) if call == "delete" else None
    else:
        service.before = open_again
    with pytest.raises(BackendUnavailableError, match="taken over 100 times"):
        driver.move("a", "b")


def test_a_writer_that_others_always_get_before_is_given_up(service: Asked, driver: Objects) -> None:
    """There is an end to it."""

    def put_again(call: str, name: str) -> None:
        if call == "put":
            service.before = lambda call, name: None
            Objects(service).put("a", os.urandom(4))
            service.before = put_again

    service.before = put_again
    with pytest.raises(BackendUnavailableError, match="taken over 100 times"):
        driver.open_writer("a")


def test_a_flush_that_got_no_answer_is_recognised_by_the_next(service: Asked, driver: Objects) -> None:
    """Its head is the writer's own, and the writer goes on from it, with something new or with nothing."""
    for more in (b"", b"more"):
        writer = driver.open_writer("a")
        size = writer.size
        writer.write(b"data")
        service.after = service.at(1, lose)
        with pytest.raises(BackendUnavailableError):
            writer.flush()
        service.after = lambda call, name: None
        writer.write(more)
        writer.flush()
        assert read(driver, "a")[size:] == b"data" + more


def test_a_lost_flush_that_another_writer_has_taken_over_keeps_its_pieces(service: Asked, driver: Objects) -> None:
    """The head was put, and the other writer goes on from it: what it names must stay, though the flush is refused."""
    writer = driver.open_writer("a")
    writer.write(b"data")
    service.after = service.at(1, lose)
    with pytest.raises(BackendUnavailableError):
        writer.flush()
    service.after = lambda call, name: None
    Objects(service).open_writer("a")
    with pytest.raises(FencedError):
        writer.flush()
    assert read(driver, "a") == b"data"


def test_a_checked_flush_recognises_a_head_that_got_no_answer(service: Asked, driver: Objects) -> None:
    """A hold that checks meets its own head."""
    hold = driver.open_writer("a").hold
    service.after = service.at(0, lose)
    with pytest.raises(BackendUnavailableError):
        hold.publish(0, LEAST, ())
    service.after = lambda call, name: None
    assert hold.known() is None
    hold.check()
    assert hold.known() is not None


def test_errors_of_the_service_name_the_key(service: Asked) -> None:
    """Not the name that the service has been asked for."""
    driver = Objects(service, "prefix/")
    service.before = lose
    with pytest.raises(BackendUnavailableError) as caught:
        driver.stat("a")
    assert caught.value.key == "a"


def test_a_service_that_lists_in_another_order_is_listed_in_order() -> None:
    """No order of the service's is relied on."""

    class Shuffled(MemoryService):
        def list(self, prefix: str, after: str, most: int, *, deep: bool) -> Page:
            page = super().list(prefix, after, most, deep=deep)
            return Page(page.objects[::-1], page.prefixes[::-1], page.after)

    driver = Objects(Shuffled(Limits(least_part=LEAST, page=4)))
    for key in ("a", "a-", "a/b", "a0", "b/c", "c/d"):
        driver.put(key, b"")
    assert list(driver.list("")) == ["a", "a-", "a/", "a0", "b/", "c/"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """None comes along from the parent."""
    pool = Pool(1)
    pool.submit(lambda: None).result()
    pool._process = 0  # as after a fork
    done: list[int] = []
    pool.submit(lambda: done.append(1)).result()
    pool.close()
    pool.close()
    assert done == [1]


def test_a_fault_of_a_program_in_a_thread_is_raised(driver: Objects) -> None:
    """It is not sent again as if the service had failed."""
    writer = driver.open_writer("a")

    def wrong(piece: str, data: bytes) -> None:
        raise ZeroDivisionError

    writer._stager._store = wrong
    writer.write(bytes(LEAST + 1))
    with pytest.raises(ZeroDivisionError):
        writer.flush()


def test_pieces_wait_for_a_free_thread(service: Asked) -> None:
    """No more are in memory than the driver declares."""
    driver = Objects(service, threads=1)
    write(driver, "a", bytes(range(9 * LEAST)))
    assert read(driver, "a") == bytes(range(9 * LEAST))
    driver.close()


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

"""The toolkit for object stores: a writer that ends leaves an object that other programs can read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

import pytest

from layerstore import Digest, layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.errors import BackendUnavailableError, FencedError, PathNotFoundError
from layerstore.objectstore import memory
from layerstore.objectstore.head import MADE

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects, lose, read, write
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects, lose, read, write

BLOB = Digest.of(b"a blob")
TEXT = str(BLOB).encode()
LINK = layout.link("demo", BLOB)


@pytest.fixture
def checked(service: Asked) -> CheckedDriver:
    """Open a store whose pieces are longer than a link."""
    return CheckedDriver(Objects(service, piece=1 << 10), "objects")


def is_plain(service: Asked, key: str, data: bytes) -> bool:
    """Return whether an object, and nothing else, lies there for every program."""
    return {name: each.data for name, each in service.objects.items()} == {key: data}


def test_a_writer_that_ends_leaves_a_plain_object(service: Asked, driver: Objects) -> None:
    """One put in place of the head; what was published before in pieces, and is not written again, is read once."""
    writer = driver.open_writer("a")
    writer.write(b"data")
    assert service.asked(writer.end) == ["put"]
    assert is_plain(service, "a", b"data")
    assert service.asked(driver.open_writer("a").end) == ["get", "put", "delete"]
    assert is_plain(service, "a", b"data")


def test_a_writer_that_ends_with_nothing_leaves_an_object_of_no_bytes(service: Asked, driver: Objects) -> None:
    """As a first flush does."""
    driver.open_writer("a").end()
    assert is_plain(service, "a", b"")


def test_a_writer_that_ends_with_more_than_a_piece_flushes(driver: Objects) -> None:
    """Its bytes are stored already, and a move makes the object plain."""
    writer = driver.open_writer("a")
    writer.write(bytes(LEAST + 1))
    writer.end()
    assert (read(driver, "a"), driver.is_plain("a")) == (bytes(LEAST + 1), False)


def test_whoever_is_opened_fences_a_writer_that_would_end(service: Asked, driver: Objects) -> None:
    """Nothing changes, and the later writer goes on."""
    writer = driver.open_writer("a")
    writer.write(b"earlier")
    later = Objects(service).open_writer("a")
    with pytest.raises(FencedError):
        writer.end()
    assert writer.closed
    later.write(b"later")
    later.end()
    assert is_plain(service, "a", b"later")


def test_the_same_bytes_that_were_put_meanwhile_fence_it(service: Asked, driver: Objects) -> None:
    """It holds the ETag of its head, which never comes again, and not that of the bytes."""
    driver.put("a", b"data")
    writer = driver.open_writer("a")
    Objects(service).put("a", b"data")
    version = driver.stat("a").version
    with pytest.raises(FencedError):
        writer.end()
    assert driver.stat("a").version == version


class Noon:
    """The time of a service that tells whole days."""

    @staticmethod
    def now(zone: tzinfo) -> datetime:
        """Return noon of some day."""
        return datetime(2026, 1, 1, 12, tzinfo=zone)


def test_what_ends_with_the_same_bytes_is_at_another_version(driver: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end has a nonce of its own, for a service tells the same time for long."""
    monkeypatch.setattr(memory, "datetime", Noon)
    driver.put("a", b"data")
    versions = {driver.stat("a").version}
    for _ in range(3):
        driver.open_writer("a").end()
        versions.add(driver.stat("a").version)
    assert len(versions) == 4


def test_an_end_whose_answer_is_lost_is_recognised(service: Asked, driver: Objects) -> None:
    """The client asks again, and is refused for its own success."""
    writer = driver.open_writer("a")
    writer.write(b"data")
    put = service.put
    service.before = service.at(0, lambda call, name: put(name, b"data", {MADE: "another/"}))
    with pytest.raises(FencedError):
        writer.end()  # the bytes are the same, but the nonce is another one's

    writer = driver.open_writer("a")
    sent: list[object] = []

    def twice(name: str, data: bytes, metadata: Mapping[str, str], etag: str | None = None) -> str:
        sent.append(put(name, data, metadata, etag))
        return put(name, data, metadata, etag)

    service.put = twice  # type: ignore[method-assign]  # of this one service
    writer.end()
    assert len(sent) == 1


def test_a_flush_that_got_no_answer_may_be_the_one_before_the_end(service: Asked, driver: Objects) -> None:
    """Its head is the writer's own, and the end replaces it."""
    writer = driver.open_writer("a")
    writer.write(b"data")
    service.after = service.at(1, lose)
    with pytest.raises(BackendUnavailableError):
        writer.flush()
    service.after = lambda call, name: None
    writer.end()
    assert is_plain(service, "a", b"data")


def test_a_target_that_is_ended_is_still_that_of_its_move(service: Asked, driver: Objects) -> None:
    """A move that was cut off before it removed its source is finished, and does not bring the old bytes back."""
    write(driver, "a", b"data")
    service.before = service.at(3, lose)
    with pytest.raises(BackendUnavailableError):
        driver.move("a", "b")
    service.before = lambda call, name: None
    writer = driver.open_writer("b")
    writer.write(b", and more")
    writer.end()
    assert driver.stat("b").size == 14
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layerstore.objectstore.move.PATIENCE", 0)
        with pytest.raises(PathNotFoundError):  # there is nothing left to move
            Objects(service).move("a", "b")
    assert is_plain(service, "b", b"data, and more")


def test_a_link_that_is_renewed_is_a_plain_object_and_a_condemned_one_is_not(
    service: Asked, checked: CheckedDriver
) -> None:
    """Another registry reads it again; while it is condemned, its ETag must not come again."""
    checked.put(LINK, TEXT)
    assert links.write_into(checked, LINK, links.CONDEMNED)
    assert not is_plain(service, LINK, links.CONDEMNED + TEXT[7:])
    assert links.renew(checked, LINK) == BLOB
    assert is_plain(service, LINK, TEXT)


def test_a_link_that_was_renewed_is_not_dropped_at_the_version_before(service: Asked, checked: CheckedDriver) -> None:
    """Even if it is condemned once more, by another collection, before the first one drops it."""
    checked.put(LINK, TEXT)
    first = links.write_into(checked, LINK, links.CONDEMNED)
    assert first
    inner = service.get

    def renewed(call: str, name: str) -> None:
        del call, name
        service.get = inner  # type: ignore[method-assign]  # of this one service
        assert links.renew(checked, LINK) == BLOB
        assert links.write_into(checked, LINK, links.CONDEMNED)

    service.after = service.at(0, renewed)  # between the look and the claim
    with pytest.raises(FencedError):
        CheckedDriver(Objects(service, piece=1 << 10), "objects").move(LINK, "gone", version=first)
    assert checked.get(LINK, 100).startswith(links.CONDEMNED)


def test_a_link_of_a_tarsum_is_a_plain_object(service: Asked, checked: CheckedDriver) -> None:
    """It is claimed by a writer, and left as other programs expect it."""
    tarsum = Digest.parse(f"tarsum.v1+sha256:{'0' * 64}")
    for _ in range(2):
        links.write(checked, "demo", tarsum, BLOB)
        assert is_plain(service, layout.link("demo", tarsum), TEXT)


def test_a_blob_that_a_repeated_finish_meets_stays_a_plain_object(service: Asked, checked: CheckedDriver) -> None:
    """That it is durable is seen by a look: a writer would put a head in its place."""
    checked.put("a", b"data")
    writer = checked.open_writer("b")
    assert service.asked(lambda: checked.settle("a")) == ["get"]
    assert (checked.settle("b"), checked.settle("c")) == (False, False)
    assert service.objects["a"].data == b"data"
    writer.flush()
    assert checked.settle("b")

"""The toolkit for object stores: writing in pieces, and flushes without an answer."""

from __future__ import annotations

import os
from itertools import count
from threading import Event
from typing import TYPE_CHECKING

import pytest

from layerstore.driver import Unpublished
from layerstore.errors import BackendUnavailableError, DriverError, FencedError, NoSpaceError
from layerstore.objectstore import Limits
from layerstore.objectstore.stager import Stager
from layerstore.objectstore.store import PRIVATE
from layerstore.threads.pool import Pool

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects, lose, read, write
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects, lose, read, write


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


@pytest.mark.parametrize("method", ["submit", "add"])
def test_a_piece_that_was_not_sent_is_not_named(driver: Objects, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Ctrl-C comes before the piece is taken: what was accepted stays, and no head names what nobody has stored."""

    def interrupted(stager: Stager, piece: str, data: bytes) -> None:
        raise KeyboardInterrupt

    writer = driver.open_writer("a")
    writer.write(b"a" * LEAST)
    with monkeypatch.context() as patch:
        patch.setattr(Stager, method, interrupted)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012  (one of the two sends a piece by each method)
            writer.write(b"refused")
            writer.flush()
    writer.seek(2 * LEAST)
    writer.write(b"far")
    writer.flush()
    assert read(driver, "a")[:LEAST] == b"a" * LEAST


@pytest.mark.parametrize("refused", [False, True])
def test_a_piece_that_is_stored_when_its_writer_is_gone_is_deleted(
    service: Asked, driver: Objects, *, refused: bool
) -> None:
    """Nobody else knows of it, because its key was deleted before. If that is refused, only a scan tells it."""
    asked, deleted = Event(), Event()

    def hold_up(call: str, name: str) -> None:
        if call == "put" and PRIVATE in name:
            asked.set()
            assert deleted.wait(60)

    writer = driver.open_writer("a")
    service.before = hold_up
    writer.write(bytes(LEAST + 1))
    assert asked.wait(60)
    writer.discard()
    service.before = lambda call, name: None
    driver.delete("a")
    service.before = lambda call, name: lose(call, name) if refused and call == "delete" else None
    pool = driver._pool._pool
    assert pool is not None
    deleted.set()
    pool.shutdown()
    assert [each.name for each in driver.scan("") if isinstance(each, Unpublished)] == ["a"] * refused
    assert len(service.objects) == refused


def test_a_failed_write_leaves_nothing_beyond_the_end(driver: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later write behind it finds zeros there."""
    old, submit, sent = b"x" * (2 * LEAST + 3), Stager.submit, count()
    driver.put("a", old)
    writer = driver.open_writer("a")

    def interrupted(stager: Stager, piece: str, data: bytes) -> None:
        if next(sent) == 4:  # two pieces beyond the end are taken by then
            raise KeyboardInterrupt
        submit(stager, piece, data)

    with monkeypatch.context() as patch:
        patch.setattr(Stager, "submit", interrupted)
        writer.seek(0)
        with pytest.raises(KeyboardInterrupt):
            writer.write(b"w" * (6 * LEAST))
    writer.seek(len(old) + 4 * LEAST)
    writer.write(b"z")
    writer.close()
    assert read(driver, "a")[len(old) :] == bytes(4 * LEAST) + b"z"


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """None comes along from the parent."""
    pool = Pool(1, "pieces")
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

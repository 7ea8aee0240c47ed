"""The toolkit for object stores: moves that are cut off, and moves that meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from layerstore.errors import (
    BackendUnavailableError,
    PathNotFoundError,
)
from layerstore.objectstore import Limits
from layerstore.objectstore.move import PATIENCE, move
from layerstore.objectstore.store import Store

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects, lose, read, write
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects, lose, read, write


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

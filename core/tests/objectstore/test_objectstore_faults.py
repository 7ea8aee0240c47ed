"""The toolkit for object stores: lost requests, lost answers, and others that come in between any two requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import pytest

from layerstore.errors import BackendUnavailableError, DriverError, FencedError, PathNotFoundError

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects, lose, read, write
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects, lose, read, write

Act: TypeAlias = Callable[[Objects], Callable[[], object]]
"""Does with a store what comes before, and returns what is put to the test."""

OLD, NEW, MORE = b"o" * (2 * LEAST + 5), b"n" * (LEAST + 3), b"m" * (LEAST + 9)
SHORT, SMALL = b"a short object", b"s" * 3


def _flush(driver: Objects) -> Callable[[], object]:
    writer = driver.open_writer("a")
    writer.write(NEW)
    return writer.flush


def _end(driver: Objects) -> Callable[[], object]:
    """End a writer; if its answer is lost, another one ends the work, as no closed writer can."""
    writers = [driver.open_writer("a")]

    def end() -> None:
        writer = writers.pop() if writers else driver.open_writer("a")
        writer.seek(0)
        writer.write(SMALL)
        writer.end()

    return end


def _put_short(driver: Objects) -> None:
    driver.put("a", SHORT)


def _after(prepare: Callable[[Objects], object], act: Act) -> Act:
    def prepared(driver: Objects) -> Callable[[], object]:
        prepare(driver)
        return act(driver)

    return prepared


def _put_old(driver: Objects) -> None:
    driver.put("a", OLD)


def _write_old(driver: Objects) -> None:
    write(driver, "a", OLD)


def _write_both(driver: Objects) -> None:
    write(driver, "a", OLD)
    write(driver, "b", MORE)


def _at_version(driver: Objects) -> Callable[[], object]:
    version = driver.stat("a").version
    return lambda: driver.move("a", "b", version=version)


PUT: Act = lambda driver: lambda: driver.put("a", NEW)  # noqa: E731  (a row of a table)
OPEN: Act = lambda driver: lambda: driver.open_writer("a")  # noqa: E731  (a row of a table)
MOVE: Act = lambda driver: lambda: driver.move("a", "b")  # noqa: E731  (a row of a table)
DELETE: Act = lambda driver: lambda: driver.delete("a")  # noqa: E731  (a row of a table)

ACTS: dict[str, Act] = {
    "a first put": PUT,
    "a put over an object": _after(_put_old, PUT),
    "a put over pieces": _after(_write_old, PUT),
    "a first flush": _flush,
    "a flush over an object": _after(_put_old, _flush),
    "a flush over pieces": _after(_write_old, _flush),
    "a first end": _end,
    "an end over an object": _after(_put_short, _end),
    "the opening of a new object": OPEN,
    "the opening of an object": _after(_put_old, OPEN),
    "the opening of pieces": _after(_write_old, OPEN),
    "a move of an object": _after(_put_old, MOVE),
    "a move of pieces": _after(_write_old, MOVE),
    "a move over another": _after(_write_both, MOVE),
    "a move at a version": _after(_write_old, _at_version),
    "a delete of an object": _after(_put_old, DELETE),
    "a delete of pieces": _after(_write_old, DELETE),
}


def state(service: Asked) -> dict[str, bytes]:
    """Return what a fresh handle sees."""
    service.before = service.after = lambda call, name: None
    fresh = Objects(service)
    return {key: read(fresh, key) for key in fresh.list("")}


def outcome(act: Callable[[], object]) -> str:
    """Do something, and say how it ended."""
    try:
        act()
    except DriverError as error:
        return type(error).__name__
    return "done"


def requests_of(act: Act) -> range:
    """Number the requests that something makes."""
    service = Asked()
    return range(len(service.asked(act(Objects(service)))))


def each_request() -> Iterator[tuple[str, int]]:
    """Yield every request of everything that is put to the test."""
    yield from ((name, number) for name, act in ACTS.items() for number in requests_of(act))


@pytest.mark.parametrize("what", ["before", "after"], ids=["request lost", "answer lost"])
@pytest.mark.parametrize(("name", "number"), list(each_request()))
def test_what_is_lost_on_its_way_is_done_whole_or_not_at_all_and_can_be_done_again(
    name: str, number: int, what: str
) -> None:
    """After an error there is the old state or the new one, and the same call, made again, leads to the new one."""
    reference = Asked()
    ACTS[name](Objects(reference))()
    after = state(reference)
    service = Asked()
    act = ACTS[name](Objects(service))
    before = state(service)
    setattr(service, what, service.at(number, lose))
    ended = outcome(act)
    assert ended in {"done", "BackendUnavailableError"}
    between = state(service)
    if ended == "done":
        assert between == after
    else:
        assert between in (before, after, before | after)
        with suppress(PathNotFoundError):  # a move that was done, and of which the answer was lost
            act()
        assert state(service) == after


@pytest.mark.parametrize(("name", "number"), list(each_request()))
def test_a_request_that_the_client_makes_twice_is_done_once(name: str, number: int) -> None:
    """A client that hears nothing asks again, and the second answer is of a service that has done it already."""
    reference = Asked()
    ACTS[name](Objects(reference))()
    service = Twice()
    act = ACTS[name](Objects(service))
    service.twice = number
    act()
    assert state(service) == state(reference)


class Twice(Asked):
    """Does the request of a number twice, and gives the second answer."""

    twice = -1

    def _asked(self, call: str, act: Callable[..., object]) -> Callable[..., object]:  # type: ignore[override]  # the same, for any call
        ask = super()._asked(call, act)

        def again(*args: object, **kwargs: object) -> object:
            self.twice -= 1
            if self.twice == -1:
                act(*args, **kwargs)
            return ask(*args, **kwargs)

        return again


def test_a_head_that_was_put_twice_is_recognised_by_its_nonce() -> None:
    """One look is enough: it is not put a third time."""
    service = Twice()
    driver = Objects(service)
    service.twice = 1
    assert service.asked(lambda: driver.open_writer("a")) == ["get", "put", "get"]


def _append(driver: Objects) -> None:
    write(driver, "a", MORE)


INTRUDERS: dict[str, Callable[[Objects], object]] = {
    "puts": lambda driver: driver.put("a", MORE),
    "puts the same": lambda driver: driver.put("a", OLD),
    "opens": lambda driver: driver.open_writer("a"),
    "writes": _append,
    "deletes": lambda driver: driver.delete("a"),
    "moves away": lambda driver: driver.move("a", "c"),
    "moves": lambda driver: driver.move("a", "b"),
    "puts the target": lambda driver: driver.put("b", MORE),
}


def _one_after_the_other(act: Act, intruder: Callable[[Objects], object], *, first: bool) -> tuple[object, ...]:
    service = Asked()
    tried, other = act(Objects(service)), Objects(service)
    if first:
        did = outcome(lambda: intruder(other))
        ended = outcome(tried)
    else:
        ended = outcome(tried)
        did = outcome(lambda: intruder(other))
    return ended, did, state(service)


@pytest.mark.parametrize("who", INTRUDERS)
@pytest.mark.parametrize(("name", "number"), list(each_request()))
def test_whoever_comes_in_between_two_requests_came_before_or_after(name: str, number: int, who: str) -> None:
    """Whatever another handle does there, both end as if one had come after the other: nothing published is lost."""
    act, intruder = ACTS[name], INTRUDERS[who]
    allowed = [_one_after_the_other(act, intruder, first=first) for first in (True, False)]
    if "move" in name and who == "writes":  # it was opened before the source went, and published after the copy
        allowed.append(("done", "done", {"a": OLD + MORE, "b": OLD}))
    service = Asked()
    tried, other = act(Objects(service)), Objects(service)
    did: list[str] = []
    service.before = service.at(number, lambda call, key: did.append(outcome(lambda: intruder(other))))
    ended = outcome(tried)
    assert (ended, *did, state(service)) in allowed


def test_a_busy_service_is_asked_again() -> None:
    """A conflict with a change under way is refused like a condition, although nothing has changed."""
    service = Asked()
    driver = Objects(service)

    def conflict(call: str, name: str) -> None:
        raise FencedError(name, "ConditionalRequestConflict")

    service.before = service.at(1, conflict)
    write(driver, "a", NEW)
    assert state(service) == {"a": NEW}


def test_a_service_that_refuses_for_ever_is_given_up() -> None:
    """It is not asked without end."""
    service = Asked()
    driver = Objects(service)

    def conflict(call: str, name: str) -> None:
        if call == "put":
            raise FencedError(name)

    service.before = conflict
    with pytest.raises(BackendUnavailableError, match="refused 100 times"):
        driver.open_writer("a")

"""Pairs of calls on one key: the second comes at a moment of the first, and one has to come before the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import DriverError, FencedError, PathNotFoundError
from layerstore_conformance.kit.moments import IsMoment, Meeting, call_or_return

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

OLD: Final = b"old, "
PUT: Final = b"put"


class Ends(NamedTuple):
    """What became of two calls, and what is there afterwards."""

    first: str
    """``done``, or the name of the error."""
    second: str
    there: dict[str, bytes]
    """Every key below ``d`` and its bytes."""


Act = Callable[[], object]


class Pair(NamedTuple):
    """Two calls, and the ends that they may have."""

    first: Act
    second: Act
    allowed: Callable[[Ends], bool]


def _writer(driver: CheckedDriver, data: bytes) -> Writer:
    writer = driver.open_writer("d/key")
    writer.write(data)
    return writer


def _new(driver: CheckedDriver, data: bytes) -> Writer:
    driver.delete("d/key")
    return _writer(driver, data)


def _rewriting(driver: CheckedDriver, data: bytes) -> Writer:
    writer = driver.open_writer("d/key")
    writer.seek(0)
    writer.write(data)
    return writer


Begin = Callable[["CheckedDriver", bytes], "Writer"]
"""Opens a writer, and writes."""


def _append(driver: CheckedDriver, data: bytes) -> Act:
    return lambda: _writer(driver, data).close()


def _done(ends: Ends) -> list[bytes]:
    return [data for data, outcome in ((b"one", ends.first), (b"two", ends.second)) if outcome == "done"]


def _flush_and_append(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    writer = _writer(one, b"one")
    wanted = lambda ends: ends.second == "done" and ends.there == {"d/key": pad + OLD + b"".join(_done(ends))}  # noqa: E731
    return Pair(writer.close, _append(two, b"two"), wanted)


def _append_and_append(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    def allowed(ends: Ends) -> bool:
        done = _done(ends)
        orders = [b"".join(done), b"".join(reversed(done))]
        return bool(done) and ends.there in [{"d/key": pad + OLD + each} for each in orders]

    return Pair(_append(one, b"one"), _append(two, b"two"), allowed)


def _flush_and_put(one: CheckedDriver, two: CheckedDriver, pad: bytes, begin: Begin = _writer) -> Pair:
    del pad
    writer = begin(one, b"one")
    return Pair(writer.close, lambda: two.put("d/key", PUT), lambda ends: ends.there == {"d/key": PUT})


def _first_flush_and_append(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    del pad
    wanted = lambda ends: ends.second == "done" and ends.there == {"d/key": b"".join(_done(ends))}  # noqa: E731
    return Pair(_new(one, b"one").close, _append(two, b"two"), wanted)


def _first_flush_and_move_over(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    del pad
    two.put("d/source", PUT)
    writer = _new(one, b"one")
    return Pair(writer.close, lambda: two.move("d/source", "d/key"), lambda ends: ends.there == {"d/key": PUT})


def _rewrite_and_append(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    def allowed(ends: Ends) -> bool:
        before = pad + OLD
        before = b"one" + before[3:] if ends.first == "done" else before
        return ends.second == "done" and ends.there == {"d/key": before + b"two"}

    return Pair(_rewriting(one, b"one").close, _append(two, b"two"), allowed)


def _put_and_flush(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    pair = _flush_and_put(two, one, pad)
    return Pair(pair.second, pair.first, pair.allowed)


def _put_and_put(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    return Pair(
        lambda: one.put("d/key", pad + b"one"),
        lambda: two.put("d/key", b"two"),
        lambda ends: ends in [Ends("done", "done", {"d/key": each}) for each in (pad + b"one", b"two")],
    )


def _flush_and_delete(one: CheckedDriver, two: CheckedDriver, pad: bytes, begin: Begin = _writer) -> Pair:
    del pad
    writer = begin(one, b"one")
    return Pair(writer.close, lambda: two.delete("d/key"), lambda ends: ends.there == {})


def _delete_and_flush(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    del pad
    writer = _writer(two, b"two")
    return Pair(lambda: one.delete("d"), writer.close, lambda ends: ends.there == {})


def _flush_and_move(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    writer = _writer(one, b"one")

    def allowed(ends: Ends) -> bool:
        return ends.second == "done" and ends.there == {"d/away": pad + OLD + (b"one" if ends.first == "done" else b"")}

    return Pair(writer.close, lambda: two.move("d/key", "d/away"), allowed)


def _move_at_a_version_and_flush(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    version, writer = one.stat("d/key").version, _writer(two, b"two")

    def allowed(ends: Ends) -> bool:
        moved = Ends("done", "FencedError", {"d/away": pad + OLD})
        flushed = Ends("FencedError", "done", {"d/key": pad + OLD + b"two"})
        return ends in (moved, flushed)

    return Pair(lambda: one.move("d/key", "d/away", version=version), writer.close, allowed)


def _flush_and_move_at_a_version(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    pair = _move_at_a_version_and_flush(two, one, pad)
    moved = Ends("FencedError", "done", {"d/away": pad + OLD})
    flushed = Ends("done", "FencedError", {"d/key": pad + OLD + b"two"})
    return Pair(pair.second, pair.first, lambda ends: ends in (moved, flushed))


def _move_and_move(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    def allowed(ends: Ends) -> bool:
        first = Ends("done", "PathNotFoundError", {"d/one": pad + OLD})
        return ends in (first, Ends("PathNotFoundError", "done", {"d/two": pad + OLD}))

    return Pair(lambda: one.move("d/key", "d/one"), lambda: two.move("d/key", "d/two"), allowed)


def _delete_and_put(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    del pad
    return Pair(
        lambda: one.delete("d"),
        lambda: two.put("d/key", PUT),
        lambda ends: ends in (Ends("done", "done", {}), Ends("done", "done", {"d/key": PUT})),
    )


def _put_and_delete(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    pair = _delete_and_put(two, one, pad)
    return Pair(pair.second, pair.first, pair.allowed)


def _put_beside(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    ends = Ends("done", "done", {"d/key": PUT, "d/beside": PUT})
    del pad
    return Pair(lambda: one.put("d/key", PUT), lambda: two.put("d/beside", PUT), lambda found: found == ends)


def _append_beside(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    ends = Ends("done", "done", {"d/key": pad + OLD + b"one", "d/beside": PUT})
    return Pair(_append(one, b"one"), lambda: two.put("d/beside", PUT), lambda found: found == ends)


BELOW: Final = ("d/tree/1", "d/tree/deep/1", "d/tree/deep/deeper/1", "d/tree/deep/deeper/deepest/1", "d/tree/wide/1")
"""Keys on several levels below a prefix."""


def _two_deletes(one: CheckedDriver, two: CheckedDriver, prefix: str) -> Pair:
    for key in BELOW:
        one.put(key, OLD)
    done = lambda ends: (ends.first, ends.second, [*ends.there]) == ("done", "done", ["d/key"])  # noqa: E731
    return Pair(lambda: one.delete("d/tree"), lambda: two.delete(prefix), done)


def _delete_and_delete(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    del pad
    return _two_deletes(one, two, "d/tree")


def _delete_and_delete_below(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    del pad
    return _two_deletes(one, two, "d/tree/deep")


def _delete_and_move_from_below(one: CheckedDriver, two: CheckedDriver, pad: bytes) -> Pair:
    deletes = _two_deletes(one, two, "d/tree")
    moved = {"d/key": pad + OLD, "d/moved": OLD}
    ends = Ends("done", "done", moved), Ends("done", "PathNotFoundError", {"d/key": pad + OLD})
    return Pair(deletes.first, lambda: two.move(BELOW[3], "d/moved"), lambda found: found in ends)


Make = Callable[["CheckedDriver", "CheckedDriver", bytes], Pair]
"""Makes a pair of two drivers; the object's bytes begin with the third."""

PAIRS: Final[dict[str, Make]] = {
    "flush, append by another": _flush_and_append,
    "append, append by another": _append_and_append,
    "flush, put": _flush_and_put,
    "first flush, put": partial(_flush_and_put, begin=_new),
    "first flush, append by another": _first_flush_and_append,
    "first flush, move over": _first_flush_and_move_over,
    "first flush, delete": partial(_flush_and_delete, begin=_new),
    "flush of a rewrite, put": partial(_flush_and_put, begin=_rewriting),
    "flush of a rewrite, append by another": _rewrite_and_append,
    "put, flush": _put_and_flush,
    "put, put": _put_and_put,
    "flush, delete": _flush_and_delete,
    "delete of the prefix, flush": _delete_and_flush,
    "flush, move away": _flush_and_move,
    "move at a version, flush": _move_at_a_version_and_flush,
    "flush, move at a version": _flush_and_move_at_a_version,
    "move, move": _move_and_move,
    "delete of the prefix, put": _delete_and_put,
    "put, delete of the prefix": _put_and_delete,
    "delete of the prefix, delete of the prefix": _delete_and_delete,
    "delete of the prefix, delete of a prefix below": _delete_and_delete_below,
    "delete of the prefix, move of the last key below": _delete_and_move_from_below,
    "put, put beside it": _put_beside,
    "append, put beside it": _append_beside,
}


def met(
    ctx: Context, make: Make, other: CheckedDriver, pad: bytes, moment: int, is_moment: IsMoment = call_or_return
) -> int:
    """Have a pair of calls meet at a moment of the first, and check the end; return how many moments the first has."""
    ctx.driver.delete("d")
    ctx.driver.put("d/key", pad + OLD)
    pair = make(ctx.driver, other, pad)
    outcomes = ["", ""]
    meeting = Meeting(lambda: _noted(pair.second, outcomes, 1), moment, is_moment)
    meeting.of(lambda: _noted(pair.first, outcomes, 0))
    driver = ctx.open()
    ends = Ends(outcomes[0], outcomes[1], {key: driver.get(key, 1 << 30) for key in ctx.stored("d")})
    told = {key: f"{len(data)} bytes, ending with {data[-20:]!r}" for key, data in ends.there.items()}
    ctx.count("moments")
    assert pair.allowed(ends), (
        f"the first call: {ends.first}, the second, at its event {moment}: {ends.second}; there is {told}"
    )
    return meeting.events


def _noted(act: Act, outcomes: list[str], number: int) -> None:
    """Do something, and note whether it was done."""
    try:
        act()
        outcomes[number] = "done"
    except (FencedError, PathNotFoundError) as error:
        outcomes[number] = type(error).__name__
    except DriverError as error:
        outcomes[number] = f"{type(error).__name__}: {error}"

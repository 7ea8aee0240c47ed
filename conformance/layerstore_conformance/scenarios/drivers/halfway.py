"""Half way: another thread looks at every moment of a put, flush, move or delete, of objects of any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.moments import looked_at
from layerstore_conformance.steps.points import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

SAMPLE = 200
"""Bytes that are read of the beginning, the middle and the end of an object: it is looked at a hundred times."""


@dataclass
class Step:
    """A call that must be one step, and what is under the keys before and after it; None for nothing."""

    act: Callable[[], object]
    before: dict[str, bytes | None]
    after: dict[str, bytes | None]


def _sampled(driver: CheckedDriver, key: str) -> tuple[int, bytes, bytes, bytes] | None:
    try:
        with driver.open_reader(key) as reader:
            parts = []
            for at in (0, reader.size // 2, max(0, reader.size - SAMPLE)):
                reader.seek(at)
                parts.append(reader.read(SAMPLE))
            return (reader.size, *parts)  # type: ignore[return-value]  # three
    except PathNotFoundError:
        return None


def _sample(data: bytes | None) -> tuple[int, bytes, bytes, bytes] | None:
    if data is None:
        return None
    middle, end = len(data) // 2, max(0, len(data) - SAMPLE)
    return len(data), data[:SAMPLE], data[middle : middle + SAMPLE], data[end:]


def _old(ctx: Context, size: int) -> bytes:
    return bulk("old", size, ctx.seed)


def _new(ctx: Context, size: int) -> bytes:
    return bulk("new", size + 1000, ctx.seed)


def _put(ctx: Context, size: int) -> Step:
    new = _new(ctx, size)
    return Step(partial(ctx.driver.put, "key", new), {"key": None}, {"key": new})


def _put_over(ctx: Context, size: int) -> Step:
    ctx.driver.put("key", _old(ctx, size))
    new = _new(ctx, size)
    return Step(partial(ctx.driver.put, "key", new), {"key": _old(ctx, size)}, {"key": new})


def _put_longer(ctx: Context, size: int) -> Step:
    ctx.driver.put("key", old := _old(ctx, 700))
    new = _new(ctx, size)
    return Step(partial(ctx.driver.put, "key", new), {"key": old}, {"key": new})


def _flush_new(ctx: Context, size: int) -> Step:
    new, writer = _new(ctx, size), ctx.driver.open_writer("key")
    for start in range(0, len(new), 1 << 20):
        writer.write(new[start : start + (1 << 20)])
    return Step(writer.close, {"key": None}, {"key": new})


def _flush_append(ctx: Context, size: int) -> Step:
    ctx.driver.put("key", old := _old(ctx, size // 3))
    new, writer = _new(ctx, size), ctx.driver.open_writer("key")
    for part in (new[: len(new) // 2], new[len(new) // 2 :]):
        writer.write(part)
    return Step(writer.close, {"key": old}, {"key": old + new})


def _flush_over(ctx: Context, size: int) -> Step:
    """Write over the beginning, the middle and the end: two of them may not show without the third."""
    ctx.driver.put("key", old := _old(ctx, size))
    model, writer = bytearray(old), ctx.driver.open_writer("key")
    for at in (size // 2, 0, size - SAMPLE):
        writer.seek(at)
        writer.write(part := bulk("over", SAMPLE, ctx.seed))
        model[at : at + SAMPLE] = part
    return Step(writer.close, {"key": old}, {"key": bytes(model)})


def _move(ctx: Context, size: int) -> Step:
    ctx.driver.put("source", new := _new(ctx, size))
    return Step(partial(ctx.driver.move, "source", "key"), {"key": None}, {"key": new})


def _move_over(ctx: Context, size: int) -> Step:
    ctx.driver.put("key", old := _old(ctx, size))
    step = _move(ctx, size)
    return Step(step.act, {"key": old}, step.after)


def _move_small_over(ctx: Context, size: int) -> Step:
    ctx.driver.put("key", old := _old(ctx, size))
    ctx.driver.put("source", new := _new(ctx, 900))
    version = ctx.driver.stat("source").version
    return Step(partial(ctx.driver.move, "source", "key", version=version), {"key": old}, {"key": new})


def _delete(ctx: Context, size: int) -> Step:
    ctx.driver.put("key", old := _old(ctx, size))
    return Step(partial(ctx.driver.delete, "key"), {"key": old}, {"key": None})


STEPS = Axis(
    "step",
    {
        "put": _put,
        "put over": _put_over,
        "put over a small one": _put_longer,
        "flush of a new object": _flush_new,
        "flush of an append": _flush_append,
        "flush of overwriting": _flush_over,
        "move": _move,
        "move over": _move_over,
        "move of a small one over": _move_small_over,
        "delete": _delete,
    },
)


@scenario(
    *("P1", "W6", "M2", "T1", "D4", "E4"),
    kills=("torn-put-above", "torn-flush-above", "move-drops-large-target", "put-in-two-steps", "flush-in-two-steps"),
    rows=(119, 145),
    axes=(STEPS, CLASSES),
)
def nobody_sees_a_change_of_any_size_half_way(ctx: Context, step: Callable[[Context, int], Step], size: int) -> None:
    """At every moment of a put, flush, move or delete of an object of any size, others see all of it or nothing.

    Large objects go another way through most drivers than small ones: in parts, that are joined at the end.
    """
    made, driver = step(ctx, size), ctx.open()
    allowed = {key: (_sample(made.before[key]), _sample(made.after[key])) for key in made.after}

    def look() -> None:
        for key, samples in allowed.items():
            try:
                found = _sampled(driver, key)
            except BackendUnavailableError:
                continue  # replaced while it was read (clause R4)
            assert found in samples, f"seen half way: {key} of {_size(found)}, not {' or '.join(map(_size, samples))}"

    ctx.count("moments", looked_at(made.act, look))
    for key, data in made.after.items():
        if data is None:
            assert ctx.driver.find(key) is None, f"{key} is there afterwards"
        else:
            ctx.expect(key, data)


def _size(sample: tuple[int, bytes, bytes, bytes] | None) -> str:
    return "nothing" if sample is None else f"{sample[0]} bytes, beginning with {sample[1][:24]!r}"


@scenario("M2", "T1", kills=("move-drops-the-source-first",), rows=(94, 119), axes=(CLASSES,))
def an_object_of_any_size_is_somewhere_while_it_moves(ctx: Context, size: int) -> None:
    """At every moment of a move an object of any size is whole under its source, its target or both."""
    data = bulk("old", size, ctx.seed)
    ctx.driver.put("source", data)
    driver, wanted = ctx.open(), _sample(data)

    def look() -> None:
        found = []
        for key in ("source", "target"):  # in the order of the move, so that it cannot slip by
            try:
                found.append(_sampled(driver, key))
            except BackendUnavailableError:
                return
        assert wanted in found, f"under the source {_size(found[0])}, under the target {_size(found[1])}"

    ctx.count("moments", looked_at(partial(ctx.driver.move, "source", "target"), look))
    ctx.expect("target", data)

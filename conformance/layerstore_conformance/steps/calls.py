"""Calls that change what is stored, with what is there before them, and what may be there if they are cut short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.kit.payloads import Payload

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver

OLD, NEW, MORE = (Payload(label).read(3000) for label in ("old", "new", "more"))

Stored = Mapping[str, bytes]


class Call(NamedTuple):
    """A call, what is there before it, and what may be there after it was interrupted."""

    act: Callable[[CheckedDriver], object]
    before: Stored
    may_be: Callable[[Stored], bool]
    done: Stored
    """What is there when it has been done, or done again."""


def _is_one_of(*trees: Stored) -> Callable[[Stored], bool]:
    return lambda found: any(found == tree for tree in trees)


def _is_deleted_in_part(found: Stored) -> bool:
    return found.items() <= TREE.items() and "d/beside" in found


def _is_moved_or_not(found: Stored) -> bool:
    moved = found.get("d/source") == NEW or found.get("d/target") == NEW
    return moved and found.items() <= {"d/source": NEW, "d/target": NEW}.items()


def _is_moved_over_or_not(found: Stored) -> bool:
    moved = found.get("d/source", NEW) == NEW and found.get("d/target") == NEW
    return moved or found == {"d/source": NEW, "d/target": OLD}


TREE = {"d/beside": OLD, "d/tree/one": OLD, "d/tree/two/deep": NEW}

CALLS = Axis(
    "call",
    {
        "put": Call(lambda driver: driver.put("d/key", NEW), {}, _is_one_of({}, {"d/key": NEW}), {"d/key": NEW}),
        "put over": Call(
            lambda driver: driver.put("d/key", NEW),
            {"d/key": OLD},
            _is_one_of({"d/key": OLD}, {"d/key": NEW}),
            {"d/key": NEW},
        ),
        "move": Call(
            lambda driver: driver.move("d/source", "d/target"), {"d/source": NEW}, _is_moved_or_not, {"d/target": NEW}
        ),
        "move over": Call(
            lambda driver: driver.move("d/source", "d/target"),
            {"d/source": NEW, "d/target": OLD},
            _is_moved_over_or_not,
            {"d/target": NEW},
        ),
        "move at a version": Call(
            lambda driver: driver.move("d/source", "d/target", version=driver.stat("d/source").version),
            {"d/source": NEW},
            _is_moved_or_not,
            {"d/target": NEW},
        ),
        "delete": Call(
            lambda driver: driver.delete("d/key"),
            {"d/key": OLD, "d/key2": NEW},
            _is_one_of({"d/key": OLD, "d/key2": NEW}, {"d/key2": NEW}),
            {"d/key2": NEW},
        ),
        "delete of a prefix": Call(
            lambda driver: driver.delete("d/tree"), TREE, _is_deleted_in_part, {"d/beside": OLD}
        ),
    },
)


def told(found: Stored) -> str:
    """Return what there is in words."""
    names = {OLD: "old", NEW: "new"}
    return ", ".join(f"{key}: {names.get(data, f'{len(data)} bytes')}" for key, data in found.items()) or "nothing"

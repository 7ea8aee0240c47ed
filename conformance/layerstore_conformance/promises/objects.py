"""A life of some objects in a process of its own, which strace watches: ``python -m`` this module, and a request.

After each call of the driver the process writes down, by a system call that the trace has, how many have returned.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from layerstore import AccessDeniedError, DriverError, FencedError, NoSpaceError, PathNotFoundError, Writer
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.defect import defect_named, planted_before
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.promises import beside, predecessors, unflushed
from layerstore_conformance.promises.states import Around, Lived, State, without
from layerstore_conformance.promises.traced import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver


class Objects(NamedTuple):
    """What is to be done: it is pickled."""

    opens: str | Callable[[], Driver]
    """The URL of the store, or what opens it."""
    planted: tuple[str, ...]
    """The planted defects."""
    marks: Path
    states: Path
    """Where to put the states: that before the first call, and that after each."""
    top: Path
    """The directory that is traced."""
    amid: str = "nothing"
    """What happens meanwhile: one of :data:`LIVES`."""


def calls(driver: CheckedDriver, _around: Around) -> Iterator[State]:
    """Call the driver, and yield after each call what there must be from now on."""
    old, new, more = bulk("old", 100_000), bulk("new", 70_000), bulk("more", 300_000)
    state: State = {}
    yield state
    driver.put("d/put", old)
    yield (state := {**state, "d/put": old})
    writer = driver.open_writer("d/written")
    writer.write(new)
    writer.flush()
    yield (state := {**state, "d/written": new})
    writer.write(more)
    writer.flush()
    yield (state := {**state, "d/written": new + more})
    writer.seek(1000)
    writer.write(old)
    writer.close()
    written = new[:1000] + old + (new + more)[101_000:]
    yield (state := {**state, "d/written": written})
    writer = driver.open_writer("d/put")
    writer.write(more)
    writer.discard()
    yield state
    driver.move("d/written", "e/f/moved")
    yield (state := {"d/put": old, "e/f/moved": written})
    driver.move("d/put", "e/f/moved", version=driver.stat("d/put").version)
    yield (state := {"e/f/moved": old})
    driver.put("e/f/moved", new)
    yield (state := {"e/f/moved": new})
    with driver.open_writer("e/f/moved") as appending:
        appending.write(b"a few bytes")
    yield (state := {"e/f/moved": new + b"a few bytes"})
    driver.put("e/beside", old)
    yield (state := {**state, "e/beside": old})
    driver.delete("e/f")
    yield (state := {"e/beside": old})
    driver.put("e/f/moved", more)
    yield (state := {**state, "e/f/moved": more})
    driver.move("e/f/moved", "e/f/renamed")
    yield (state := {"e/beside": old, "e/f/renamed": more})
    driver.delete("e")
    yield {}


def calls_amid_failures(driver: CheckedDriver, around: Around) -> Iterator[State]:
    """Call the driver, and again if that fails. What has returned is promised; what has not may be anything.

    A call that failed has done nothing, as another handle sees it, or its acknowledgement was lost, and it is done as a
    whole (clause E4).
    """
    state: State = {}
    yield state
    old, new = bulk("old", 10_000), bulk("new", 7000)
    for number in range(2):
        key, target = f"d/{number}", f"e/{number}/moved"
        yield (state := {**state, key: None})
        if not _in_the_end(partial(driver.put, key, old), partial(_see, around, [key], {}, {key: old})):
            continue
        yield (state := {**state, key: old})
        whole = old
        for data in (new, old, new):
            yield (state := {**state, key: None})
            if not _written(driver, around, key, whole, data):
                break
            whole += data
            yield (state := {**state, key: whole})
        else:
            yield (state := {**state, key: None, target: None})
            halfway = ({key: whole}, {target: whole}, {key: whole, target: whole})
            if _in_the_end(partial(driver.move, key, target), partial(_see, around, [key, target], *halfway)):
                yield (state := {**without(state, key), target: whole})


def _written(driver: CheckedDriver, around: Around, key: str, whole: bytes, data: bytes) -> bool:
    """Append to an object, and flush one writer until that returns; return whether it did."""
    look = partial(_see, around, [key], {key: whole}, {key: whole + data})
    for _ in range(3):
        try:
            with ExitStack() as end:
                writer = driver.open_writer(key)
                end.callback(writer.discard)
                writer.write(data)
                return _in_the_end(partial(_flushed, writer), look)
        except DriverError as error:
            _expect_told(error)
    return False


def _flushed(writer: Writer) -> None:
    """Flush a writer that nobody has fenced."""
    try:
        writer.flush()
    except FencedError as error:
        raise AssertionError("a flush that had failed has fenced its own writer (clause W8)") from error


def _in_the_end(act: Callable[[], object], look: Callable[[], None] = lambda: None) -> bool:
    """Call something until it returns, three times at most, and look after each failure; return whether it did."""
    for _ in range(3):
        try:
            act()
        except DriverError as error:
            _expect_told(error)
            look()
        else:
            return True
    return False


def _expect_told(error: DriverError) -> None:
    """Check that an error of the disk is not told as another cause: that it is full, say (E1)."""
    told = isinstance(error, NoSpaceError | AccessDeniedError)
    assert not told, f"a sync failed by an error of the disk, and this was told: {error!r}"


def _see(around: Around, keys: list[str], *allowed: State) -> None:
    """Check that another handle finds some objects as one of the states has them."""
    found: dict[str, bytes] = {}
    with closing(around.open()) as other:
        for key in keys:
            with suppress(PathNotFoundError):
                found[key] = other.get(key, 1 << 20)
    sizes = {key: len(data) for key, data in found.items()}
    assert found in allowed, f"after a call that failed another handle finds, with these sizes, {sizes}"


LIVES: dict[str, Lived] = {
    "nothing": calls,
    "failures": calls_amid_failures,
    "other programs": beside.calls_beside,
    "killed processes": predecessors.calls_after_processes_were_killed,
    "no store": beside.calls_in_a_store_to_be_made,
    "files of others": beside.calls_on_files_of_others,
    "directories made anew": beside.calls_in_directories_made_anew,
    "removals by others": beside.calls_that_delete_what_is_gone,
    "foreign things": beside.calls_beside_foreign_things,
    "open writers": unflushed.calls_over_open_writers,
    "unflushed bytes": unflushed.calls_with_unflushed_bytes,
}
"""What is done amid which."""


def live(what: Objects) -> None:
    """Make a store, do all that, and keep the states."""
    marks = os.open(what.marks, os.O_WRONLY | os.O_CREAT, 0o600)
    states: list[State] = []
    with planted_before(opened(what.opens), map(defect_named, what.planted)) as driver:
        checked = CheckedDriver(driver)
        _in_the_end(partial(checked.put, "begun", b""))
        _in_the_end(partial(checked.delete, "begun"))
        around = Around(what.top, lambda: CheckedDriver(opened(what.opens)))
        for state in LIVES[what.amid](checked, around):
            states.append(state)
            os.write(marks, b"%d" % (len(states) - 1))
        checked.close()
    what.states.write_bytes(pickle.dumps(states))


if __name__ == "__main__":
    live(pickle.loads(Path(sys.argv[1]).read_bytes()))  # noqa: S301  (of the process that has started this one)

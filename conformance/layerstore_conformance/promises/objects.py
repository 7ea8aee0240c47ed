"""A life of some objects in a process of its own, which strace watches: ``python -m`` this module, and a request.

After each call of the driver the process writes down, by a system call that the trace has, how many have returned.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from layerstore import AccessDeniedError, DriverError, NoSpaceError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.defect import defect_named, planted_before
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.promises.traced import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver

State = Mapping[str, bytes | None]
"""The bytes of every object; None of one that may be anything."""


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
    """The directory of the store."""
    amid: Literal["nothing", "other programs", "failures"] = "nothing"
    """What happens meanwhile."""


def calls(driver: CheckedDriver, _top: Path) -> Iterator[State]:
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


def calls_beside(driver: CheckedDriver, top: Path) -> Iterator[State]:
    """Call the driver after another program, which syncs nothing, has made directories and changed files below ``top``.

    What a call of the driver has promised includes what lies there by then. A driver that keeps objects in files of
    other names, or all in one, is not touched by this.
    """
    old, new, more = bulk("old", 100_000), bulk("new", 70_000), bulk("more", 30_000)
    state: State = {}
    yield state
    (top / "p" / "q").mkdir(parents=True)
    driver.put("p/q/put", old)
    yield (state := {"p/q/put": old})
    (top / "r").mkdir()
    with driver.open_writer("r/written") as writer:
        writer.write(new)
    yield (state := {**state, "r/written": new})
    (top / "s" / "t").mkdir(parents=True)
    for key, target in (("r/written", "s/t/moved"), ("s/t/moved", "s/again"), ("p/q/put", "p/flushed")):
        yield (state := {**state, key: None})
        data = more if _rewritten(top / key, more) else driver.get(key, 1 << 20)
        if key.startswith("p"):
            driver.open_writer(key).close()
            yield (state := {**state, key: data})
        driver.move(key, target)
        yield (state := {**{other: state[other] for other in state if other != key}, target: data})


def calls_amid_failures(driver: CheckedDriver, _top: Path) -> Iterator[State]:
    """Call the driver, and again if that fails. What has returned is promised; what has not may be anything."""
    state: State = {}
    yield state
    old, new = bulk("old", 10_000), bulk("new", 7000)
    for number in range(2):
        key, target = f"d/{number}", f"e/{number}/moved"
        yield (state := {**state, key: None})
        if not _in_the_end(partial(driver.put, key, old)):
            continue
        yield (state := {**state, key: old})
        whole = old
        for data in (new, old, new):
            yield (state := {**state, key: None})
            if not _written(driver, key, data):
                break
            whole += data
            yield (state := {**state, key: whole})
        else:
            yield (state := {**state, key: None, target: None})
            if _in_the_end(partial(driver.move, key, target)):
                yield (state := {**{other: state[other] for other in state if other != key}, target: whole})


def _written(driver: CheckedDriver, key: str, data: bytes) -> bool:
    """Append to an object, and flush one writer until that returns; return whether it did."""
    for _ in range(3):
        with _suppressed(), ExitStack() as end:
            writer = driver.open_writer(key)
            end.callback(writer.discard)
            writer.write(data)
            return _in_the_end(writer.flush)
    return False


def _in_the_end(act: Callable[[], object]) -> bool:
    """Call something until it returns, three times at most; return whether it did."""
    for _ in range(3):
        with _suppressed():
            act()
            return True
    return False


@contextmanager
def _suppressed() -> Iterator[None]:
    """Suppress the errors that a failing disk may cause.

    Raises:
        AssertionError: another cause was told, that the disk is full, say (E1).
    """
    try:
        yield
    except (NoSpaceError, AccessDeniedError) as error:
        raise AssertionError(f"a sync failed by an error of the disk, and this was told: {error!r}") from error
    except DriverError:
        pass


def _rewritten(path: Path, data: bytes) -> bool:
    """Have another program write over a file, if there is one."""
    if path.is_file():
        path.write_bytes(data)
        return True
    return False


LIVES = {"nothing": calls, "other programs": calls_beside, "failures": calls_amid_failures}
"""What is done amid which."""


def live(what: Objects) -> None:
    """Make a store, do all that, and keep the states."""
    marks = os.open(what.marks, os.O_WRONLY | os.O_CREAT, 0o600)
    states: list[State] = []
    with planted_before(opened(what.opens), map(defect_named, what.planted)) as driver:
        checked = CheckedDriver(driver)
        _in_the_end(partial(checked.put, "begun", b""))
        _in_the_end(partial(checked.delete, "begun"))
        for state in LIVES[what.amid](checked, what.top):
            states.append(state)
            os.write(marks, b"%d" % (len(states) - 1))
        checked.close()
    what.states.write_bytes(pickle.dumps(states))


if __name__ == "__main__":
    live(pickle.loads(Path(sys.argv[1]).read_bytes()))  # noqa: S301  (of the process that has started this one)

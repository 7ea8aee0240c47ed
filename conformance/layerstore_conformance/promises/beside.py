"""Lives of objects beside other programs, which make, change and remove files and directories, and sync nothing.

What a call of the driver has promised includes what lies there by then. A driver that keeps objects in files of other
names, or all in one, is not touched by what the others do; most of these lives are then short.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

from layerstore import BackendUnavailableError
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.promises.states import Around, Lived, State, without

NOT_YET = "not/yet/there"
"""The directories of a store that is to be made."""

OLD, NEW, MORE = bulk("old", 1000), bulk("new", 700), bulk("more", 300)


def calls_beside(driver: CheckedDriver, around: Around) -> Iterator[State]:
    """Call the driver after another program has made directories and changed files."""
    top = around.top
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
        yield (state := {**without(state, key), target: data})


def of_files(live: Lived) -> Lived:
    """Live so only if the driver keeps objects in files of their names; else store one object, which nobody touches."""

    def lived(driver: CheckedDriver, around: Around) -> Iterator[State]:
        driver.put("first", OLD)
        if not (around.top / "first").is_file():
            yield {"first": OLD}
            return
        driver.delete("first")
        yield from live(driver, around)

    return lived


def calls_in_a_store_to_be_made(driver: CheckedDriver, around: Around) -> Iterator[State]:
    """Call a driver whose store, and the directories above it, are not there yet."""
    yield {}
    try:
        driver.put("d/put", OLD)
    except BackendUnavailableError:  # it makes the store, but not the directories above
        (around.top / NOT_YET).mkdir(parents=True)
        driver.put("d/put", OLD)
        yield {"d/put": None}
        return
    yield {"d/put": OLD}
    with driver.open_writer("written") as writer:
        writer.write(NEW)
    yield {"d/put": OLD, "written": NEW}


@of_files
def calls_on_files_of_others(driver: CheckedDriver, around: Around) -> Iterator[State]:
    """Do everything that a driver can do to objects that another program has made, in directories old and new."""
    state: State = {}
    yield state
    for call in (_append, _append_twice, _rewrite, _settle, _move, _move_over, _put_over, _delete):
        driver.put(f"old{call.__name__}/put", NEW)
        yield (state := {**state, f"old{call.__name__}/put": NEW})
        for directory in (f"old{call.__name__}", f"new{call.__name__}/below"):
            key, beside = f"{directory}/made", f"{directory}/beside"
            yield (state := {**state, key: None, beside: None})
            _made_by_another(around.top, key)
            call(driver, key)
            yield (state := {**without(state, key, beside), **_AFTER[call](key)})


def _append(driver: CheckedDriver, key: str) -> None:
    with driver.open_writer(key) as writer:
        writer.write(MORE)


def _append_twice(driver: CheckedDriver, key: str) -> None:
    with driver.open_writer(key) as writer:
        writer.write(MORE[:10])
        writer.flush()
        writer.write(MORE[10:])


def _rewrite(driver: CheckedDriver, key: str) -> None:
    with driver.open_writer(key) as writer:
        writer.seek(10)
        writer.write(MORE)


def _settle(driver: CheckedDriver, key: str) -> None:
    driver.open_writer(key).close()


def _move(driver: CheckedDriver, key: str) -> None:
    driver.move(key, _beside(key))


def _move_over(driver: CheckedDriver, key: str) -> None:
    driver.put(_beside(key), NEW)
    driver.move(_beside(key), key)


def _put_over(driver: CheckedDriver, key: str) -> None:
    driver.put(key, NEW)


def _delete(driver: CheckedDriver, key: str) -> None:
    driver.delete(key)


def _beside(key: str) -> str:
    return f"{key.rpartition('/')[0]}/beside"


_AFTER: dict[Callable[[CheckedDriver, str], None], Callable[[str], State]] = {
    _append: lambda key: {key: OLD + MORE},
    _append_twice: lambda key: {key: OLD + MORE},
    _rewrite: lambda key: {key: OLD[:10] + MORE + OLD[310:]},
    _settle: lambda key: {key: OLD},
    _move: lambda key: {_beside(key): OLD},
    _move_over: lambda key: {key: NEW},
    _put_over: lambda key: {key: NEW},
    _delete: lambda _: {},
}
"""What there is after each call on an object of the old bytes."""


@of_files
def calls_in_directories_made_anew(driver: CheckedDriver, around: Around) -> Iterator[State]:
    """Use a directory again, which others have removed since, and made anew or brought from elsewhere."""
    state: State = {}
    yield state
    for number, call in enumerate((_put_over, _append, _move_over)):
        for depth, replace in product((1, 2), (_make_anew, _make_again, _bring_another)):
            top = f"{replace.__name__.strip('_')}-{number}-{depth}"
            directory = "/".join([top, "d", "e"][: 1 + depth])
            driver.put(f"{directory}/first", OLD)
            yield (state := {**state, f"{directory}/first": OLD})
            yield (state := {**state, f"{directory}/first": None, f"{directory}/beside": None})
            replace(around.top / top)
            (around.top / directory).mkdir(parents=True, exist_ok=True)
            call(driver, f"{directory}/second")
            yield (state := {**state, f"{directory}/second": MORE if call is _append else NEW})


_NUMBERS = 16
"""Directories made, so that one of them has a number that was free a moment ago: of several the lowest comes first."""


def _make_anew(directory: Path) -> None:
    """Have another program remove a directory, and make it anew: beside the old one, so that it is another inode's."""
    made = directory.with_name(f"{directory.name}.new")
    made.mkdir()
    shutil.rmtree(directory, ignore_errors=True)
    made.rename(directory)


def _make_again(directory: Path) -> None:
    """Have another program remove a directory, and make one with its number, where numbers are used again."""
    number = directory.stat().st_ino
    shutil.rmtree(directory)
    others = [directory.with_name(f"{directory.name}.{tried}") for tried in range(_NUMBERS)]
    for made in others:
        made.mkdir()
    again = [made for made in others if made.stat().st_ino == number]
    (again or others)[0].rename(directory)
    for made in others:
        with suppress(FileNotFoundError):
            made.rmdir()


def _bring_another(directory: Path) -> None:
    """Have another program make a whole tree elsewhere, and rename it to where a directory was."""
    made = directory.with_name("elsewhere")
    (made / "d" / "e").mkdir(parents=True)
    shutil.rmtree(directory, ignore_errors=True)
    made.rename(directory)


@of_files
def calls_that_delete_what_is_gone(driver: CheckedDriver, around: Around) -> Iterator[State]:
    """Delete what others have removed already: files, trees, and what lies deep in a removed tree."""
    state: State = {}
    yield state
    for number, (removed, deleted) in enumerate(_REMOVED):
        keys = [f"g{number}/{key}" for key in ("stays", "a/one", "a/two", "a/b/c/three")]
        for key in keys:
            driver.put(key, OLD)
        yield (state := {**state, **dict.fromkeys(keys, OLD)})
        yield (state := {**state, **dict.fromkeys(_below(f"g{number}/{removed}", keys))})
        _remove(around.top / f"g{number}" / removed)
        driver.delete(f"g{number}/{deleted}")
        yield (state := without(state, *_below(f"g{number}/{deleted}", keys)))


def _below(prefix: str, keys: list[str]) -> list[str]:
    """Return what a delete of a prefix deletes of some keys."""
    return [key for key in keys if f"{key}/".startswith(f"{prefix}/")]


_REMOVED = (
    *(("a/one", "a/one"), ("a/one", "a"), ("a/b", "a/b"), ("a/b", "a"), ("a", "a"), ("a/b/c", "a/b")),
    *(("a", "a/b/c/three"), ("a/b", "a/b/c/three"), ("a", "a/one"), ("a/b/c", "a/b/c/three"), ("a/b", "a/b/c")),
)
"""What another program removes, and what the driver then deletes."""


def _remove(path: Path) -> None:
    """Have another program remove a file or a tree, if there is one."""
    if path.is_file():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


@of_files
def calls_beside_foreign_things(driver: CheckedDriver, around: Around) -> Iterator[State]:
    """Delete prefixes in which something stays that is no object, at any depth."""
    state: State = {}
    yield state
    places = ("", "a", "a/b", "a/b/c")
    for number, (place, thing) in enumerate((place, thing) for place in places for thing in (_FOREIGN, _HARMLESS)):
        top = f"f{number}"
        keys = [f"{top}/{key}" for key in ("zero", "a/one", "a/b/two", "a/b/c/three", "a/b/c/four")]
        for key in keys:
            driver.put(key, OLD)
        directory = around.top / top / place
        directory.mkdir(parents=True, exist_ok=True)
        (directory / thing).write_bytes(b"no object")
        yield (state := {**state, **dict.fromkeys(keys, OLD)})
        deleted = (top, f"{top}/a", f"{top}/a/b/c")[number % 3]
        driver.delete(deleted)
        yield (state := without(state, *_below(deleted, keys)))
        driver.delete(top)
        yield (state := without(state, *keys))


_FOREIGN, _HARMLESS = "no key!", ".DS_Store"


def _made_by_another(top: Path, key: str) -> None:
    """Have another program make a file of the old bytes, and its directories."""
    (top / key).parent.mkdir(parents=True, exist_ok=True)
    (top / key).write_bytes(OLD)


def _rewritten(path: Path, data: bytes) -> bool:
    """Have another program write over a file, if there is one."""
    if path.is_file():
        path.write_bytes(data)
        return True
    return False

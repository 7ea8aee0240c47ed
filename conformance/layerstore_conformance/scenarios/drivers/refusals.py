"""Refusals: what the system does not let a user do with a store's files is told as that; what it lets, is done."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import AccessDeniedError, DriverError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.another_user import NOBODY, become_another_user, give_to_another_user
from layerstore_conformance.kit.litter import HARMLESS
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.processes.elsewhere import Elsewhere, write
from layerstore_conformance.promises.traced import opened
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "faults"

OLD: Final = b"stored before"


def _read(driver: CheckedDriver, key: str) -> None:
    assert driver.get(key, 100) == OLD


def _list(driver: CheckedDriver, key: str) -> None:
    assert key in list(driver.list(key.rpartition("/")[0]))


def _scan(driver: CheckedDriver, key: str) -> None:
    assert key in list(driver.scan(key.rpartition("/")[0]))


def _put(driver: CheckedDriver, key: str) -> None:
    driver.put(key, b"new")


def _append(driver: CheckedDriver, key: str) -> None:
    writer = driver.open_writer(key)
    try:
        writer.write(bytes(2 * MIB))
        writer.flush()
    finally:
        writer.discard()


def _move(driver: CheckedDriver, key: str) -> None:
    driver.move(key, f"{key}-moved")


LOOKS: Final[dict[str, Callable[[CheckedDriver, str], object]]] = {
    "stat": CheckedDriver.stat,
    "read": _read,
    "list": _list,
    "scan": _scan,
}
CHANGES: Final[dict[str, Callable[[CheckedDriver, str], object]]] = {
    "put": _put,
    "append": _append,
    "move": _move,
    "delete": CheckedDriver.delete,
}
CALLS: Final = {**LOOKS, **CHANGES}


class Permissions(NamedTuple):
    """What the owner of a store's files may do with them, and which calls cannot be done then."""

    of_directories: int
    of_files: int
    refused: frozenset[str]


DENIED: Final = Axis(
    "denied",
    {
        "all": Permissions(0, 0, frozenset(CALLS)),
        "to write": Permissions(0o555, 0o444, frozenset(CHANGES)),
        "to write into directories": Permissions(0o555, 0o644, frozenset({"move", "delete"})),
        "to open files": Permissions(0o755, 0, frozenset({"read"})),
    },
)
"""What is denied. A driver may do a call that needs none of it, or refuse that, too."""

GRANTED: Final = Permissions(0o755, 0o644, frozenset())


@scenario(
    *("E1", "E4"),
    kills=("refusal-is-told-as-an-outage",),
    needs=("traced", "url", "another_user"),
    axes=(DENIED,),
)
def what_the_system_refuses_is_told_as_a_refusal(ctx: Context, denied: Permissions) -> None:
    """If the files of a store may not be read or written, a call raises ``AccessDeniedError``, and is done later.

    An operator who is told of an outage waits for its end. Nobody but he can end this one.
    """
    with a_folder() as folder:
        folder.chmod(0o755)
        opens, another = store_in(ctx, folder / "store"), store_in(ctx, folder / "another")
        with closing(CheckedDriver(PrefixedDriver(ctx.at(opens), ctx.prefix))) as driver:
            _fill(driver)
        give_to_another_user(folder / "store")
        with Elsewhere(ctx, opens) as there:
            there.run(_become_another_user, another)
            _permit(folder / "store", denied)
            done = {call for call in CALLS if _is_done(there, call)}
            assert not done & denied.refused, f"done, though it was denied: {done & denied.refused}"
            _permit(folder / "store", GRANTED)
            for call in CALLS.keys() - done:
                assert there.run(CheckedDriver.get, f"d/{call}", 100) == OLD, f"{call} was refused, and not left undone"
                assert _is_done(there, call), f"{call} is refused, though it is granted now"


def _fill(driver: Driver) -> None:
    for call in CALLS:
        driver.put(f"d/{call}", OLD)


def _become_another_user(
    _driver: CheckedDriver, another: str | Callable[[], Driver], user: int = NOBODY, umask: int = 0o022
) -> None:
    """Become one, who may not be able to read Python's own files: do everything once in another store before."""
    with closing(CheckedDriver(opened(another))) as driver:
        _fill(driver)
        for name, call in CALLS.items():
            call(driver, f"d/{name}")
        driver.find("d/none")
    os.umask(umask)
    become_another_user(user)


def _permit(top: Path, permissions: Permissions) -> None:
    for path in [top, *top.rglob("*")]:
        os.chmod(path, permissions.of_directories if path.is_dir() else permissions.of_files)


def _is_done(there: Elsewhere, call: str, key: str = "") -> bool:
    """Do it; return False if it was refused."""
    try:
        there.run(CALLS[call], key or f"d/{call}")
    except AccessDeniedError:
        return False
    except DriverError as error:
        raise AssertionError(f"{call} was refused by the system, and raised {type(error).__name__}: {error}") from error
    return True


@scenario(
    *("C3", "F1", "F2"),
    kills=("files-are-for-their-user-only",),
    needs=("traced", "url", "shared", "another_user"),
    profile="default",
)
def users_of_one_group_share_a_store(ctx: Context) -> None:
    """Two users of one group, who keep nothing from it, read, change and take over what the other has stored or begun.

    A server and an operator's tools often run as different users.
    """
    with a_folder() as folder:
        folder.chmod(0o755)
        opens, another = store_in(ctx, folder / "store"), store_in(ctx, folder / "another")
        os.chown(folder / "store", -1, NOBODY)
        (folder / "store").chmod(0o2775)
        with Elsewhere(ctx, opens) as one, Elsewhere(ctx, opens) as two:
            for there, user in ((one, NOBODY - 1), (two, NOBODY)):
                there.run(_become_another_user, another, user, 0o002)
            for owner, other in ((one, two), (two, one), (one, two)):
                for begun in (False, True):
                    owner.run(_fill)
                    for call in CALLS if begun else ():
                        owner.hold(write, f"d/{call}", [(len(OLD), b"not flushed")], flush=False)
                    for call in CALLS:
                        assert _is_done(other, call), f"{call} is refused to a user of the group; begun: {begun}"
                    other.run(CheckedDriver.delete, "d")


def _open(driver: CheckedDriver, key: str) -> Writer:
    writer = driver.open_writer(key)
    writer.write(b"not flushed")
    return writer


def _open_and_flushed(driver: CheckedDriver, key: str) -> Writer:
    writer = driver.open_writer(key)
    writer.seek(0)
    writer.write(OLD)
    writer.flush()
    writer.write(b"not flushed")
    return writer


STATES: Final[dict[str, Callable[[CheckedDriver, str], object]]] = {
    "nobody writes": lambda driver, key: None,
    "opened": lambda driver, key: driver.open_writer(key),
    "written": _open,
    "written, flushed and written": _open_and_flushed,
    "discarded": lambda driver, key: _open(driver, key).discard(),
    "discarded after a flush": lambda driver, key: _open_and_flushed(driver, key).discard(),
    "closed": lambda driver, key: driver.open_writer(key).close(),
    "fenced": lambda driver, key: (_open(driver, key), driver.open_writer(key)),
    "killed": lambda driver, key: None,
}
"""What becomes of the writers of an object; each leaves what was stored before."""


@scenario(
    *("R1", "S1", "L1", "E1"),
    kills=("looks-take-what-was-written-to",),
    needs=("traced", "url", "shared", "another_user"),
    profile="default",
)
def who_may_only_look_looks_at_what_is_written_to(ctx: Context) -> None:
    """If a user who may not write to a store can look at one object, he can at all, whatever became of their writers.

    A backup, or a mirror, reads as a user of its own while layers are uploaded.
    """
    with a_folder() as folder:
        folder.chmod(0o755)
        opens, another = store_in(ctx, folder / "store"), store_in(ctx, folder / "another")
        with Elsewhere(ctx, opens) as killed:
            killed.run(CheckedDriver.put, "d/killed", OLD)
            killed.hold(write, "d/killed", [(len(OLD), b"not flushed")], flush=False)
            killed.kill()
        with Elsewhere(ctx, opens) as there:
            there.run(_look_in_every_state, another)


def _look_in_every_state(driver: CheckedDriver, another: str | Callable[[], Driver]) -> None:
    held, keys = [], {state: f"d/{state.replace(' ', '-').replace(',', '')}" for state in STATES}
    for state, begin in STATES.items():
        if state != "killed":
            driver.put(keys[state], OLD)
        held.append(begin(driver, keys[state]))
    _become_another_user(driver, another)
    for name, look in LOOKS.items():
        done = {state for state, key in keys.items() if _may(look, driver, key)}
        refused = STATES.keys() - done
        assert not done or not refused, f"{name} is done for some objects, and refused where a writer was {refused}"
    del held


def _may(look: Callable[[CheckedDriver, str], object], driver: CheckedDriver, key: str) -> bool:
    try:
        look(driver, key)
    except DriverError:
        return False
    return True


HIDDEN: Final = [name for name in (*HARMLESS, "lost+found/") if name.endswith("/")]
"""Directories that a file system or its server makes, and may let nobody read."""


@scenario(
    *("L1", "L6"),
    kills=("directories-of-the-disk-are-looked-into",),
    needs=("traced", "url", "another_user"),
)
def what_only_its_owner_may_read_is_passed_over_if_harmless(ctx: Context) -> None:
    """Harmless directories that only their owner may read, as a disk has one at its top, end no listing and no scan."""
    with a_folder() as folder:
        folder.chmod(0o755)
        opens, another = store_in(ctx, folder / "store"), store_in(ctx, folder / "another")
        with closing(CheckedDriver(PrefixedDriver(ctx.at(opens), ctx.prefix))) as driver:
            driver.put("top/d/key", OLD)
        with Elsewhere(ctx, opens) as there:
            there.run(_become_another_user, another)
            if _is_done(there, "list", "top/d/key"):  # otherwise a look needs a right that only its owner has
                for place in _directories_above(folder / "store", "d"):
                    for name in HIDDEN:
                        (place / name).mkdir(mode=0o700)
                there.run(_list_and_scan)


def _directories_above(top: Path, name: str) -> set[Path]:
    """Return the directories of a name below one, and those above them."""
    lowest = [path for path in top.rglob(name) if path.is_dir()]
    return {each for path in lowest for each in (path, *path.parents) if each.is_relative_to(top)}


def _list_and_scan(driver: CheckedDriver) -> None:
    for prefix, wanted in (("", ["top/"]), ("top", ["top/d/"]), ("top/d", ["top/d/key"])):
        for names in (driver.list, driver.scan):
            assert list(names(prefix)) == wanted, f"below {prefix!r} there are {list(names(prefix))}"

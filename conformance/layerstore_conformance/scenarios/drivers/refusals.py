"""Refusals: what the system does not let a process do with a store's files is told as that, and as nothing else."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import AccessDeniedError, DriverError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.another_user import become_another_user, give_to_another_user
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.promises.traced import opened
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context

GROUP = "faults"

OLD: Final = b"stored before"


def _read(driver: CheckedDriver, key: str) -> None:
    assert driver.get(key, 100) == OLD


def _list(driver: CheckedDriver, key: str) -> None:
    assert key in list(driver.list("d"))


def _scan(driver: CheckedDriver, key: str) -> None:
    assert key in list(driver.scan("d"))


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


def _become_another_user(_driver: CheckedDriver, another: str | Callable[[], Driver]) -> None:
    """Become one, who may not be able to read Python's own files: do everything once in another store before."""
    with closing(CheckedDriver(opened(another))) as driver:
        _fill(driver)
        for name, call in CALLS.items():
            call(driver, f"d/{name}")
        driver.find("d/none")
    become_another_user()


def _permit(top: Path, permissions: Permissions) -> None:
    for path in [top, *top.rglob("*")]:
        os.chmod(path, permissions.of_directories if path.is_dir() else permissions.of_files)


def _is_done(there: Elsewhere, call: str) -> bool:
    """Do it; return False if it was refused."""
    try:
        there.run(CALLS[call], f"d/{call}")
    except AccessDeniedError:
        return False
    except DriverError as error:
        raise AssertionError(f"{call} was refused by the system, and raised {type(error).__name__}: {error}") from error
    return True

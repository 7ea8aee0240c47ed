"""Forking: what a driver draws, a version or a writer's name, is not drawn again by a forked child or its parent."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING, Final

from layerstore import FencedError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.forking import Forked
from layerstore_conformance.steps.changes import CHANGES, KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"
IDS = "forking"

DRAWN: Final = {"quick": (1,), "default": (1, 6), "full": (0, 1, 2, 3, 6, 20, 100)}
"""How often a parent has changed an object, and opened a writer, before it forks."""


Family = dict[str, "Callable[[str, str], object]"]
"""A parent and two children that it has forked. Each takes the name of what it shall do, and its own."""


class _Member:
    """Does what it is told, with the driver that it has inherited, or hands down."""

    def __init__(self, driver: CheckedDriver) -> None:
        self._driver = driver
        self._writer: Writer | None = None
        self._number = 0

    def do(self, what: str, who: str) -> object:
        """Change the object, and return its version; or begin to write, or publish, and return the outcome."""
        self._number += 1
        data = f"{who}, {self._number}".encode()
        if what == "begin":
            self._writer = self._driver.open_writer("d/written")
            self._writer.write(data)
            return data
        if what == "publish":
            assert self._writer is not None, "begun before"
            try:
                self._writer.flush()
            except FencedError:
                return "fenced"
            finally:
                self._writer.discard()
            return "published"
        CHANGES[what](self._driver, data)
        return self._driver.stat(KEY).version


def _obey(driver: CheckedDriver, parent: Connection) -> None:
    member = _Member(driver)
    while (told := parent.recv()) is not None:
        parent.send(member.do(*told))


def _ask(child: Forked, what: str, who: str) -> object:
    child.say((what, who))
    return child.hear()


def _family(driver: CheckedDriver, drawn: int, stack: ExitStack) -> Family:
    """Draw so often, and fork."""
    driver.put(KEY, b"before")
    for number in range(drawn):
        CHANGES["append"](driver, b"before %d" % number)
        driver.open_writer("d/written").discard()
    one, other = (stack.enter_context(Forked(partial(_obey, driver))) for _ in range(2))
    for child in (one, other):
        stack.callback(child.say, None)
    return Family(
        {"one child": partial(_ask, one), "the parent": _Member(driver).do, "other child": partial(_ask, other)}
    )


@scenario(
    *("S2", "T5", "C3"),
    kills=("versions-drawn-in-advance",),
    needs=("shared", "url", "fork"),
)
def no_version_comes_twice_in_a_parent_and_its_children(ctx: Context) -> None:
    """Whatever a parent and its forked children change, by turns, in whatever way, no version comes again.

    A generator of random numbers, or a stock of them, is the same in every child: a hash that was saved for one's bytes
    would be taken for that of the other's.
    """
    seen: dict[str, str] = {}
    with Elsewhere(ctx) as there:
        for drawn in DRAWN[ctx.profile]:
            for what, version in there.run(_change_by_turns, drawn):
                assert version not in seen, f"{what}, after {drawn} and a fork, made the version of {seen[version]}"
                seen[version] = what


def _change_by_turns(driver: CheckedDriver, drawn: int) -> list[tuple[str, str]]:
    """Return what each has done, and the version that it made."""
    with ExitStack() as stack:
        family = _family(driver, drawn, stack)
        found = [("what was there before", driver.stat(KEY).version)]
        for what in CHANGES:
            for who, member in family.items():
                found.append((f"{what} by {who}", str(member(what, who))))
        return found


@scenario(
    *("F1", "F3", "F4", "T5", "C3"),
    kills=("fencing-tokens-repeat-after-a-fork",),
    needs=("shared", "url", "fork"),
)
def a_parent_and_its_children_fence_each_other(ctx: Context) -> None:
    """Whichever of a parent and its forked children opens the last writer of a key fences those of all others.

    If writers are told apart by random names, a child's are the same as its parent's, unless it draws anew.
    """
    with Elsewhere(ctx) as there:
        for drawn in DRAWN[ctx.profile]:
            there.run(_write_by_turns, drawn)


def _write_by_turns(driver: CheckedDriver, drawn: int) -> None:
    with ExitStack() as stack:
        members = _family(driver, drawn, stack)
        for order in permutations(members):
            driver.delete("d/written")
            begun = [members[who]("begin", who) for who in order]
            outcomes = [members[who]("publish", who) for who in order]
            assert outcomes == ["fenced", "fenced", "published"], f"{', '.join(order)} have opened writers: {outcomes}"
            assert driver.get("d/written", 100) == begun[-1], "something else was published than the last one's"

"""Act in another process: a fresh one with the scenario's store open, which can be killed.

It is not forked from this one: a driver that keeps something in its process must not find it there.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from layerstore import open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.defect import defect_named, planted_before, planted_now
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.kit.unwritten import sendable
from layerstore_conformance.processes.child import Child
from layerstore_conformance.processes.ending import do_last

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context

P = ParamSpec("P")
T = TypeVar("T")


class Elsewhere(Child):
    """Another process with a driver on a scenario's store; the scenario needs ``url``.

    Without ``shared`` it may be another store, which only that process sees.

    ::

        with Elsewhere(ctx) as there:
            there.run(CheckedDriver.put, "key", b"from another process")
            there.kill()
    """

    def __init__(self, ctx: Context, opens: str | Callable[[], Driver] | None = None) -> None:
        """Start the process, and open the store there, with the defects that are planted here.

        ``opens`` opens another store than the scenario's: as :data:`~layerstore_conformance.harness.Traced` says.
        """
        super().__init__(_serve)
        self._pipe.send((opens or ctx.harness.url, ctx.prefix, planted_now()))

    def run(self, work: Callable[Concatenate[CheckedDriver, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something there, and return its result; an error there is raised here.

        ``work`` is a module-level function, or a method of the driver: it is sent to the other process by name.
        """
        self._pipe.send((work, args, kwargs, False))
        return cast("T", self._answer())

    def hold(self, work: Callable[Concatenate[CheckedDriver, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do something there, and keep its result there, an open writer say, until the process ends."""
        self._pipe.send((work, args, kwargs, True))
        self._answer()

    def kill(self) -> None:
        """Kill the process on the spot, by SIGKILL: nothing is flushed, closed or collected."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> object:
        try:
            result, error = self._pipe.recv()
        except EOFError:
            raise AssertionError(f"the other process died, with {self._process.wait()}") from None
        if error is not None:
            raise error
        return result


def write(driver: CheckedDriver, key: str, parts: Sequence[tuple[int, bytes]], *, flush: bool) -> object:
    """Write parts at their offsets, flush them or not, and return the writer."""
    writer = driver.open_writer(key)
    for offset, data in parts:
        writer.seek(offset)
        writer.write(data)
    if flush:
        writer.flush()
    return writer


def _serve(pipe: Connection) -> None:
    """Do the work that comes through a pipe, until it is closed."""
    atexit.register(do_last)  # before any driver may register something: what was registered last is done first
    opens, prefix, planted = pipe.recv()
    held = []
    opened = open_driver(opens) if isinstance(opens, str) else opens()
    with planted_before(opened, map(defect_named, planted)) as driver:
        front = CheckedDriver(PrefixedDriver(driver, prefix), "elsewhere")
        while True:
            try:
                work, args, kwargs, hold = pipe.recv()
            except EOFError:
                return
            try:
                result = work(front, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  (it is raised in the process that asked)
                pipe.send((None, sendable(error)))
                continue
            if hold:
                held.append(result)
            pipe.send((None if hold else result, None))

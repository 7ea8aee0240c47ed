"""Two writers on one upload, in threads or processes, taking turns at every driver call as a seed decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layerstore import (
    FencedError,
    LayerClosedError,
    LayerInvalidDigestError,
    LayerService,
    LayerUploadUnknownError,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.observed import Call, ObservedDriver
from layerstore.unwritten import UnwrittenError
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.kit.unwritten import unwritten

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

REFUSALS = (FencedError, LayerUploadUnknownError, LayerInvalidDigestError, LayerClosedError)
"""What a writer may be told; anything else is a fault."""


class Gate:
    """An observer that waits for its turn before every driver call."""

    def __init__(self, turns: Connection) -> None:
        """Ask for turns over a connection."""
        self._turns = turns

    def before(self, call: Call) -> None:
        """Wait for the turn."""
        self._turns.send(call.method)
        self._turns.recv()

    def after(self, call: Call, result: object) -> None:
        """Let the next one go when it asks."""


def take_turns(writers: Sequence[Connection], seed: int) -> list[Outcome]:
    """Give turns until all writers are done, one at a time, and return their outcomes in order."""
    choose = random.Random(seed)
    staying = choose.choice((0.0, 0.8, 0.95))  # how likely one goes on: a long run falls into the other's short gaps
    outcomes: dict[int, Outcome] = {}
    waiting: set[int] = set()
    chosen = 0
    while len(outcomes) < len(writers):
        for index, writer in enumerate(writers):
            if index not in outcomes and index not in waiting:
                message = writer.recv()  # until all are at a gate or done, so that the order is the seed's alone
                if isinstance(message, Outcome):
                    outcomes[index] = message
                else:
                    waiting.add(index)
        if waiting:
            if chosen not in waiting or choose.random() >= staying:
                chosen = choose.choice(sorted(waiting))
            waiting.remove(chosen)
            writers[chosen].send(None)
    return [outcomes[index] for index in range(len(writers))]


@dataclass
class Outcome:
    """What a writer met."""

    accepted: list[str] = field(default_factory=list)
    """Digests that ``finish`` returned for."""
    refused: list[str] = field(default_factory=list)
    """Names of the errors it was refused with."""
    fault: str = ""
    """An error that nobody may meet."""
    unwritten: list[str] = field(default_factory=list)
    """The parts of the driver for want of which it was raised."""

    def check(self) -> None:
        """Check that it met nothing that nobody may meet.

        Raises:
            AssertionError: it did.
            UnwrittenError: it wanted a part of the driver that is not written.
        """
        if self.unwritten:
            raise UnwrittenError(self.unwritten[0])
        assert not self.fault, self.fault


def write_somewhere(service: LayerService, name: str, uuid: str, seed: int) -> Outcome:
    """Resume an upload again and again, write at random, flush, and finish with what should be there by now."""
    choose = random.Random(seed)
    payload = Payload("writer", seed)
    outcome = Outcome()
    for _ in range(3):
        try:
            upload = service.resume(name, uuid)
            for _ in range(choose.randrange(1, 4)):
                upload.seek(choose.randrange(upload.size + 1))
                upload.write(payload.read(choose.randrange(1, 2000), upload.tell()))
                if choose.random() < 0.4:
                    upload.flush()
            wanted = str(upload.digest()) if choose.random() < 0.7 else digest(b"wrong")
            if choose.random() < 0.6:
                upload.write(b"late")  # so that what was verified and what is stored differ, if anyone mixes them up
                upload.seek(-4, 1)
            if choose.random() < 0.6:
                upload.finish(wanted).close()
                outcome.accepted.append(wanted)
            upload.close()
        except REFUSALS as error:
            outcome.refused.append(type(error).__name__)
    return outcome


def serve(turns: Connection, jobs: Connection) -> None:
    """Be a writer: take jobs of (url, name, uuid, seed) from one connection, turns from the other, until told None."""
    while (job := jobs.recv()) is not None:
        url, name, uuid, seed = job
        service = LayerService(CheckedDriver(ObservedDriver(open_driver(url), Gate(turns))))
        turns.send(attempt(lambda: write_somewhere(service, name, uuid, seed)))  # noqa: B023  (called at once)


def attempt(write: Callable[[], Outcome]) -> Outcome:
    """Write, and turn whatever nobody may meet into an outcome."""
    try:
        return write()
    except Exception as error:  # noqa: BLE001  (a writer that ended without an outcome would be waited for for ever)
        return Outcome(fault=repr(error), unwritten=unwritten(error))

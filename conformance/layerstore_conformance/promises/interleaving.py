"""Two writers on one upload, in threads or processes, with a random turn at every driver call."""

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
    UnknownUploadError,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.unwritten import UnwrittenError
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.kit.unwritten import unwritten

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

REFUSALS = (FencedError, UnknownUploadError, LayerInvalidDigestError, LayerClosedError)
"""Errors that a writer may get; any other is a fault."""


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
        """Do nothing: the next turn is given before the next call."""


def take_turns(writers: Sequence[Connection], seed: int) -> list[WriterResult]:
    """Give turns until all writers are done, one at a time, and return their results in order."""
    choose = random.Random(seed)
    staying = choose.choice((0.0, 0.8, 0.95))  # the chance to go on: a long run fits into the other's short gaps
    results: dict[int, WriterResult] = {}
    waiting: set[int] = set()
    chosen = 0
    while len(results) < len(writers):
        for index, writer in enumerate(writers):
            if index not in results and index not in waiting:
                message = writer.recv()  # until all are at a gate or done, so that the seed alone decides the order
                if isinstance(message, WriterResult):
                    results[index] = message
                else:
                    waiting.add(index)
        if waiting:
            if chosen not in waiting or choose.random() >= staying:
                chosen = choose.choice(sorted(waiting))
            waiting.remove(chosen)
            writers[chosen].send(None)
    return [results[index] for index in range(len(writers))]


@dataclass
class WriterResult:
    """The finishes and errors of a writer."""

    accepted: list[str] = field(default_factory=list)
    """Digests that ``finish`` returned for."""
    refused: list[str] = field(default_factory=list)
    """Names of the errors that it may get, and got."""
    fault: str = ""
    """An error that no writer may get."""
    unwritten: list[str] = field(default_factory=list)
    """The unwritten parts of the driver that raised it."""

    def check(self) -> None:
        """Check that it got no other error.

        Raises:
            AssertionError: it did.
            UnwrittenError: a part of the driver is not written.
        """
        if self.unwritten:
            raise UnwrittenError(self.unwritten[0])
        assert not self.fault, self.fault


def write_somewhere(service: LayerService, name: str, uuid: str, seed: int) -> WriterResult:
    """Resume an upload again and again, write at random, flush, and finish with the digest that it should have."""
    choose = random.Random(seed)
    payload = Payload("writer", seed)
    result = WriterResult()
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
                upload.write(b"late")  # so that the verified and the stored bytes differ, if anything mixes them up
                upload.seek(-4, 1)
            if choose.random() < 0.6:
                upload.finish(wanted).close()
                result.accepted.append(wanted)
            upload.close()
        except REFUSALS as error:
            result.refused.append(type(error).__name__)
    return result


def serve(turns: Connection, jobs: Connection) -> None:
    """Be a writer: take jobs (url, name, uuid, seed) from one connection, turns from the other, until a job is None."""
    while (job := jobs.recv()) is not None:
        url, name, uuid, seed = job
        service = LayerService(CheckedDriver(ObservedDriver(open_driver(url), Gate(turns))))
        turns.send(attempt(lambda: write_somewhere(service, name, uuid, seed)))  # noqa: B023  (called at once)


def attempt(write: Callable[[], WriterResult]) -> WriterResult:
    """Write, and make any other error part of the result."""
    try:
        return write()
    except Exception as error:  # noqa: BLE001  (a writer that ended without a result would be waited for for ever)
        return WriterResult(fault=repr(error), unwritten=unwritten(error))

"""The steps that are timed: those of the scenarios, on a store below a prefix of its own."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from layerstore import Digest, LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore.uploads.front import FRONT
from layerstore_conformance.kit.prefixed import PrefixedDriver

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from layerstore import LayerUpload
    from layerstore.driver import Driver
    from layerstore_benchmarks.case import Case, Policy
    from layerstore_benchmarks.payload import Source

ROOT = "layerstore-bench"
"""Everything that is stored lies below this, and is taken away."""

NAME = "bench"
"""The repository."""


class NotColdError(RuntimeError):
    """The operating system kept what it was asked to let go of."""


class Laps:
    """A stopwatch: seconds by step."""

    def __init__(self) -> None:
        """Start."""
        self.seconds: Counter[str] = Counter()
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        """Add the time since the last lap to a step's."""
        now = time.perf_counter()
        self.seconds[step] += now - self._last  # type: ignore[assignment]  # seconds; typeshed's Counter counts
        self._last = now

    def skip(self) -> None:
        """Count the time since the last lap as nobody's."""
        self._last = time.perf_counter()


class Bench:
    """A place to store layers in, and take them away again."""

    def __init__(self, driver: Driver, source: Source) -> None:
        """Work on ``driver``, below a prefix that nothing else has."""
        scheme = driver.scheme if isinstance(driver, CheckedDriver) else ""
        self.driver = CheckedDriver(PrefixedDriver(driver, f"{ROOT}/{uuid.uuid4().hex}"), scheme)
        self.source = source

    def sample(self, case: Case) -> dict[str, float]:
        """Do what a case says, as often as it says, and return the seconds of a layer, by step."""
        laps = Laps()
        for _ in range(case.repeats):
            STEPS[case.policy](self, case, laps)
        self.clean()
        return {step: seconds / case.repeats for step, seconds in laps.seconds.items()}

    def clean(self) -> None:
        """Take everything away."""
        self.driver.delete(layout.ROOT.partition("/")[0])

    def service(self, case: Case) -> LayerService:
        """Open a service that verifies as the case says."""
        return LayerService(self.driver, verify="reread" if case.policy.startswith("re-read") else "resume")

    def write(self, upload: LayerUpload, case: Case, stop: int) -> None:
        """Write on, to an offset."""
        for piece in self.source.pieces(upload.tell(), stop, case.write_size):
            upload.write(piece)


def no_hash(bench: Bench, case: Case, laps: Laps) -> None:
    """Make the driver calls of a straight upload, in their order, and hash nothing."""
    driver, digest = bench.driver, Digest.parse(bench.source.digest(case.size))
    keys, blob, link = layout.UploadKeys(NAME, str(uuid.uuid4())), layout.blob(digest), layout.link(NAME, digest)
    pieces = bench.source.pieces(0, case.size, case.write_size)
    if case.size <= FRONT:
        data = b"".join(pieces)
        laps.lap("write")
        driver.put(blob, data)
    else:
        with driver.open_writer(keys.data) as writer:
            for block in _gathered(pieces):
                writer.write(block)
            laps.lap("write")
            writer.flush()
            driver.move(keys.data, blob, version=writer.version)
            writer.discard()
    driver.put(link, str(digest).encode("ascii"))
    driver.stat(blob)
    laps.lap("finish")


def _gathered(pieces: Iterable[Buffer]) -> Iterator[Buffer]:
    """Yield blocks as an upload gives them to its driver: small pieces together, large ones in parts."""
    gathered = bytearray()
    for piece in pieces:
        with memoryview(piece).cast("B") as view:
            for at in range(0, len(view), FRONT):
                part = view[at : at + FRONT]
                if gathered and len(gathered) + len(part) > FRONT:
                    yield gathered
                    gathered = bytearray()
                if len(part) == FRONT:
                    yield part
                else:
                    gathered += part
    if gathered:
        yield gathered


def straight(bench: Bench, case: Case, laps: Laps) -> None:
    """Upload, and finish; what is read back is read while it is warm."""
    upload = bench.service(case).upload(NAME)
    bench.write(upload, case, case.size)
    laps.lap("write")
    upload.finish(bench.source.digest(case.size), case.size).close()
    laps.lap("finish")


def cold(bench: Bench, case: Case, laps: Laps) -> None:
    """Upload, have the operating system forget the bytes, and finish.

    Raises:
        NotColdError: it does not.
    """
    upload = bench.service(case).upload(NAME)
    bench.write(upload, case, case.size)
    upload.flush()
    laps.lap("write")
    if not bench.driver.drop_cache(layout.UploadKeys(NAME, upload.uuid).data):
        raise NotColdError(f"{bench.driver.scheme}: the bytes are still in memory")
    laps.skip()
    upload.finish(bench.source.digest(case.size), case.size).close()
    laps.lap("finish")


def resumed(bench: Bench, case: Case, laps: Laps) -> None:
    """Upload in so many parts and one, each by another handle, and finish."""
    upload = bench.service(case).upload(NAME)
    for number in range(1, case.resumes + 1):
        bench.write(upload, case, case.size * number // (case.resumes + 1))
        laps.lap("write")
        upload.close()
        upload = bench.service(case).resume(NAME, upload.uuid)
        laps.lap("resume")
    bench.write(upload, case, case.size)
    laps.lap("write")
    upload.finish(bench.source.digest(case.size), case.size).close()
    laps.lap("finish")


def cancelled(bench: Bench, case: Case, laps: Laps) -> None:
    """Upload, store, and cancel."""
    upload = bench.service(case).upload(NAME)
    bench.write(upload, case, case.size)
    upload.flush()
    laps.lap("write")
    upload.cancel()
    laps.lap("cancel")


STEPS: dict[Policy, Callable[[Bench, Case, Laps], None]] = {
    "no hash": no_hash,
    "hash": straight,
    "resumed": resumed,
    "re-read": straight,
    "re-read cold": cold,
    "cancel": cancelled,
}
"""What each policy does."""

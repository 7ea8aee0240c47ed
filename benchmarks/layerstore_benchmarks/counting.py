"""The costs of a case apart from time: driver calls and bytes, which are the same in every run; and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from unittest import mock

from layerstore import Digest, layout
from layerstore.checked import CheckedDriver
from layerstore.hashing import sha256
from layerstore_benchmarks.steps import STEPS, Bench, Laps
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.steps.watching import Tally

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore.hashing.sha256 import Hasher
    from layerstore_benchmarks.case import Case
    from layerstore_benchmarks.payload import Source

PROCESS = Path("/proc/self")


class Costs(TypedDict):
    """The costs of one layer."""

    calls: dict[str, int]
    """Of the driver's primitives, by name."""
    bytes_written: int
    """Of the layer, given to the driver."""
    bytes_noted: int
    """Put beside it: links, intents, saved hash states. The states hold versions, whose length is the driver's."""
    bytes_read: int
    """Of the layer, read back from the driver."""
    bytes_hashed: int
    peak_memory: int | None
    """Bytes by which the process grew at most, what a driver keeps in memory included; None where it is not told."""


def costs(driver: Driver, source: Source, case: Case) -> Costs:
    """Store a layer as a case says, and count."""
    tally, scheme = _Tally.zero(), driver.scheme if isinstance(driver, CheckedDriver) else ""
    bench = Bench(CheckedDriver(ObservedDriver(driver, tally), scheme), source)
    source.digest(case.size)  # which is no part of it
    with hashing() as hashed, growth() as grown:
        STEPS[case.policy](bench, case, Laps())
    counted: Costs = {
        "calls": dict(sorted(tally.calls.items())),
        "bytes_written": tally.bytes_written - tally.bytes_noted,
        "bytes_noted": tally.bytes_noted,
        "bytes_read": tally.data_read,
        "bytes_hashed": sum(hashed),
        "peak_memory": grown(),
    }
    bench.clean()
    return counted


class _Tally(Tally):
    """Counts, with what is put apart from what is written."""

    bytes_noted = 0

    def after(self, call: Call, result: object) -> None:
        super().after(call, result)
        if call.method == "put" and f"{layout.BLOBS}/" not in call.key:  # a small layer is put
            self.bytes_noted += call.size


class _CountingHasher:
    """A hasher that notes how many bytes it is given."""

    def __init__(self, hasher: Hasher, noted: list[int]) -> None:
        self._hasher = hasher
        self._noted = noted

    def update(self, data: Any) -> None:  # noqa: ANN401  (any buffer)
        with memoryview(data) as view:
            self._noted.append(view.nbytes)
        self._hasher.update(data)

    def copy(self) -> _CountingHasher:
        return _CountingHasher(self._hasher.copy(), self._noted)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever else a hasher has)
        return getattr(self._hasher, name)


@contextmanager
def hashing() -> Iterator[list[int]]:
    """Yield a list that fills with the numbers of bytes that are hashed meanwhile."""
    noted: list[int] = []

    def counting(make: Callable[..., Hasher]) -> Callable[..., _CountingHasher]:
        return lambda *state: _CountingHasher(make(*state), noted)

    digest_of = Digest.of

    def count_and_digest(data: Any) -> Digest:  # noqa: ANN401  (any buffer)
        noted.append(memoryview(data).nbytes)
        return digest_of(data)

    with (
        mock.patch.object(Digest, "of", count_and_digest),  # of a small layer, whose bytes are in hand
        mock.patch.object(sha256, "new", counting(sha256.new)),
        mock.patch.object(sha256, "restore", counting(sha256.restore)),
    ):
        yield noted


@contextmanager
def growth() -> Iterator[Callable[[], int | None]]:
    """Yield a function that tells, within the block and after it, by how many bytes the process has grown at most."""
    before = _resident("VmRSS")
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins anew: proc(5)

    def grown() -> int | None:
        now = _resident("VmHWM")
        return None if before is None or now is None else max(0, now - before)

    yield grown


def _resident(name: str) -> int | None:
    with suppress(OSError, StopIteration):
        lines = (PROCESS / "status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))
    return None

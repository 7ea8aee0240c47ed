"""The proof: the scenarios pass on drivers that work, and find every planted defect that they say they find."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore import BackendUnavailableError, open_driver
from layerstore.driver import Driver, Reader, Writer
from layerstore_conformance.engine.clauses import clauses
from layerstore_conformance.engine.defect import defects
from layerstore_conformance.engine.prove import finds
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import Scenario, scenarios
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit import another_user
from layerstore_conformance.kit.littered import Littered, littering
from layerstore_conformance.kit.passing import PassingDriver, PassingReader, PassingWriter
from layerstore_conformance.kit.renaming import renaming
from layerstore_conformance.kit.requests import Requests
from layerstore_conformance.powerloss import strace

if TYPE_CHECKING:
    from tests.behind_memory import tampering
    from tests.in_one_file import InOneFile
else:
    from behind_memory import tampering
    from in_one_file import InOneFile


@pytest.fixture(params=scenarios(), ids=lambda each: each.id)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """Return every scenario in turn."""
    found: Scenario = request.param
    return found


def in_memory(tmp_path: Path) -> Harness:
    """Make a store of the test's own in memory."""
    url = f"memory://{tmp_path.parent.name}-{tmp_path.name}"
    return Harness(url, tamper=tampering(url), another=f"{url}-beside")


def littered(tmp_path: Path) -> Harness:
    """Make a store of the test's own in memory, beside whose objects other things can lie."""
    url, things = f"memory://{tmp_path.parent.name}-{tmp_path.name}", dict[str, str]()
    return Harness(factory=lambda: Littered(open_driver(url), things), foreign=littering(things), tamper=tampering(url))


def on_disk(tmp_path: Path) -> Harness:
    """Make a store of the test's own on disk."""
    return Harness(
        f"local://{tmp_path}/store", missing=f"local://{tmp_path}/not/there", away=renaming(tmp_path / "store")
    )


def traceable(tmp_path: Path) -> Harness:
    """Make a store of the test's own on disk, beside others that keep everything in a file."""
    if not strace.works():
        pytest.skip("there is no strace, or it may not trace")
    return Harness(f"local://{tmp_path}/store", traced=partial(partial, InOneFile))


def anywhere(tmp_path: Path) -> Harness:
    """Make a store of the test's own on disk, beside others whose URLs say where they lie."""
    return Harness(f"local://{tmp_path}/store", traced=lambda directory: f"local://{directory}")


class Wire:
    """A connection between a store in memory and its handles: when it is cut, open handles fail once, or for good."""

    def __init__(self) -> None:
        """Begin whole."""
        self.cuts = 0

    def cut(self) -> None:
        """Cut every connection there is."""
        self.cuts += 1


class Remote(PassingDriver):
    """A store at the other end of a wire."""

    def __init__(self, inner: Driver, wire: Wire) -> None:
        """Reach ``inner`` over ``wire``."""
        super().__init__(inner)
        self.wire = wire

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that a cut ends."""
        return RemoteReader(self.inner.open_reader(key, offset), self.wire)

    def open_writer(self, key: str) -> Writer:
        """Open a writer that connects anew after a cut."""
        return RemoteWriter(self.inner.open_writer(key), self.wire)


class RemoteReader(PassingReader):
    """A reader that a cut ends."""

    def __init__(self, inner: Reader, wire: Wire) -> None:
        """Read over a connection of its own."""
        super().__init__(inner)
        self.wire, self.began = wire, wire.cuts

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Read, unless it was cut."""
        if self.wire.cuts != self.began:
            raise BackendUnavailableError(self.key, "connection reset")
        return super().read_at(offset, buffer)


class RemoteWriter(PassingWriter):
    """A writer that raises once after a cut, and connects anew."""

    def __init__(self, inner: Writer, wire: Wire) -> None:
        """Write over a connection of its own."""
        super().__init__(inner)
        self.wire, self.began = wire, wire.cuts

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write, unless it was cut since the last call."""
        self.told()
        super().write_at(offset, data)

    def publish(self) -> str:
        """Publish, unless it was cut since the last call."""
        self.told()
        return super().publish()

    def told(self) -> None:
        """Tell of a cut."""
        if self.wire.cuts != self.began:
            self.began = self.wire.cuts
            raise BackendUnavailableError(self.key, "connection reset")


def over_a_wire(tmp_path: Path) -> Harness:
    """Make a store of the test's own at the other end of a wire."""
    wire, url = Wire(), f"memory://{tmp_path.parent.name}-{tmp_path.name}"
    return Harness(factory=lambda: Remote(open_driver(url), wire), cut=wire.cut, restart=wire.cut)


class InTwoSteps(PassingDriver):
    """A store that is asked something before each call that changes it."""

    def __init__(self, inner: Driver, requests: Requests) -> None:
        """Ask, and pass on to ``inner``."""
        super().__init__(inner)
        self._requests = requests

    def put(self, key: str, data: bytes) -> None:
        """Ask, and put."""
        self._requests.passed()
        super().put(key, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Ask, and move."""
        self._requests.passed()
        super().move(source, target, version=version)
        self._requests.passed()


def in_two_steps(tmp_path: Path) -> Harness:
    """Make a store of the test's own in memory, whose calls take more than a request."""
    requests, url = Requests(), f"memory://{tmp_path.parent.name}-{tmp_path.name}"
    return Harness(factory=lambda: InTwoSteps(open_driver(url), requests), between_requests=requests.calling)


def fitting(scenario: Scenario, tmp_path: Path) -> Harness:
    """Make a store that has what a scenario needs, the smallest first."""
    needs = set(scenario.needs)
    if {"cut", "restart"} & needs:
        return over_a_wire(tmp_path)
    if "between_requests" in needs:
        return in_two_steps(tmp_path)
    if "another_user" in needs and not another_user.works():
        pytest.skip("only root can become another user")
    if {"traced", "small_disk"} & needs:
        return anywhere(tmp_path) if {"url", "small_disk"} & needs else traceable(tmp_path)
    if "another" in needs:
        return in_memory(tmp_path)
    if "foreign" in needs:
        return littered(tmp_path)
    on_disk_only = {"shared", "durable", "missing", "away"} & needs or "nested_keys" in scenario.without
    return on_disk(tmp_path) if on_disk_only else in_memory(tmp_path)


ELSEWHERE = [
    each
    for each in scenarios()
    if {"cut", "restart", "between_requests"} & set(each.needs) or "nested_keys" in each.without
]
"""Scenarios that neither the suite of the memory driver nor that of the local one runs."""


@pytest.mark.once
@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=lambda each: each.id)
def test_it_passes_on_a_store_that_has_what_it_needs(elsewhere: Scenario, tmp_path: Path) -> None:
    """It passes on the smallest driver that has what it needs, and lacks what it needs to be lacking.

    All others pass in the suites of the memory driver and of the local one.
    """
    result = run(elsewhere, fitting(elsewhere, tmp_path))
    assert result.outcome == "passed", result.reason


@pytest.mark.once
def test_it_finds_what_it_says(scenario: Scenario, tmp_path: Path) -> None:
    """It fails with each planted defect that it says it finds, and it says at least one."""
    harness = fitting(scenario, tmp_path)
    assert scenario.kills, "it finds nothing"
    missed = [name for name in scenario.kills if not finds(scenario, defects()[name], harness)]
    assert not missed, "it passes although these are planted"


def test_no_defect_survives() -> None:
    """Every planted defect is claimed by a scenario, which the test above holds to it."""
    claimed = {name for each in scenarios() for name in each.kills}
    assert sorted(defects().keys() ^ claimed) == []


def test_no_scenario_is_idle() -> None:
    """Every scenario finds something, and cites a clause that there is."""
    assert [each.id for each in scenarios() if not each.kills or not each.clauses] == []
    assert sorted({name for each in scenarios() for name in each.clauses} - set(clauses())) == []


def test_no_clause_is_unproved() -> None:
    """Every clause has a defect that breaks it, found by a scenario that cites it."""
    proved = {
        name
        for each in scenarios()
        for name in each.clauses
        for defect in each.kills
        if name in defects()[defect].clauses
    }
    assert [name for name in clauses() if name not in proved] == []


def test_a_planted_defect_is_not_met_by_chance() -> None:
    """While a defect is planted nothing is collected but on request: a driver whose lock is held would hang (T1)."""
    assert gc.isenabled()
    with defects()["dropped-upload-is-flushed"].plant():
        assert not gc.isenabled()
    assert gc.isenabled()

"""Runs: every case in every round, on a store that is left as it was; and what two of them have to say together."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from layerstore import open_driver
from layerstore.checked import CheckedDriver
from layerstore_benchmarks import run as runs
from layerstore_benchmarks import steps
from layerstore_benchmarks.case import Case, plan
from layerstore_benchmarks.compare import compare
from layerstore_benchmarks.document import Document, Results, document, read
from layerstore_benchmarks.payload import Source
from layerstore_benchmarks.run import Run
from layerstore_conformance.engine.subject import examine
from layerstore_conformance.harness import Harness
from layerstore_conformance.reports.reading import DocumentError

SIZE, WRITE = 20_000, 10_000
OPTIONS = {"size": SIZE, "write_size": WRITE, "rounds": 2, "seed": 0}


def measured(url: str) -> Document:
    """Run on a store."""
    harness = Harness(url)
    driver = harness.open()
    run = Run(driver, Source(), plan(SIZE, WRITE, cold=False))
    run.measure(OPTIONS["rounds"], OPTIONS["seed"])
    return document(run, examine(harness), OPTIONS, datetime.now(UTC))


@pytest.fixture(scope="module")
def told() -> Document:
    """Return the document of one small run."""
    return measured("memory:")


def test_every_case_is_timed_in_every_round(told: Document) -> None:
    """Each case has a time of each round, by step, and its costs."""
    assert {len(each["seconds"]) for each in told["cases"]} == {OPTIONS["rounds"]}
    assert all(sum(times.values()) > 0 for each in told["cases"] for times in each["seconds"])
    assert all(each["costs"]["calls"] for each in told["cases"])


def test_cases_take_turns() -> None:
    """Each round has an order of its own, the same for the same seed; so no case profits from its place."""
    orders: list[list[Case]] = [[], []]
    cases = [Case(policy, SIZE, WRITE) for policy in ("no hash", "hash", "re-read", "cancel")]
    for order in orders:
        Run(open_driver("memory:"), Source(), cases).measure(9, 7, order.append)
    assert orders[0] == orders[1]
    assert len({tuple(orders[0][start : start + 4]) for start in range(0, 40, 4)}) > 3


def test_what_was_stored_before_stays(tmp_path: Path) -> None:
    """A run takes away what it has stored, and nothing else."""
    driver = open_driver(f"local:{tmp_path}/store")
    driver.put("mine/key", b"mine")
    Run(driver, Source(), [Case("hash", 1 << 20, 1 << 20)]).measure(1, 0)
    assert [*driver.list(""), *driver.list("layerstore-bench")] == ["mine/"]


def test_a_run_that_is_broken_off_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever interrupts a run finds the store as it was."""
    driver, cases = open_driver("memory:"), [Case("hash", SIZE, WRITE)]

    def interrupt(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    def begin(_: Case) -> None:
        if run.costs:
            monkeypatch.setattr(steps.Bench, "clean", interrupt)  # in the middle of a sample: a layer is stored

    run = Run(driver, Source(), cases)
    with pytest.raises(KeyboardInterrupt):
        run.measure(1, 0, begin)
    assert list(driver.list("")) == []


def test_whether_caches_can_be_dropped_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver is asked, about an object of its own, which is taken away."""
    driver = open_driver("memory:")
    assert not runs.can_drop_caches(driver)
    monkeypatch.setattr(CheckedDriver, "drop_cache", lambda self, key: self.find(key) is not None)
    assert runs.can_drop_caches(driver)
    assert list(driver.list("")) == []


def test_a_cold_reading_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bytes stay in memory nothing is told as a cold reading; where they do not, it is one."""
    bench, case = steps.Bench(open_driver("memory:"), Source()), Case("re-read cold", SIZE, WRITE)
    with pytest.raises(steps.NotColdError):
        bench.sample(case)
    monkeypatch.setattr(CheckedDriver, "drop_cache", lambda self, key: self.find(key) is not None)
    assert set(bench.sample(case)) == {"write", "finish"}


def change(told: Document, policy: str, edit: Callable[[dict[str, object]], None]) -> Document:
    """Return a copy of a document with the first case of a policy edited."""
    changed = copy.deepcopy(told)
    edit(cast("dict[str, object]", next(each for each in changed["cases"] if each["policy"] == policy)))
    return changed


def test_a_run_beside_itself_is_unchanged(told: Document) -> None:
    """Nothing is worse, better or slower, and every ratio is 1."""
    found = compare(told, told, allowed=1.0)
    assert (found.worse, found.better, found.slower) == ((), (), ())
    assert {ratio for _, ratio in found.ratios} == {1.0}


def test_a_count_that_grew_is_worse_and_one_that_shrank_better(told: Document) -> None:
    """A single byte or call more is told, with the case and both numbers."""
    more = change(told, "hash", lambda each: each["costs"].update(bytes_read=1))  # type: ignore[attr-defined]  # a dict
    worse, better = compare(told, more).worse, compare(more, told).better
    assert worse == (f"{Case('hash', SIZE, WRITE)}: bytes_read 0 -> 1",)
    assert better == (f"{Case('hash', SIZE, WRITE)}: bytes_read 1 -> 0",)


def test_a_case_that_is_gone_is_worse(told: Document) -> None:
    """A case that is not measured any more is told: it would hide whatever it costs."""
    fewer = copy.deepcopy(told)
    gone = fewer["cases"].pop()
    assert len(compare(told, fewer).worse) == 1
    assert compare(fewer, told).better == (f"{Case(gone['policy'], gone['size'], gone['write_size'])}: new",)  # type: ignore[arg-type]  # from JSON


def test_times_are_compared_in_units_of_the_floor(told: Document) -> None:
    """A machine of half the speed is not slower; a case that takes twice its floor more is, if that is asked for."""
    slow = copy.deepcopy(told)
    for each in slow["cases"]:
        each["seconds"] = [{step: 2 * seconds for step, seconds in times.items()} for times in each["seconds"]]
    assert compare(told, slow, allowed=1.01).slower == ()
    worse = change(slow, "hash", lambda each: each.update(seconds=[{"write": 1e6}] * 2))
    assert len(compare(told, worse, allowed=1.01).slower) == 1
    assert compare(told, worse).slower == ()


def test_overhead_is_taken_round_by_round(told: Document) -> None:
    """A round in which everything takes long says as much as any other."""
    times = {"no hash": (1.0, 10.0, 100.0), "hash": (2.0, 150.0, 140.0)}
    changed = copy.deepcopy(told)
    for each in changed["cases"]:
        each["seconds"] = [{"write": seconds} for seconds in times.get(each["policy"], (1.0,))]
    assert Results(changed).overhead(Case("hash", SIZE, WRITE)) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "layerstore-bench/2"}'])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is damaged, or of another form, is told by its name."""
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(DocumentError, match=r"bench\.json"):
        read(tmp_path / "bench.json")


def test_a_document_survives_a_file(tmp_path: Path, told: Document) -> None:
    """What is read is what was written."""
    (tmp_path / "bench.json").write_text(json.dumps(told))
    assert read(tmp_path / "bench.json") == told


def test_a_cold_reading_that_fails_in_the_middle_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system keeps the bytes after all, the case is not told of, and all others are."""
    answers = iter([True, True, False])  # counted, timed once, and then no more
    monkeypatch.setattr(CheckedDriver, "drop_cache", lambda *_: next(answers))
    cases = [Case(policy, SIZE, WRITE) for policy in ("no hash", "re-read cold")]
    driver = open_driver("memory:")
    run = Run(driver, Source(), cases)
    run.measure(3, 0)
    assert run.cases == (cases[0],)
    assert len(run.times[cases[0]]) == 3
    assert list(driver.list("")) == []

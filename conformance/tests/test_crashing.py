"""The killing of workers: at exactly the right call, with exactly the right promise; anything else is an error."""

import importlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from layerstore import LayerService, layout, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.context import Context
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.cutting import Cut, CutObserver, PiecemealDriver, Side
from layerstore_conformance.promises import lifecycles
from layerstore_conformance.promises.forkserver import NAME, ExitRecord, ForkServer, Plan
from layerstore_conformance.promises.killing import CutPoint
from layerstore_conformance.promises.lifecycles import TrackedUpload
from layerstore_conformance.promises.promise import Promise
from layerstore_conformance.scenarios.adversity import crashes

pytestmark = pytest.mark.once

NEVER = 1 << 30


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a store of the test's own, that other processes can open."""
    return f"local://{tmp_path}/store"


@pytest.fixture
def server(url: str) -> Iterator[ForkServer]:
    """Start a fork server on the store."""
    with ForkServer(url, "") as made:
        yield made


def die(server: ForkServer, *plans: Plan) -> list[ExitRecord]:
    """Run plans, and return the exit records."""
    return list(server.run(plans))


def here(place: str, passing: int, side: Side) -> tuple[TrackedUpload, CutObserver]:
    """Run a straight lifecycle in this process, in memory, until it is cut off."""
    observer = CutObserver(passing, side)
    tracked = TrackedUpload(
        LayerService(CheckedDriver(PiecemealDriver(open_driver(f"memory://{place}"), observer))), NAME
    )
    with suppress(Cut):
        lifecycles.straight(tracked)
    tracked.abandon()
    return tracked, observer


def fail_after_one(server: ForkServer, plans: list[Plan]) -> None:
    """Fail as a scenario does, before most workers are forked."""
    next(server.run(plans))
    raise LookupError("the scenario's own")


def promised(promise: Promise) -> dict[str, object]:
    """Return everything that is promised, but for the id of the upload, which differs."""
    return {name: value for name, value in vars(promise).items() if name in vars(Promise("a"))} | {
        "uuid": promise.uuid is not None,
        "steps": [step for step in promise.steps if not step.startswith("begun")],
    }


def test_the_calls_are_counted_exactly(server: ForkServer, tmp_path: Path) -> None:
    """A worker that runs to the end sends the calls, in order, that the same lifecycle makes in this process."""
    (whole,) = die(server, Plan(lifecycles.straight, "whole"))
    whole.check()
    _, observer = here(tmp_path.name, NEVER, "before")
    assert [call.method for call in whole.calls] == [call.method for call in observer.calls]


@pytest.mark.parametrize("side", ["before", "after"])
def test_the_promise_is_rebuilt_exactly(server: ForkServer, tmp_path: Path, side: Side) -> None:
    """Wherever a worker is killed, its promise is that of a lifecycle cut off there by an exception."""
    _, observer = here(tmp_path.name, NEVER, side)
    cuts = [CutPoint(number, side) for number in range(len(observer.calls))]
    for ended in server.run([Plan(lifecycles.straight, f"cut-{cut.call}", cut) for cut in cuts]):
        assert ended.plan.cut is not None
        tracked, observer = here(f"{tmp_path.name}-{ended.plan.cut.call}", ended.plan.cut.call, side)
        assert promised(ended.promise()) == promised(tracked)
        assert len(ended.calls) == len(observer.calls)


def test_a_write_is_cut_in_the_middle(url: str) -> None:
    """The driver is given half of the bytes: one that shows every write at once shows just those."""
    with ForkServer(url, "below", ["writes-visible-at-once"]) as server:
        (ended,) = die(server, Plan(lifecycles.straight, "place", CutPoint(1, "middle")))
    uuid = ended.promise().uuid
    assert uuid is not None
    data = open_driver(url).get(f"below/place/{layout.UploadKeys(NAME, uuid).data}", 9999)
    assert data == TrackedUpload(LayerService(open_driver(url)), NAME).payload.read(1500)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("by_an_error", "LookupError: the worker's own"),
        ("by_exiting", "exit status 3 after 4 driver calls"),
        ("by_an_alarm", "killed by SIGALRM after 4 driver calls"),
        ("by_a_kill_from_elsewhere", "killed by SIGKILL after 4 driver calls"),
    ],
)
def test_a_worker_with_another_end_is_an_error(url: str, name: str, told: str) -> None:
    """It proves nothing about the store, and so it is no pass; the next worker is forked all the same."""
    lifecycle = getattr(importlib.import_module("dying"), name)
    with ForkServer(url, "") as server:
        ended, next_one = die(server, Plan(lifecycle, "a", CutPoint(9, "before")), Plan(lifecycles.straight, "b"))
    with pytest.raises(AssertionError, match=told):
        ended.promise()
    next_one.check()


def test_a_worker_that_never_comes_to_its_cut_point_is_an_error(server: ForkServer) -> None:
    """A lifecycle with fewer calls than that is an error, not a pass."""
    (ended,) = die(server, Plan(lifecycles.straight, "a", CutPoint(NEVER, "before")))
    with pytest.raises(AssertionError, match="not killed at its cut point: exit status 0 after 16 driver calls"):
        ended.promise()


def test_a_store_that_cannot_be_opened_is_an_error() -> None:
    """The worker that should open it sends the driver's own error."""
    with ForkServer("unheard-of://store", "") as server:
        (ended,) = die(server, Plan(lifecycles.straight, "a"))
    with pytest.raises(AssertionError, match="UnknownDriverError"):
        ended.check()


def test_a_fork_server_ends_with_the_scenario_that_fails(url: str) -> None:
    """It waits for the present worker, forks no other, and leaves no process behind."""
    plans = [Plan(lifecycles.straight, f"{number}") for number in range(1000)]
    server = ForkServer(url, "")
    with pytest.raises(LookupError, match="the scenario's own"), server:
        fail_after_one(server, plans)
    assert server._process.returncode == 0
    assert len(list(open_driver(url).list(""))) < len(plans)


def test_a_fork_server_that_dies_itself_is_an_error(server: ForkServer) -> None:
    """Nobody waits for its workers then."""
    server._process.kill()
    server._process.wait()
    with pytest.raises(AssertionError, match="the fork server died, with -9"):
        die(server, Plan(lifecycles.straight, "a"))


def test_the_former_name_of_run_warns(server: ForkServer) -> None:
    """It runs plans all the same."""
    with pytest.warns(DeprecationWarning, match="live: use run"):
        (ended,) = server.live([Plan(lifecycles.straight, "a")])
    ended.check()


def test_a_step_that_there_is_not_is_refused() -> None:
    """A promise that cannot be understood is none."""
    with pytest.raises(ValueError, match="no step: sleeping"):
        Promise("a").take("sleeping")


def test_every_cut_point_is_tried_in_the_full_profile(url: str) -> None:
    """Each call has two sides, each write three, and what is left is finished once, and cancelled once."""
    ctx = Context(Harness(url), profile="full")
    crashes.killed_everywhere(ctx, lifecycles.cancelled)
    assert ctx.counts["cut points"] == 2 * (2 * 17 + 1)


def test_the_quick_profile_always_has_the_cut_points_that_matter(url: str) -> None:
    """With any seed, the cut points around a named call are tried; a call that does not exist is not."""
    named: crashes.Around = ("after", "delete", "/startedat", crashes.FIRST)
    absent: crashes.Around = ("before", "sing", "", crashes.LAST)
    _, observer = here("named", NEVER, "before")
    for seed in range(20):
        ctx = Context(Harness(url), profile="quick", seed=seed)
        chosen = [cut for cut, _ in crashes.choose(ctx, observer.calls, (named, absent))]
        assert next(crashes.around(observer.calls, named)) in chosen
        assert len(set(chosen)) == len(chosen) == 1 + crashes.SAMPLES["quick"]

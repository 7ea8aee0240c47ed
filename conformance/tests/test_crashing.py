"""The killing of children: at exactly the call that was meant, with exactly the promise; anything else is told."""

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
from layerstore_conformance.lives import lifecycles
from layerstore_conformance.lives.crashing import NAME, Death, Plan, Zygote
from layerstore_conformance.lives.killing import CutPoint
from layerstore_conformance.lives.lifecycles import Life
from layerstore_conformance.lives.promise import Promise
from layerstore_conformance.scenarios.adversity import crashes

pytestmark = pytest.mark.once

NEVER = 1 << 30


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a store of the test's own, that other processes can open."""
    return f"local://{tmp_path}/store"


@pytest.fixture
def zygote(url: str) -> Iterator[Zygote]:
    """Start a zygote on the store."""
    with Zygote(url, "") as made:
        yield made


def die(zygote: Zygote, *plans: Plan) -> list[Death]:
    """Have lives lived, and return their deaths."""
    return list(zygote.live(plans))


def here(place: str, passing: int, side: Side) -> tuple[Life, CutObserver]:
    """Live a straight life in this process, in memory, until it is cut off."""
    observer = CutObserver(passing, side)
    life = Life(LayerService(CheckedDriver(PiecemealDriver(open_driver(f"memory://{place}"), observer))), NAME)
    with suppress(Cut):
        lifecycles.straight(life)
    life.abandon()
    return life, observer


def fail_after_one(zygote: Zygote, plans: list[Plan]) -> None:
    """Fail as a scenario does, with most children still to be born."""
    next(zygote.live(plans))
    raise LookupError("the scenario's own")


def promised(promise: Promise) -> dict[str, object]:
    """Return everything that is promised, but for the id of the upload, which differs."""
    return {name: value for name, value in vars(promise).items() if name in vars(Promise("a"))} | {
        "uuid": promise.uuid is not None,
        "steps": [step for step in promise.steps if not step.startswith("begun")],
    }


def test_the_calls_are_counted_exactly(zygote: Zygote, tmp_path: Path) -> None:
    """A child that lives to the end tells the calls, in order, that the same life makes in this process."""
    (whole,) = die(zygote, Plan(lifecycles.straight, "whole"))
    whole.check()
    _, observer = here(tmp_path.name, NEVER, "before")
    assert [call.method for call in whole.calls] == [call.method for call in observer.calls]


@pytest.mark.parametrize("side", ["before", "after"])
def test_the_promise_is_rebuilt_exactly(zygote: Zygote, tmp_path: Path, side: Side) -> None:
    """Wherever a child is killed, what it had been promised is what one cut off there by an exception knows."""
    _, observer = here(tmp_path.name, NEVER, side)
    cuts = [CutPoint(number, side) for number in range(len(observer.calls))]
    for death in zygote.live([Plan(lifecycles.straight, f"cut-{cut.call}", cut) for cut in cuts]):
        assert death.plan.cut is not None
        life, observer = here(f"{tmp_path.name}-{death.plan.cut.call}", death.plan.cut.call, side)
        assert promised(death.promise()) == promised(life)
        assert len(death.calls) == len(observer.calls)


def test_a_write_is_cut_in_the_middle(url: str) -> None:
    """The driver is given half of the bytes: one that shows every write at once shows just those."""
    with Zygote(url, "below", ["writes-visible-at-once"]) as zygote:
        (death,) = die(zygote, Plan(lifecycles.straight, "place", CutPoint(1, "middle")))
    uuid = death.promise().uuid
    assert uuid is not None
    data = open_driver(url).get(f"below/place/{layout.UploadKeys(NAME, uuid).data}", 9999)
    assert data == Life(LayerService(open_driver(url)), NAME).payload.read(1500)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("by_an_error", "LookupError: what the child met"),
        ("by_exiting", "exit status 3 after 4 driver calls"),
        ("by_an_alarm", "killed by SIGALRM after 4 driver calls"),
        ("by_a_kill_from_elsewhere", "killed by SIGKILL after 4 driver calls"),
    ],
)
def test_a_child_that_dies_of_something_else_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    """It proves nothing about the store, and so it is no pass; the next child is born all the same."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    lifecycle = getattr(importlib.import_module("dying"), name)
    with Zygote(url, "") as zygote:
        death, next_one = die(zygote, Plan(lifecycle, "a", CutPoint(9, "before")), Plan(lifecycles.straight, "b"))
    with pytest.raises(AssertionError, match=told):
        death.promise()
    next_one.check()


def test_a_child_that_never_comes_to_its_cut_point_is_told(zygote: Zygote) -> None:
    """A life with fewer calls than that is an error, not a pass."""
    (death,) = die(zygote, Plan(lifecycles.straight, "a", CutPoint(NEVER, "before")))
    with pytest.raises(AssertionError, match="not killed at its cut point: exit status 0 after 16 driver calls"):
        death.promise()


def test_a_store_that_cannot_be_opened_is_told() -> None:
    """By the child that was to open it, with the driver's own error."""
    with Zygote("unheard-of://store", "") as zygote:
        (death,) = die(zygote, Plan(lifecycles.straight, "a"))
    with pytest.raises(AssertionError, match="UnknownDriverError"):
        death.check()


def test_a_zygote_ends_with_the_scenario_that_fails(url: str) -> None:
    """It waits for the child at hand, bears no other, and leaves no process behind."""
    plans = [Plan(lifecycles.straight, f"{number}") for number in range(1000)]
    zygote = Zygote(url, "")
    with pytest.raises(LookupError, match="the scenario's own"), zygote:
        fail_after_one(zygote, plans)
    assert zygote._process.returncode == 0
    assert len(list(open_driver(url).list(""))) < len(plans)


def test_a_zygote_that_dies_itself_is_told(zygote: Zygote) -> None:
    """Nobody waits for its children then."""
    zygote._process.kill()
    zygote._process.wait()
    with pytest.raises(AssertionError, match="the zygote died, with -9"):
        die(zygote, Plan(lifecycles.straight, "a"))


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
    """Whatever the seed, those around a call that was named are among them; a call that there is not, is not."""
    named: crashes.Around = ("after", "delete", "/startedat", crashes.FIRST)
    absent: crashes.Around = ("before", "sing", "", crashes.LAST)
    _, observer = here("named", NEVER, "before")
    for seed in range(20):
        ctx = Context(Harness(url), profile="quick", seed=seed)
        chosen = [cut for cut, _ in crashes.choose(ctx, observer.calls, (named, absent))]
        assert next(crashes.around(observer.calls, named)) in chosen
        assert len(set(chosen)) == len(chosen) == 1 + crashes.SAMPLES["quick"]

"""A scenario's store is cleaned up even after an interrupt."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import ClassVar
from weakref import WeakSet, ref

import pytest

from layerstore import open_driver
from layerstore.driver import Driver
from layerstore_conformance.engine.context import Context
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import scenarios
from layerstore_conformance.engine.subject import examine
from layerstore_conformance.faults.playing import play
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.model.statemachine import search
from layerstore_conformance.scenarios.drivers import histories
from layerstore_conformance.scenarios.uploads import tampered_uploads


class Interrupted(PassingDriver):
    """A driver whose user loses patience at the first deletion."""

    interrupted = False

    def delete(self, key: str) -> None:
        """Be interrupted once."""
        if not Interrupted.interrupted:
            Interrupted.interrupted = True
            raise KeyboardInterrupt
        self.inner.delete(key)


@pytest.fixture
def harness(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Make a store in memory, where deleting is interrupted."""
    monkeypatch.setattr(Interrupted, "interrupted", False)

    def make() -> Driver:
        return Interrupted(open_driver(f"memory://{request.node.name}"))

    return Harness(factory=make)


def left(request: pytest.FixtureRequest) -> list[str]:
    """Return what is in the store."""
    return list(open_driver(f"memory://{request.node.name}").list(""))


def test_a_scenario_that_is_interrupted_while_it_cleans_up_leaves_nothing(
    harness: Harness, request: pytest.FixtureRequest
) -> None:
    """Cleaning up goes on, and then the interrupt does."""
    context = Context(harness)
    context.driver.put("key", b"value")
    with pytest.raises(KeyboardInterrupt):
        context.clean()
    assert left(request) == []


def test_an_examination_that_is_interrupted_leaves_nothing(harness: Harness, request: pytest.FixtureRequest) -> None:
    """The object that shows whether the store is there is deleted, too."""
    with pytest.raises(KeyboardInterrupt):
        examine(harness)
    assert left(request) == []


class Broken(PassingDriver):
    """A driver that cannot delete, for a mistake."""

    def delete(self, key: str) -> None:
        """Fail as no driver may."""
        raise KeyError(key)


def test_a_scenario_that_does_not_apply_is_skipped_whatever_the_driver() -> None:
    """An error of a clean-up does not make the run incomplete: scenarios that are run find it."""
    harness = Harness(factory=lambda: Broken(open_driver("memory:")))
    (one,) = (each for each in scenarios() if each.id == "putting.a-put-outlives-the-process")
    assert run(one, harness).outcome == "skipped"


class Counted(PassingDriver):
    """A driver that knows how many of its kind are open."""

    those: ClassVar[WeakSet[Driver]] = WeakSet()

    def __init__(self, inner: Driver) -> None:
        """Be open."""
        super().__init__(inner)
        self.those.add(self)

    def close(self) -> None:
        """Be open no longer."""
        self.those.discard(self)
        super().close()


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[Context]:
    """Return a context whose handles are counted."""
    made = Context(Harness(factory=lambda: Counted(open_driver(f"memory://{request.node.originalname}"))))
    yield made
    made.clean()


REPEATED: dict[str, Callable[[Context], object]] = {
    "state machine": lambda ctx: search(ctx, examples=3, steps=10),
    "fault plan": lambda ctx: play(ctx, "straight", "move#1:fail-after"),
    "histories in turns": histories.handles_in_turns_see_what_was_done_last,
    "histories at once": histories.handles_at_once_see_one_order,
    "changed uploads": tampered_uploads.an_upload_that_another_handle_put_over_is_not_finished,
}


@pytest.mark.parametrize("work", REPEATED)
def test_what_is_done_hundreds_of_times_keeps_no_handle(counted: Context, work: str) -> None:
    """The full profile does it a thousand times, and a process may have few descriptors."""
    before = set(Counted.those)
    REPEATED[work](counted)
    assert set(Counted.those) == before


def test_a_store_that_is_opened_again_was_let_go_of_by_earlier_scenarios(request: pytest.FixtureRequest) -> None:
    """What a scenario left in a cycle is collected before: a scenario's own collections do not look at it."""
    context = Context(Harness(f"memory://{request.node.name}"))
    garbage = [open_driver(f"memory://{request.node.name}")]
    left = ref(garbage[0])
    garbage.append(garbage)  # type: ignore[arg-type]  # a cycle
    del garbage
    gc.freeze()
    try:
        assert left() is not None
        context.reopen()
        assert left() is None
    finally:
        gc.unfreeze()
        context.clean()

"""A scenario's store is cleaned up even after an interrupt."""

from __future__ import annotations

import pytest

from layerstore import open_driver
from layerstore.driver import Driver
from layerstore.passing import PassingDriver
from layerstore_conformance.engine.context import Context
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import scenarios
from layerstore_conformance.engine.subject import examine
from layerstore_conformance.harness import Harness


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

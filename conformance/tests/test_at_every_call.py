"""Looks and meetings at every call of a piece of work, and the probe of whether holes are free."""

from __future__ import annotations

import threading

import pytest

from layerstore import BackendUnavailableError, open_driver
from layerstore.driver import Writer
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import scenarios
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.bulk import LARGEST, bulk
from layerstore_conformance.kit.holes import free_of_charge
from layerstore_conformance.kit.moments import Meeting, looked_at
from layerstore_conformance.kit.passing import PassingDriver, PassingWriter
from layerstore_conformance.kit.payloads import Payload


class Account:
    """Two numbers whose sum is always ten, but for a moment."""

    def __init__(self) -> None:
        """Have all on one side."""
        self.left, self.right = 10, 0
        self.lock = threading.Lock()

    def take(self) -> None:
        """Take one from the left."""
        self.left -= 1

    def give(self) -> None:
        """Give one to the right."""
        self.right += 1

    def move(self) -> None:
        """Do both."""
        self.take()
        self.give()

    def move_locked(self) -> None:
        """Do both, while nobody looks."""
        with self.lock:
            self.move()

    def check(self) -> None:
        """Look."""
        assert self.left + self.right == 10, f"{self.left} and {self.right}"

    def check_locked(self) -> None:
        """Look, while nobody moves."""
        with self.lock:
            self.check()


def test_a_moment_between_two_calls_is_seen() -> None:
    """A state that lasts from the return of one call to the next is looked at, without any luck."""
    account = Account()
    with pytest.raises(AssertionError, match="9 and 0"):
        looked_at(account.move, account.check)


def test_work_under_a_lock_goes_on_while_a_look_waits_for_it() -> None:
    """A look that waits for a lock of the work holds nothing up, and sees the state afterwards."""
    account = Account()
    assert looked_at(account.move_locked, account.check_locked) >= 1
    assert (account.left, account.right) == (9, 1)


def test_another_call_comes_at_the_moment_that_was_chosen() -> None:
    """Each moment has a number; the other thread acts there, once, and the work has as many moments as without it."""
    seen: list[tuple[int, int]] = []

    def meet(moment: int) -> None:
        account = Account()
        Meeting(lambda: seen.append((account.left, account.right)), moment).of(account.move)

    for each in range(8):
        meet(each)
    assert seen[0] == (10, 0)
    assert (9, 0) in seen
    assert seen[-1] == (9, 1), "a moment that the work does not have is after it"


def test_a_meeting_tells_how_many_moments_there_are() -> None:
    """A scenario draws from them."""
    meeting = Meeting(lambda: None, 1 << 60)
    meeting.of(Account().move)
    assert meeting.events >= 6


def test_an_error_of_the_other_call_is_raised() -> None:
    """It must not be lost with its thread."""
    with pytest.raises(ZeroDivisionError):
        Meeting(lambda: 1 / 0, 0).of(Account().move)


class Filling(PassingDriver):
    """A driver that stores the zeros of every gap."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that fills gaps."""
        return FillingWriter(self.inner.open_writer(key))


class FillingWriter(PassingWriter):
    """Writes zeros into gaps."""

    def write_at(self, offset: int, data: memoryview) -> None:
        """Fill, and write."""
        if offset > self.size:
            super().write_at(self.size, memoryview(bytearray(offset - self.size)))
        super().write_at(offset, data)


class Broken(PassingDriver):
    """A driver that cannot write."""

    def open_writer(self, key: str) -> Writer:
        """Fail."""
        raise BackendUnavailableError(key, "broken")


def test_holes_are_free_where_a_gap_costs_nothing() -> None:
    """The memory driver keeps a hole for nothing; one that stores zeros pays, and one that fails is not asked again."""
    assert free_of_charge(open_driver("memory:"), "holes")
    assert not free_of_charge(Filling(open_driver("memory:")), "holes")
    assert not free_of_charge(Broken(open_driver("memory:")), "holes")


def test_the_probe_of_holes_leaves_nothing() -> None:
    """It deletes the objects it has tried it with."""
    driver = open_driver("memory:")
    free_of_charge(driver, "holes")
    assert list(driver.list("")) == []


def test_gib_of_holes_are_asked_of_nobody_who_pays_for_them() -> None:
    """The scenarios beyond 31 bits are skipped then, with the reason."""
    store = open_driver("memory:")
    scenario = next(each for each in scenarios() if each.module == "beyond")
    result = run(scenario, Harness(factory=lambda: Filling(store)))
    assert (result.outcome, "GiB of zeros" in result.reason) == ("skipped", True)


def test_bulk_is_the_beginning_of_its_payload() -> None:
    """A sweep's large payloads are those of the rest of the suite."""
    assert bulk("bulk", 5000, 3) == Payload("bulk", 3).read(5000)
    assert len(bulk("bulk", LARGEST, 3)) == LARGEST

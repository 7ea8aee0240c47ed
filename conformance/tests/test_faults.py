"""Fault plans: what a line of text says goes wrong, goes wrong, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerstore import BackendUnavailableError, FencedError, NoSpaceError, open_driver
from layerstore.checked import CheckedDriver
from layerstore.driver import Driver, Writer
from layerstore_conformance.engine.context import Context
from layerstore_conformance.engine.defect import defects
from layerstore_conformance.faults.faulty import FaultyDriver
from layerstore_conformance.faults.plan import ANY, KINDS, Fault, FaultPlan
from layerstore_conformance.faults.playing import play
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.passing import PassingDriver

METHODS = st.sampled_from(sorted(KINDS)).flatmap(
    lambda method: st.tuples(st.just(method), st.sampled_from(KINDS[method]))
)
ONE = st.builds(lambda which, number: Fault(which[0], which[1], number), METHODS, st.integers(1, 999))
SOME = st.builds(
    lambda which, k, seed: Fault(which[0], which[1], 0, k, seed), METHODS, st.integers(1, 99), st.integers(0, 9999)
)
PLANS = st.builds(FaultPlan, st.lists(ONE | SOME, max_size=4).map(tuple), st.none() | st.integers(0, 1 << 40))


def faulty(plan: str) -> tuple[FaultyDriver, CheckedDriver]:
    """Return a driver that follows a plan, in front of a store in memory, and the front of it."""
    driver = FaultyDriver(open_driver("memory:"), FaultPlan.parse(plan))
    return driver, CheckedDriver(driver)


@settings(database=None, derandomize=True)
@given(PLANS)
def test_a_plan_is_read_as_it_is_written(plan: FaultPlan) -> None:
    """A plan pasted from a report is the plan that was printed."""
    assert FaultPlan.parse(str(plan)) == plan


@pytest.mark.parametrize(
    "text",
    ["put", "put#0:slow", "put#1:torn", "stat#4:stale", "any#1:late", "fly#1:slow", "full:1 full:2", "put/0@1:slow"],
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    """A plan that cannot happen, or that the contract rules out, is refused, not taken for another."""
    with pytest.raises(ValueError, match=r"fault|can be"):
        FaultPlan.parse(text)


def test_a_plan_is_dealt_by_its_seed() -> None:
    """The same seed deals the same plan, another one another, of calls that there are."""
    calls = {"put": 4, "move": 1}
    dealt = {str(FaultPlan.random(seed, calls)) for seed in range(50)}
    assert str(FaultPlan.random(7, calls)) == str(FaultPlan.random(7, calls))
    assert len(dealt) > 20
    assert all(
        fault.number <= calls[fault.method] for seed in range(50) for fault in FaultPlan.random(seed, calls).faults
    )


def test_fail_before_does_nothing() -> None:
    """A put that fails before it is done stores nothing, and only the call that was named fails."""
    driver, front = faulty("put#2:fail-before")
    front.put("a", b"one")
    with pytest.raises(BackendUnavailableError, match="put#2:fail-before"):
        front.put("a", b"two")
    assert driver.inner.open_reader("a").read() == b"one"
    front.put("a", b"three")
    assert driver.struck == ["put#2:fail-before a"]


@pytest.mark.parametrize("method", ["put", "publish", "move", "delete"])
def test_fail_after_has_done_it(method: str) -> None:
    """A call that fails after its effect has its effect."""
    driver, front = faulty(f"{method}#1:fail-after")
    driver.inner.put("old", b"bytes")
    writer = front.open_writer("new")
    act: dict[str, Callable[[], None]] = {
        "put": lambda: front.put("new", b""),
        "publish": writer.flush,
        "move": lambda: front.move("old", "new"),
        "delete": lambda: front.delete("old"),
    }
    with pytest.raises(BackendUnavailableError):
        act[method]()
    assert list(driver.inner.list("")) == {"move": ["new"], "delete": []}.get(method, ["new", "old"])
    writer.discard()


class Remembering(PassingDriver):
    """A driver that remembers the writers it has opened."""

    def __init__(self, inner: Driver) -> None:
        """Remember none yet."""
        super().__init__(inner)
        self.opened: list[Writer] = []

    def open_writer(self, key: str) -> Writer:
        """Open one, and remember it."""
        self.opened.append(self.inner.open_writer(key))
        return self.opened[-1]


def test_an_opening_that_fails_after_has_fenced_and_holds_nothing() -> None:
    """A writer whose opening is said to have failed has fenced the one before it, and is closed."""
    inner = Remembering(open_driver("memory:"))
    front = CheckedDriver(FaultyDriver(inner, FaultPlan.parse("open_writer#2:fail-after")))
    writer = front.open_writer("a")
    with pytest.raises(BackendUnavailableError):
        front.open_writer("a")
    with pytest.raises(FencedError):
        writer.flush()
    assert [each.closed for each in inner.opened] == [False, True]
    writer.discard()


@pytest.mark.parametrize(
    ("kind", "there"),
    [
        ("fail-before", b"aaaaaaaa"),
        ("short", b"bbbbaaaa"),
        ("torn", b"aabbaabb"),
        ("fail-after", b"bbbbbbbb"),
    ],
)
def test_a_write_that_fails_has_mixed_old_and_new(kind: str, there: bytes) -> None:
    """Of a write that failed each byte within the object is the old or the new one, and none lies beyond its end."""
    driver, front = faulty(f"write_at#2:{kind}")
    writer = front.open_writer("key")
    writer.write(b"aaaaaaaa")
    writer.seek(0)
    with pytest.raises(BackendUnavailableError):
        writer.write(b"bbbbbbbb")
    writer.flush()
    assert driver.inner.open_reader("key").read() == there


@pytest.mark.parametrize("kind", ["short", "torn", "fail-after"])
def test_a_write_that_fails_adds_nothing(kind: str) -> None:
    """A write at the end that failed leaves the size, whatever kind of failure it was."""
    driver, front = faulty(f"write_at#1:{kind}")
    writer = front.open_writer("key")
    with pytest.raises(BackendUnavailableError):
        writer.write(b"new")
    writer.flush()
    assert (writer.size, driver.inner.stat("key").size) == (0, 0)


def test_a_short_read_is_no_error() -> None:
    """A read that gives half of what was asked for is gone on with."""
    driver, front = faulty("read_at#1:short")
    driver.inner.put("key", b"12345678")
    assert front.get("key", 100) == b"12345678"
    assert driver.calls.count("read_at") == 2


def test_a_torn_move_leaves_both() -> None:
    """A move that is cut off has made its target, and its source is there still."""
    driver, front = faulty("move#1:torn")
    driver.inner.put("from", b"bytes")
    with pytest.raises(BackendUnavailableError):
        front.move("from", "to", version=driver.inner.stat("from").version)
    assert {key: driver.inner.open_reader(key).read() for key in driver.inner.list("")} == dict.fromkeys(
        ("from", "to"), b"bytes"
    )


def test_a_torn_delete_leaves_whole_objects() -> None:
    """A delete that fails half way has deleted the first half of what there was, each whole."""
    driver, front = faulty("delete#1:torn")
    for key in ("a", "a/b", "a/c", "a/d"):
        driver.inner.put(key, b"")
    with pytest.raises(BackendUnavailableError):
        front.delete("a")
    assert (list(driver.inner.list("")), list(driver.inner.list("a"))) == (["a", "a/"], ["a/d"])


def test_a_short_listing_fails_half_way() -> None:
    """A listing that breaks off says so."""
    _, front = faulty("list#1:short")
    for key in "abcd":
        front.put(key, b"")
    listing: Iterator[str] = front.list("")
    assert [next(listing), next(listing)] == ["a", "b"]
    with pytest.raises(BackendUnavailableError):
        next(listing)


def test_a_stale_listing_names_what_has_gone() -> None:
    """A stale listing yields what was deleted or moved away, in its place, once, and leaves nothing out."""
    driver, front = faulty("list#1:stale")
    for key in ("a/b", "c", "d"):
        front.put(key, b"")
    driver.inner.put("beside", b"")
    front.delete("a")
    front.move("c", "e")
    assert list(front.list("")) == ["a/", "beside", "c", "d", "e"]
    assert list(front.list("")) == ["beside", "d", "e"]


def test_a_full_store_refuses_until_there_is_room() -> None:
    """A write beyond the limit is refused and stores nothing; one that fits is stored; room can be made."""
    driver, front = faulty("full:10")
    front.put("a", bytes(6))
    writer = front.open_writer("b")
    for store in (lambda: front.put("a", bytes(5)), lambda: writer.write(bytes(5))):
        with pytest.raises(NoSpaceError):
            store()
    writer.write(bytes(4))
    driver.make_room()
    front.put("a", bytes(5))
    writer.discard()
    assert driver.inner.stat("a").size == 5


def test_one_call_in_so_many_fails() -> None:
    """One call in three, or about that, fails, the same ones for the same seed."""
    runs = []
    for _ in range(2):
        _, front = faulty(f"{ANY}/3@5:fail-before")
        failed = []
        for number in range(60):
            try:
                front.put("a", b"")
            except BackendUnavailableError:
                failed.append(number)
        runs.append(failed)
    assert runs[0] == runs[1]
    assert 10 < len(runs[0]) < 30


def test_a_failure_tells_the_plan_and_how_to_see_it_again() -> None:
    """A failure under a plan has the plan in one line, and a script that fails in the same way."""
    with defects()["no-intent"].plant():
        ctx = Context(Harness("memory://test-faults"), seed=3)
        with pytest.raises(AssertionError, match="under the plan: move#1:fail-after\n") as told:
            play(ctx, "straight", "move#1:fail-after")
        script = str(told.value).partition("again, in Python:\n")[2]
        with pytest.raises(AssertionError, match=r"FencedError(?s:.*)under the plan: move#1:fail-after\n"):
            exec(script, {})
    ctx.clean()
    Context(Harness("memory://test-faults")).clean()
    exec(script, {})  # and without the defect it passes

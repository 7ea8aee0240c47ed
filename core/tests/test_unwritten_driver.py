"""A driver that is not written yet, outside the suite: one line with the method, its clauses and the next step."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

import layerstore
from layerstore import Driver, LayerService, LayerStoreError, Reader, Stat, Writer, open_driver
from layerstore.checked import CheckedDriver
from layerstore.cli.program import program
from layerstore.unwritten import PARTS, UnwrittenError, in_order, named, wanting
from layerstore_conformance.kit.passing import PassingDriver

NEXT = ": write it, and 'layerstore conformance tape:... --quick' says what is next"


class Later(Writer):
    """A writer of which nothing is written."""

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write later."""
        raise NotImplementedError

    def publish(self) -> str:
        """Write later."""
        raise NotImplementedError

    def release(self) -> None:
        """Write later."""
        raise NotImplementedError


class Unheld(Later):
    """As much, but for letting go: a test that fails would be told twice."""

    def release(self) -> None:
        """Let go of nothing."""


class Begun(PassingDriver):
    """A driver of which nothing is written but how handles are opened."""

    writer: type[Writer] = Unheld

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open one that cannot read."""
        return Reader(key, 1, "1", offset)

    def open_writer(self, key: str) -> Writer:
        """Open one that cannot write."""
        return self.writer(key, 0, None)

    def put(self, key: str, data: bytes) -> None:
        """Write later, in a method below."""
        self._later()

    def stat(self, key: str) -> Stat:
        """Write later."""
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[str]:
        """Write later, as a generator."""
        yield from self._later()

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Write later, in terms of what is not written either."""
        self.delete(source)

    def delete(self, key: str) -> None:
        """Write later, and say when."""
        raise NotImplementedError("next week")

    def close(self) -> None:
        """Write later."""
        raise NotImplementedError

    def _later(self) -> Iterator[str]:
        raise NotImplementedError


@pytest.fixture
def driver() -> CheckedDriver:
    """Open it behind the front."""
    return CheckedDriver(Begun(open_driver("memory:")), "tape")


CALLS: dict[str, Callable[[CheckedDriver], Any]] = {
    "put": lambda driver: driver.put("key", b""),
    "stat": lambda driver: driver.stat("key"),
    "list": lambda driver: list(driver.list("")),
    "close": lambda driver: driver.close(),
    "read_at": lambda driver: driver.open_reader("key").read(),
    "write_at": lambda driver: driver.open_writer("key").write(b"x"),
    "publish": lambda driver: driver.open_writer("key").flush(),
}


@pytest.mark.parametrize(("part", "call"), CALLS.items(), ids=CALLS)
def test_what_is_not_written_is_told_with_its_clauses(
    driver: CheckedDriver, part: str, call: Callable[[CheckedDriver], Any]
) -> None:
    """For any part, unwritten in any way, the error names it, the driver and the next step."""
    with pytest.raises(UnwrittenError) as caught:
        call(driver)
    assert str(caught.value) == f"driver 'tape' does not implement {named(part)}{NEXT}"
    assert type(caught.value.__cause__) is NotImplementedError


def test_what_a_part_calls_and_is_not_written_is_what_is_told(driver: CheckedDriver) -> None:
    """The error names delete, and not move, and keeps its own message."""
    with pytest.raises(UnwrittenError) as caught:
        driver.move("key", "target")
    assert str(caught.value) == f"driver 'tape' does not implement delete (D1 D2 D3 D4 D5 F2) (next week){NEXT}"


def test_a_writer_that_cannot_let_go_is_told(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that is called at the end is reported like the rest."""
    monkeypatch.setattr(Begun, "writer", Later)
    with pytest.raises(UnwrittenError, match="does not implement release"):
        driver.open_writer("key").discard()


def test_a_reader_that_cannot_let_go_is_told(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that is called at the end is reported like the rest."""
    monkeypatch.setattr(Reader, "release", Later.release)
    with pytest.raises(UnwrittenError, match="does not implement release"):
        driver.open_reader("key").close()


def test_a_class_that_lacks_a_part_is_told(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that Python refuses to make is not written either."""
    monkeypatch.setattr(Begun, "writer", Writer)
    with pytest.raises(UnwrittenError, match=r"does not implement write_at .W2 .*abstract"):
        driver.open_writer("key")


def test_a_mistake_in_a_part_that_is_written_is_left_alone(
    driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TypeError of a driver's code is no missing part."""
    monkeypatch.setattr(Begun, "stat", lambda self, key: key + 1)
    with pytest.raises(TypeError, match="concatenate"):
        driver.stat("key")


def test_two_fronts_tell_it_once(driver: CheckedDriver) -> None:
    """The driver that lacks the part is named, and not one that is put before it."""
    with pytest.raises(UnwrittenError) as caught:
        CheckedDriver(PassingDriver(driver), "other").stat("key")
    assert (caught.value.scheme, str(pickle.loads(pickle.dumps(caught.value)))) == ("tape", str(caught.value))


def test_a_missing_part_is_no_failure_of_storage(driver: CheckedDriver) -> None:
    """A purge, which goes on after what fails in storage, stops."""
    with pytest.raises(UnwrittenError) as caught:
        LayerService(driver).purge(older_than=timedelta(0))
    assert not isinstance(caught.value, LayerStoreError)


def test_the_program_tells_it_in_one_line(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """No empty error, and no traceback."""
    monkeypatch.setattr(layerstore, "open", lambda *_, **__: LayerService(driver))
    result = CliRunner().invoke(program, ["upload", __file__, "--repo", "a/b"])
    assert result.exit_code == 1
    (told,) = result.stderr.splitlines()
    assert told.startswith("layerstore: error: driver 'tape' does not implement ")


def test_every_part_of_a_driver_is_known() -> None:
    """Every abstract method of the contract's classes has clauses, and every part with clauses exists."""
    abstract = Driver.__abstractmethods__ | Writer.__abstractmethods__ | {"read_at"}
    assert PARTS.keys() == abstract | {"close"}


def test_parts_are_told_in_the_order_in_which_they_are_best_written() -> None:
    """Each once, whoever wants it; an error made by hand names its own."""
    wanted = [*wanting(UnwrittenError("move")), *wanting(UnwrittenError("put")), "stat", "move"]
    assert in_order(wanted) == ["put", "stat", "move"]


def test_what_stands_alone_is_told_too() -> None:
    """Without a driver's scheme the sentence still says what to write, and what to run."""
    told = "the driver does not implement close (T4): write it, and 'layerstore conformance URL --quick' "
    assert str(UnwrittenError("close")) == f"{told}says what is next"

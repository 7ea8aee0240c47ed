"""A driver that is not written yet: what is missing is named and counted, and nobody reads a traceback per scenario."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable, Iterator

import pytest

from layerstore import BackendUnavailableError, Reader, Stat, Writer, open_driver
from layerstore.unwritten import UnwrittenError
from layerstore_conformance.engine.run import Result, run
from layerstore_conformance.engine.scenario import scenarios
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.passing import PassingDriver, PassingWriter
from layerstore_conformance.kit.unwritten import sendable, unwritten
from layerstore_conformance.promises.forkserver import ExitRecord, Plan
from layerstore_conformance.promises.interleaving import WriterResult, attempt
from layerstore_conformance.promises.lifecycles import straight

pytest_plugins = ["pytester"]

MODULE = """
import pytest
from layerstore import open_driver
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *

class Begun(PassingDriver):
    def put(self, key, data):
        if "first-" not in key:
            {put}

    def delete(self, key):
        {delete}

@pytest.fixture(scope="session")
def layerstore_harness():
    return Harness(factory=lambda: Begun(open_driver("memory://unwritten")))
"""


class NoPut(PassingDriver):
    """Cannot put."""

    def put(self, key: str, data: bytes) -> None:
        """Not written."""
        self._later()

    def _later(self) -> None:
        raise NotImplementedError


class NoListing(PassingDriver):
    """Lists as a generator."""

    def list(self, prefix: str) -> Iterator[str]:
        """Not written."""
        yield from self._later()

    def _later(self) -> Iterator[str]:
        raise NotImplementedError


class NoDelete(PassingDriver):
    """Cannot delete."""

    def delete(self, key: str) -> None:
        """Not written."""
        raise NotImplementedError


class NoReader(PassingDriver):
    """Reads by a class that has nothing of its own."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open one that cannot read."""
        return Reader(key, self.stat(key).size, "1", offset)


class NoWriter(PassingDriver):
    """Writes by a class that lacks two of its three parts."""

    def open_writer(self, key: str) -> Writer:
        """Open what cannot be made."""

        class Begun(Writer):
            def release(self) -> None:
                """Give back nothing."""

        return Begun(key, 0, None)  # type: ignore[abstract]  # which is what is tested


class NoRelease(PassingDriver):
    """Writes, and lets go of nothing."""

    def open_writer(self, key: str) -> Writer:
        """Open one."""

        class Begun(PassingWriter):
            def release(self) -> None:
                raise NotImplementedError

        return Begun(self.inner.open_writer(key))


BEGUN: dict[type[PassingDriver], tuple[str, str]] = {
    NoPut: ("listing.a-listing-is-in-order", "put"),
    NoListing: ("stat.stat-tells-the-size", "list"),
    NoDelete: ("putting.what-was-put-is-there", "delete"),
    NoReader: ("putting.what-was-put-is-there", "read_at"),
    NoWriter: ("writing.appending-goes-on-where-it-ended", "write_at publish"),
    NoRelease: ("writing.appending-goes-on-where-it-ended", "release"),
}


def ran(kind: type[PassingDriver], name: str) -> Result:
    """Run one scenario on such a driver, of a store of its own."""
    store = open_driver("memory:")
    (wanted,) = [each for each in scenarios() if each.id == name]
    return run(wanted, Harness(factory=lambda: kind(store)))


@pytest.mark.parametrize(("kind", "expected"), BEGUN.items())
def test_what_is_not_written_is_named(kind: type[PassingDriver], expected: tuple[str, str]) -> None:
    """However it is not written, and whether the scenario itself wants it or only its cleaning up, it fails by name."""
    result = ran(kind, expected[0])
    assert result.outcome == "failed"
    assert result.unwritten == tuple(expected[1].split())
    assert result.reason == f"not implemented: {', '.join(result.unwritten)}"


class Vendor:
    """A client with methods called as a driver's are."""

    def delete(self) -> None:
        """Not written, by the vendor."""
        raise NotImplementedError


class Caught(PassingDriver):
    """Makes an answer of what its vendor cannot do."""

    def put(self, key: str, data: bytes) -> None:
        """Put, by way of a vendor's delete."""
        Vendor().delete()

    def stat(self, key: str) -> Stat:
        """Fail as a backend does."""
        try:
            Vendor().delete()
        except NotImplementedError as error:
            raise BackendUnavailableError(key) from error
        raise AssertionError("not reached")


def raised(act: Callable[[], object]) -> Exception:
    """Return what is raised."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  (whatever it is, is what is tested)
        act()
    return caught.value


def test_the_innermost_part_of_the_driver_is_named() -> None:
    """A vendor's method of the same name is not the author's to write."""
    assert unwritten(raised(lambda: Caught(open_driver("memory:")).put("key", b""))) == ["put"]


def test_an_answer_of_the_driver_is_no_missing_part() -> None:
    """A part whose error becomes a driver error is written."""
    assert unwritten(raised(lambda: Caught(open_driver("memory:")).stat("key"))) == []


def test_a_missing_part_is_told_between_processes() -> None:
    """The traceback stays where it was raised, and the name travels."""
    error = sendable(raised(lambda: NoPut(open_driver("memory:")).put("key", b"")))
    assert unwritten(pickle.loads(pickle.dumps(error))) == ["put"]
    assert str(error).startswith("the driver does not implement put (P1 P2 P3 F2): ")
    other = KeyError("key")
    assert sendable(other) is other


def test_a_child_that_wants_a_missing_part_tells_its_name() -> None:
    """A worker that fails before its kill is a failure for want of that part."""
    died = ExitRecord(Plan(straight, "whole"), (("raised", "Traceback ...", "move"),), signal.SIGKILL)
    with pytest.raises(UnwrittenError, match="does not implement move"):
        died.promise()


def test_a_writer_that_fails_ends_its_race() -> None:
    """Every error of a racing writer is a result: without one the race would never end."""

    def write() -> WriterResult:
        raise KeyError("a mistake")

    with pytest.raises(AssertionError, match="KeyError"):
        attempt(write).check()


def conformance(pytester: pytest.Pytester, put: str, delete: str, *arguments: str) -> pytest.RunResult:
    """Run a module of scenarios on a driver that was begun."""
    pytester.makepyfile(MODULE.format(put=put, delete=delete))
    loaded = ("-p", "layerstore_conformance.plugin", "-p", "xdist.plugin", "-p", "no:cacheprovider")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        return pytester.runpytest_subprocess(*loaded, "--layerstore-only=putting", *arguments)


LATER = "raise NotImplementedError"


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_the_to_do_list(pytester: pytest.Pytester, processes: str) -> None:
    """The parts to write next, in order and with counts, stand before the verdict; no failure is narrated."""
    result = conformance(pytester, LATER, LATER, processes)
    told = [line for line in result.outlines if line.startswith(("next: ", "then: ", "layerstore conformance: "))]
    count = result.parseoutcomes()["not"]
    assert told[0] == f"next: implement put (P1 P2 P3 F2); {count} scenarios depend on it"
    assert told[1] == f"then: implement delete (D1 D2 D3 D4 D5 F2); {count} scenarios depend on it"
    assert told[2].startswith(f"layerstore conformance: FAILED: 0 passed, {count} failed")
    assert (result.ret, "FAILURES" in result.stdout.str()) == (pytest.ExitCode.TESTS_FAILED, False)


def test_the_list_shrinks(pytester: pytest.Pytester) -> None:
    """A written part is no longer listed."""
    result = conformance(pytester, "self.inner.put(key, data)", LATER)
    assert [line for line in result.outlines if "implement put" in line] == []
    result.stdout.fnmatch_lines(["next: implement delete (D1 D2 D3 D4 D5 F2); * scenarios depend on it"])


def test_a_wrong_part_has_its_story_told(pytester: pytest.Pytester) -> None:
    """A part that is written and wrong is a failure like any other."""
    result = conformance(pytester, "self.inner.put(key, data[1:])", LATER)
    assert "what happened:" in result.stdout.str()


def test_a_driver_that_is_written_has_no_list(pytester: pytest.Pytester) -> None:
    """When all is written nothing is listed."""
    result = conformance(pytester, "return", "self.inner.delete(key)")
    assert "implement" not in result.stdout.str()

"""The verdict of a run: no vacuous run passes, with any option of pytest, and a run without scenarios sees nothing."""

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
from layerstore_conformance.engine import scenario as module

def holds(ctx):
    ctx.driver.put("key", b"value")
    ctx.expect("key", b"value")

def breaks(ctx):
    assert ctx.driver.get("key", 1) == b"value"

def made(name, check, **more):
    told = dict(group="primitives", why="It matters.", clauses=("R3",), kills=(), rows=(), needs=(), without=())
    return module.Scenario(id=f"fake.{name}", title=f"Fake {name}.", profile="quick", check=check, **{**told, **more})

FAKES = {
    "one": made("one", holds),
    "two": made("two", holds, group="upload"),
    "bad": made("bad", breaks),
    "shared": made("shared", holds, needs=("shared",)),
}
module.scenarios = lambda: tuple(FAKES[name] for name in %r)
"""

HARNESS = """
import pytest
from layerstore import open_driver
from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *

@pytest.fixture(scope="session")
def layerstore_harness():
    return Harness(factory=lambda: open_driver("memory://verdict"))
"""


def run(pytester: pytest.Pytester, *arguments: str, scenarios: tuple[str, ...] = ("one", "two")) -> pytest.RunResult:
    """Run pytest on what the test made, with these scenarios in place of the suite's."""
    pytester.makeconftest(CONFTEST % (scenarios,))
    return bare(pytester, *arguments)


def bare(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest with no plugins but ours and pytest-xdist: others take their time to load, and load what they like."""
    loaded = ["-p", "layerstore_conformance.plugin", "-p", "xdist.plugin", "-p", "no:cacheprovider"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        return pytester.runpytest_subprocess(*loaded, *arguments)


def run_suite(
    pytester: pytest.Pytester, *arguments: str, scenarios: tuple[str, ...] = ("one", "two")
) -> pytest.RunResult:
    """Run the suite's own module on a store in memory."""
    suite = ("--pyargs", "layerstore_conformance", "--layerstore-url=memory://verdict")
    return run(pytester, *suite, *arguments, scenarios=scenarios)


def said(result: pytest.RunResult) -> str:
    """Return the verdict."""
    lines = [line for line in result.outlines if line.startswith("layerstore conformance: ")]
    assert len(lines) == 1, lines
    return lines[0].removeprefix("layerstore conformance: ")


def test_a_run_without_scenarios_is_as_if_nothing_were_installed(pytester: pytest.Pytester) -> None:
    """Somebody else's tests see no output and no other exit status, even where none is collected."""
    pytester.makepyfile("def test_theirs(): pass")
    result = pytester.runpytest_subprocess("--no-header")
    assert result.ret == 0
    assert "layerstore" not in result.stdout.str()
    assert run(pytester, "-k", "zebra").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_run_without_scenarios_imports_neither_core_nor_what_reports_need(pytester: pytest.Pytester) -> None:
    """The plugin costs everybody who has layerstore installed an import of pytest and the standard library."""
    pytester.makepyfile(
        """
        import sys
        def test_theirs():
            rooms = ("layerstore", "layerstore_drivers", "click", "rich", "jinja2", "hypothesis")
            assert [name for name in rooms if name in sys.modules] == []
        """
    )
    bare(pytester).assert_outcomes(passed=1)


def test_every_scenario_passes(pytester: pytest.Pytester) -> None:
    """A complete run is passed, and the last word says by which driver."""
    result = run_suite(pytester)
    assert result.ret == 0
    assert said(result).startswith("PASSED: 2 passed [memory layerstore ")


def test_a_skip_is_no_pass(pytester: pytest.Pytester) -> None:
    """A capability that a driver does not declare is counted and named."""
    result = run_suite(pytester, scenarios=("one", "shared"))
    assert result.ret == 0
    assert said(result).startswith("PASSED: 1 passed, 1 skipped ")
    result.stdout.fnmatch_lines(["skipped 1: shared is not declared"])


def test_a_scenario_that_fails_is_told_once(pytester: pytest.Pytester) -> None:
    """A failure is narrated, clause and all, in pytest's own list and nowhere else."""
    result = run_suite(pytester, scenarios=("one", "bad"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert said(result).startswith("FAILED: 1 passed, 1 failed ")
    assert result.stdout.str().count("clause R3: If there is no object under the key") == 1


def test_the_authors_own_module(pytester: pytest.Pytester) -> None:
    """A module of ten lines is the whole suite; no option is needed for a verdict."""
    pytester.makepyfile(HARNESS)
    result = run(pytester)
    assert result.ret == 0
    assert said(result).startswith("PASSED: 2 passed ")


def test_two_modules_have_a_verdict_each(pytester: pytest.Pytester) -> None:
    """Two drivers in one run are judged one by one, and each has its reports."""
    pytester.makepyfile(test_a=HARNESS, test_b=HARNESS)
    result = run(pytester, "--layerstore-report=reports")
    assert (result.ret, result.stdout.str().count("PASSED: 2 passed")) == (0, 2)
    assert sorted(each.name for each in (pytester.path / "reports").iterdir()) == ["test_a", "test_b"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_run_in_several_processes_is_judged_as_one(pytester: pytest.Pytester, workers: str) -> None:
    """Under pytest-xdist the controller has every record."""
    result = run_suite(pytester, f"-n{workers}", scenarios=("one", "two", "shared"))
    assert (result.ret, said(result).partition(" [")[0]) == (0, "PASSED: 2 passed, 1 skipped")


INCOMPLETE = {
    "deselected by name": ["-k", "one"],
    "all deselected": ["-k", "zebra"],
    "deselected by id": ["--deselect=test_conformance.py::test_scenario[fake.two]"],
    "only set up": ["--setup-only"],
}


@pytest.mark.parametrize("processes", ["-n0", "-n1"])
@pytest.mark.parametrize("arguments", INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_scenario_that_is_not_run(pytester: pytest.Pytester, arguments: list[str], processes: str) -> None:
    """A scenario that is kept from running makes the run incomplete, with an exit status of its own."""
    pytester.makepyfile(test_conformance=HARNESS)
    result = run(pytester, *arguments, processes)
    assert result.ret == 6
    assert said(result).startswith("INCOMPLETE: ")


OVERRIDDEN = {
    "another test in its place": "def test_scenario(layerstore_scenario): pass",
    "no scenarios": (
        "del test_proof\ndef pytest_generate_tests(metafunc): metafunc.parametrize('layerstore_scenario', [])"
    ),
    "marked to be skipped": "pytestmark = pytest.mark.skip",
    "expected to fail": "pytestmark = pytest.mark.xfail",
    "expected to fail, unrun": "pytestmark = pytest.mark.xfail(run=False)",
    "skipped by a fixture": "@pytest.fixture(autouse=True)\ndef no(): pytest.skip('no')",
}


@pytest.mark.parametrize("override", OVERRIDDEN.values(), ids=OVERRIDDEN)
def test_a_scenario_that_is_overridden(pytester: pytest.Pytester, override: str) -> None:
    """A test module cannot make a failing scenario look like anything else."""
    pytester.makepyfile(HARNESS + override)
    result = run(pytester, scenarios=("bad",))
    assert result.ret == 6
    assert said(result).startswith("INCOMPLETE: ")


SEVERAL = HARNESS.replace('scope="session")', 'scope="session", params=["a", "b"])').replace(
    'harness():\n    return Harness(factory=lambda: open_driver("memory://verdict"))',
    'harness(request):\n    return Harness(f"memory://{request.param}")',
)


@pytest.mark.parametrize("module", [HARNESS, SEVERAL], ids=["one harness", "several"])
def test_a_scenario_that_is_run_twice(pytester: pytest.Pytester, module: str) -> None:
    """One that is tried until it passes proves nothing."""
    again = "@pytest.fixture(params=[1, 2], autouse=True)\ndef again(request): pass"
    pytester.makepyfile(module + again)
    result = run(pytester)
    assert result.ret == 6
    assert "2 run more than once: fake.one, fake.two" in result.stdout.str()


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_a_parametrised_harness_is_a_suite_for_each_parameter(pytester: pytest.Pytester, processes: str) -> None:
    """Each has a verdict and reports of its own: the scenarios were run once on every one of them."""
    pytester.makepyfile(test_many=SEVERAL)
    result = run(pytester, processes, "--layerstore-report=reports", "--layerstore-prove")
    assert result.ret == 0
    verdicts = [line for line in result.outlines if line.startswith("layerstore conformance: ")]
    assert [line.rpartition(" [")[0] for line in verdicts] == ["layerstore conformance: PASSED: 2 passed"] * 2
    result.stdout.fnmatch_lines(
        ["*layerstore conformance test_many.py?a?*", "*layerstore conformance test_many.py?b?*"]
    )
    assert sorted(each.name for each in (pytester.path / "reports").iterdir()) == ["test_many-a", "test_many-b"]


def test_one_suite_of_several_that_is_incomplete(pytester: pytest.Pytester) -> None:
    """A scenario missing from one parameter's suite is not replaced by another's."""
    pytester.makepyfile(test_many=SEVERAL)
    result = run(pytester, "-k", "not (fake.two and b)")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*PASSED: 2 passed*", "*INCOMPLETE: 1 passed; 1 not run: fake.two*"])


def test_no_scenario_at_all(pytester: pytest.Pytester) -> None:
    """A store is named, and the suite forgotten: that is no pass, and no mere lack of tests."""
    result = run(pytester, "--layerstore-url=memory://verdict")
    assert (result.ret, said(result)) == (6, "INCOMPLETE: 0 passed; no scenario was run")


UNUSABLE = {
    "no such scheme": ["--layerstore-url=nosuch://store"],
    "no URL": ["--layerstore-seed=1"],
    "no such scenario": ["--layerstore-url=memory://verdict", "--layerstore-only=nothing"],
    "no such waivers": ["--layerstore-url=memory://verdict", "--layerstore-waivers=nowhere.toml"],
    "no place for reports": ["--layerstore-url=memory://verdict", "--layerstore-report=conftest.py"],
}


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
@pytest.mark.parametrize("arguments", UNUSABLE.values(), ids=UNUSABLE)
def test_a_run_that_cannot_begin(pytester: pytest.Pytester, arguments: list[str], processes: str) -> None:
    """A mistake in what was asked for is one clear line with its own exit status, and no list of failures."""
    result = run(pytester, "--pyargs", "layerstore_conformance", *arguments, processes)
    assert result.ret == 7
    text = result.stdout.str() + result.stderr.str()
    assert text.count("layerstore conformance: ERROR: ") == 1
    assert "FAILURES" not in text
    assert "Traceback" not in text


def test_a_harness_that_cannot_be_made(pytester: pytest.Pytester) -> None:
    """The author's own mistake is shown where it is, once."""
    pytester.makepyfile(HARNESS.replace("return", "raise ConnectionError('refused')\n    return"))
    result = run(pytester)
    assert result.ret == 7
    assert "ERROR: 0 passed; the harness could not be made: ConnectionError: refused" in said(result)
    result.assert_outcomes(errors=1)


def test_a_store_that_cannot_be_written_to(pytester: pytest.Pytester) -> None:
    """A backend that is not there is not two hundred failures."""
    driver = 'open_driver("local:///proc/no/such/directory")'
    pytester.makepyfile(HARNESS.replace('open_driver("memory://verdict")', driver))
    result = run(pytester)
    assert result.ret == 7
    assert "ERROR: 0 passed; the store cannot be written to: " in said(result)


def test_a_factory_that_makes_a_new_store_every_time(pytester: pytest.Pytester) -> None:
    """It is found out by looking, whatever the driver is, and what to do is said once."""
    pytester.makepyfile(HARNESS.replace("memory://verdict", "memory:"))
    result = run(pytester)
    assert result.ret == 7
    assert said(result).endswith("have the harness's factory open the same store every time")


def test_pytests_own_ways_to_stop_keep_their_status(pytester: pytest.Pytester) -> None:
    """A run that ``-x`` ended is failed as pytest has it, and the verdict says what is missing."""
    result = run_suite(pytester, "-x", scenarios=("bad", "one"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert said(result).startswith("INCOMPLETE: 0 passed, 1 failed; 1 not run, because the run was stopped: fake.one")


def test_listing_tests_is_no_run(pytester: pytest.Pytester) -> None:
    """``--collect-only`` has no verdict."""
    result = run_suite(pytester, "--collect-only")
    assert result.ret == 0
    assert "PASSED" not in result.stdout.str()
    assert "INCOMPLETE" not in result.stdout.str()


def test_another_test_that_fails_keeps_its_status(pytester: pytest.Pytester) -> None:
    """A verdict of passed does not hide what else failed."""
    pytester.makepyfile(test_a=HARNESS, test_theirs="def test_theirs(): assert False")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert said(result).startswith("PASSED: ")

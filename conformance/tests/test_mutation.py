"""The command of mutation testing: which mutants there are, who kills them, and who is believed to be equivalent."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("cosmic_ray")  # the tox environment mutation has it

ROOM = Path(__file__).parents[1] / "mutation"

SOURCE = """
class Counter:
    def add(self, number: int | None = None) -> int:
        if number is not None and number > 0:
            self.count += number
            self.tell()
        return self.count
"""


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the command's modules be imported, and work in an empty folder with one module to mutate."""
    monkeypatch.syspath_prepend(ROOM)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "counter.py").write_text(SOURCE)
    return tmp_path


def load(name: str) -> ModuleType:
    """Import one of the command's modules."""
    return importlib.import_module(name)


class Sure:
    """A judge that finds every mutant whose source lacks a word."""

    profile = "quick"

    def __init__(self, tree: Path, word: str) -> None:
        self.tree, self.word = tree, word

    def killer_of(self, module: Path, source: str) -> str:
        """Name a scenario, or none."""
        del module
        return "" if self.word in source else "some.scenario"


def test_a_statement_left_out_is_a_mutant(room: Path) -> None:
    """A call and an assignment to an attribute are left out, each in a mutant of its own."""
    with load("mutants").Session(room, "counter", ["counter.py"]) as session:
        changes = {(mutant.was, mutant.now) for mutant in session.mutants()}
    assert {("self.tell()", "pass"), ("self.count += number", "pass")} <= changes


def test_a_change_of_an_annotation_is_no_mutant(room: Path) -> None:
    """Nobody evaluates an annotation: no test could find what changes there."""
    with load("mutants").Session(room, "counter", ["counter.py"]) as session:
        assert not [mutant for mutant in session.mutants() if "&" in mutant.now]


def test_two_spellings_of_one_change_are_one_mutant(room: Path) -> None:
    """`not number > 0` and `number <= 0` would be judged twice, and counted twice."""
    meaning = load("operators").meaning
    assert meaning("if not number > 0: go()") == meaning("if number <= 0: go()") != meaning("if number > 0: go()")


def test_a_session_goes_on_where_it_was(room: Path) -> None:
    """What was judged stays judged in a session that is opened again; a survivor is judged by the next profile."""
    session_of = load("mutants").Session
    with session_of(room, "counter", ["counter.py"]) as session:
        session.judge(session.mutants()[0], Sure(room, "class"))
    with session_of(room, "counter", ["counter.py"]) as session:
        [first, *others] = session.mutants()
        assert (first.judged, first.survived, first.said) == (True, True, "quick")
        assert not any(mutant.judged for mutant in others)
        session.judge(first, Sure(room, "no such word"))  # judged by quick already
        assert session.mutants()[0].survived


def test_other_code_begins_another_session(room: Path) -> None:
    """A result is about the code that was judged: after a change there is none."""
    session_of = load("mutants").Session
    with session_of(room, "counter", ["counter.py"]) as session:
        session.judge(session.mutants()[0], Sure(room, "class"))
    (room / "counter.py").write_text(SOURCE.replace("> 0", "> 1"))
    with session_of(room, "counter", ["counter.py"]) as session:
        assert not any(mutant.judged for mutant in session.mutants())


def test_a_share_is_drawn_by_the_seed(room: Path) -> None:
    """The same seed draws the same mutants."""
    with load("mutants").Session(room, "counter", ["counter.py"]) as session:
        drawn = session.mutants(0.5, seed=1)
        assert drawn == session.mutants(0.5, seed=1)
        assert len(drawn) == round(len(session.mutants()) * 0.5)


def test_an_argued_survivor_has_its_reason_wherever_the_line_is(room: Path) -> None:
    """A reason is found by what was changed to what, and not by a line's number."""
    (room / "argued.toml").write_text(
        '[[survivor]]\nwas = "self.tell()"\nnow = "pass"\nkind = "equivalent"\nwhy = "nobody listens"\n'
    )
    argued = load("argued").Argued(room / "argued.toml")
    with load("mutants").Session(room, "counter", ["counter.py"]) as session:
        [silent] = [mutant for mutant in session.mutants() if mutant.was == "self.tell()"]
    assert argued.reason(silent) == "equivalent: nobody listens"
    assert argued.is_equivalent(silent)


def test_a_mutant_is_judged_by_the_suite_and_goes_away(room: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The judge names what failed with the mutant in place, and puts back what was there."""
    (room / "test_suite.py").write_text("import counter\n\ndef test_it_counts():\n    assert counter.Counter.add\n")
    judge = load("judge").Judge(room, "test_suite.py", "quick", 60)
    with capfd.disabled():  # the judge reads what the suite prints
        assert judge.killer_of(Path("counter.py"), "class Counter:\n    pass\n") == "test_it_counts"
    assert (room / "counter.py").read_text() == SOURCE


def test_a_mutant_that_runs_for_ever_is_ended(room: Path) -> None:
    """The limit is processor time, so that a busy machine makes no kill."""
    (room / "test_suite.py").write_text("import counter\n\ndef test_it_counts():\n    counter.Counter\n")
    judge = load("judge").Judge(room, "test_suite.py", "quick", 3)
    assert judge.killer_of(Path("counter.py"), "while True:\n    pass\n") == "runs for ever"

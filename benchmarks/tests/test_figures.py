"""The figures of benchmarks/README.md are those of the code in the tree, and are drawn of benchmarks/results."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1]
RESULTS = BENCHMARKS / "results"

pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="the tests run without their repository")

Change = Callable[[str], str]


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load what knows functions by their fingerprints."""
    monkeypatch.syspath_prepend(str(BENCHMARKS / "beside"))
    return importlib.import_module("described")


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_no_figure_is_older_than_the_code_that_it_describes(described: ModuleType, file: Path) -> None:
    """Every function that a measurement ran is in the tree as it was; after a change, measure that group again."""
    there = described.everything()
    for name, group in json.loads(file.read_text(encoding="utf-8")).items():
        changed = [function for function, fingerprint in group["code"].items() if fingerprint not in there]
        assert group["code"], f"{name} says nothing of the code that it ran"
        assert not changed, f"measured before these changed; again: targets.py FOLDER --only {name}"


SOURCE = '''
class Thing:
    @property
    def act(self):
        """Say what it is for."""
        # for a reason
        return "#" + f"{self}"


def other():
    return 1
'''


@pytest.fixture
def marks(described: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """Return what gives the fingerprints of a source."""
    monkeypatch.setattr(described, "SOURCES", (tmp_path,))

    def fingerprints(source: str) -> dict[str, str]:
        (tmp_path / "thing.py").write_text(source, encoding="utf-8")
        return dict(described._known.__wrapped__(tmp_path / "thing.py").values())

    return fingerprints


@pytest.mark.parametrize(
    "change",
    [
        lambda source: source.replace("for a reason", "for no reason"),
        lambda source: source.replace("Say what it is for.", "Say nothing."),
        lambda source: source.replace("class Thing:", "ONE = 1\n\n\nclass Thing:\n    two = 2\n"),
        lambda source: source.replace('"#" + f', '"#" +  f'),
    ],
)
def test_a_fingerprint_outlives_what_does_nothing(marks: Callable[[str], dict[str, str]], change: Change) -> None:
    """A comment, a docstring and what stands around a function are not in its fingerprint."""
    before = marks(SOURCE)
    assert set(before) == {"Thing.act", "other"}
    assert marks(change(SOURCE)) == before


@pytest.mark.parametrize("change", [('"#"', '"%"'), ("{self}", "{self!r}"), ("@property", "@staticmethod")])
def test_a_fingerprint_changes_with_what_is_done(
    marks: Callable[[str], dict[str, str]], change: tuple[str, str]
) -> None:
    """A string, a format and a decorator are in it; the neighbour's stays."""
    before, after = marks(SOURCE), marks(SOURCE.replace(*change))
    assert before["Thing.act"] != after["Thing.act"]
    assert before["other"] == after["other"]


def test_what_is_run_is_noted(described: ModuleType) -> None:
    """In this thread and in one that is started meanwhile; nothing that is run afterwards."""
    import layerstore

    recorder = described.Recorder()
    store = layerstore.open("memory:")
    with recorder.listening():
        upload = store.upload("demo/app")
        upload.write(b"x" * (3 << 20))
    upload.cancel()
    code = recorder.code()
    assert {"layerstore.service:LayerService.upload", "layerstore.uploads.upload:LayerUpload.write"} <= code.keys()
    assert "layerstore.uploads.upload:LayerUpload.cancel" not in code
    assert set(code.values()) <= described.everything()


def test_functions_of_one_name_are_all_noted(described: ModuleType) -> None:
    """Their modules tell them apart."""
    import layerstore

    recorder = described.Recorder()
    store = layerstore.open("memory:")
    with recorder.listening():
        store.upload("demo/app").finish(layerstore.Digest.of(b""))
    assert {"layerstore.uploads.finish:link", "layerstore.layout:link"} <= recorder.code().keys()


@pytest.fixture
def draw(described: ModuleType) -> ModuleType:
    """Load what draws."""
    del described  # it can be imported now
    return importlib.import_module("draw")


def test_the_table_is_drawn_of_the_results(draw: ModuleType) -> None:
    """Neither a figure nor a target is on the page that is not in a file, or the other way round."""
    page = draw.README.read_text(encoding="utf-8")
    assert page.partition(draw.BEGIN)[2].partition(draw.END)[0].strip() == draw.table()


def test_the_chart_is_drawn_of_the_results(draw: ModuleType) -> None:
    """Its bars are those of the file."""
    assert draw.CHART.read_text(encoding="utf-8") == draw.chart()

"""The state machine: it finds an error, and gives a script that repeats it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore_conformance.engine.context import Context
from layerstore_conformance.engine.defect import defects
from layerstore_conformance.harness import Harness
from layerstore_conformance.model.comparison import Comparison
from layerstore_conformance.model.model import Model
from layerstore_conformance.model.statemachine import search

URL = "memory://test-model"


@pytest.fixture
def ctx() -> Iterator[Context]:
    """Return a context on a store in memory, and take away what it leaves."""
    made = Context(Harness(URL), seed=0)
    yield made
    made.clean()


def script_of(ctx: Context) -> tuple[str, str]:
    """Search, and return what was found and the script of it."""
    with pytest.raises(AssertionError) as found:
        search(ctx, examples=60, steps=30)
    said, _, script = str(found.value).partition("\nagain, in Python:\n")
    return said, script


def test_what_it_finds_is_a_script_that_runs_as_it_stands(ctx: Context) -> None:
    """The script of a failure fails in the same way; and without what was wrong it passes."""
    with defects()["close-does-not-flush"].plant():
        said, script = script_of(ctx)
        with pytest.raises(AssertionError) as again:
            exec(script, {})
    assert said == str(again.value).partition("\n")[0]
    exec(script, {})


def test_what_it_finds_is_short(ctx: Context) -> None:
    """Steps that are not needed are left out."""
    with defects()["fenced-flush-is-silent"].plant():
        _, script = script_of(ctx)
    assert len([line for line in script.splitlines() if line.startswith("state.")]) <= 4, script


def test_a_seed_finds_the_same_again() -> None:
    """The same seed makes the same steps, so that a failure of another's run can be had here."""
    scripts = []
    with defects()["cancel-keeps-the-data"].plant():
        for _ in range(2):
            ctx = Context(Harness(URL), seed=11)
            scripts.append(script_of(ctx)[1])
            ctx.clean()
    assert scripts[0] == scripts[1]


def test_steps_are_counted(ctx: Context) -> None:
    """The report can say how much was tried."""
    search(ctx, examples=3, steps=10)
    assert ctx.counts["state-machine runs"] >= 3
    assert ctx.counts["state-machine steps"] >= 30


def test_nothing_is_left_where_it_was_started(tmp_path: Path) -> None:
    """No directory of hypothesis's appears where somebody runs the suite."""
    program = f"""
from layerstore_conformance.engine.context import Context
from layerstore_conformance.harness import Harness
from layerstore_conformance.model.statemachine import search
search(Context(Harness({URL!r})), examples=30, steps=20)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_the_model_is_no_mirror_of_the_core(ctx: Context) -> None:
    """A difference between store and model is found: here a write that the model has not seen."""
    state = Comparison(ctx)
    state.begin()
    state.handles[0].real.write(b"untold")
    state.flush()
    with pytest.raises(AssertionError, match="there are"):
        state.look()


def test_the_model_knows_its_own_rules() -> None:
    """In the model, a resume fences; a handle that has raised FencedError cancels nothing, any other cancels all."""
    model = Model()
    first = model.begin("a")
    assert model.resume(first.upload, None) == "UnknownUploadError"
    assert model.flush(first) == ""
    second = model.resume(first.upload, None)
    assert model.flush(first) == "FencedError"
    model.cancel(first)
    assert first.upload.there
    assert not isinstance(second, str)
    model.resume(first.upload, None)
    model.cancel(second)
    assert not first.upload.there

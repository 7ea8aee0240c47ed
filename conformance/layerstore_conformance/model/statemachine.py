"""The comparison as a state machine of hypothesis, which looks for steps after which store and model differ.

Only this module needs hypothesis; the extra ``conformance`` installs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, get_args

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir, storage_directory
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from layerstore_conformance.model.comparison import ALL, By, Comparison, Damage, Offset, State, Where
from layerstore_conformance.steps.again import script

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

SIZES: Final = (1, 63, 64, 65, 3000, 70_000)
"""Bytes: about a block of the hash, and more than are collected before they are hashed."""

COUNT = st.sampled_from((0, 0, 0, 1, 1, 2, ALL, ALL + 1))  # mostly those that are open, and there still
ONE_OF_TWO = st.integers(0, 1)
SIZE = st.sampled_from(SIZES)
INK = st.integers(0, 2)
WHERE = st.sampled_from(get_args(Where))
PIECES = st.lists(st.tuples(WHERE, SIZE, INK), max_size=4)
OFFSET = st.sampled_from(get_args(Offset))
BY = st.sampled_from(get_args(By))
STATE = st.sampled_from(get_args(State))
DAMAGE = st.sampled_from(get_args(Damage))


def machine(ctx: Context) -> type[RuleBasedStateMachine]:
    """Make a state machine of comparisons in a scenario's store."""

    class StoreMachine(Comparison, RuleBasedStateMachine):
        def __init__(self) -> None:
            RuleBasedStateMachine.__init__(self)
            Comparison.__init__(self, ctx)

        begin = rule(repository=ONE_OF_TWO, service=ONE_OF_TWO)(Comparison.begin)
        resume = rule(upload=COUNT, service=ONE_OF_TWO, offset=OFFSET)(Comparison.resume)
        write = rule(handle=COUNT, where=WHERE, size=SIZE, ink=INK)(Comparison.write)
        pour = rule(handle=COUNT, size=SIZE, ink=INK)(Comparison.pour)
        flush = rule(handle=COUNT)(Comparison.flush)
        ask_digest = rule(handle=COUNT)(Comparison.ask_digest)
        close = rule(handle=COUNT)(Comparison.close)
        finish = rule(handle=COUNT, by=BY)(Comparison.finish)
        upload_whole = rule(repository=ONE_OF_TWO, pieces=PIECES, resumed=st.booleans())(Comparison.upload_whole)
        upload_again = rule(layer=COUNT, repository=ONE_OF_TWO)(Comparison.upload_again)
        cancel = rule(handle=COUNT)(Comparison.cancel)
        cancel_upload = rule(upload=COUNT)(Comparison.cancel_upload)
        restart = rule()(Comparison.restart)
        damage_state = rule(upload=COUNT, how=STATE)(Comparison.damage_state)
        replace_data = rule(upload=COUNT, size=SIZE)(Comparison.replace_data)
        damage_blob = rule(layer=COUNT, how=DAMAGE)(Comparison.damage_blob)
        fetch = rule(layer=COUNT, repository=ONE_OF_TWO)(Comparison.fetch)
        mount = rule(layer=COUNT, repository=ONE_OF_TWO)(Comparison.mount)
        unlink = rule(layer=COUNT)(Comparison.unlink)
        pass_time = rule(hours=st.integers(1, 3))(Comparison.pass_time)
        purge = rule(hours=st.integers(0, 3))(Comparison.purge)
        look = rule()(Comparison.look)

    return StoreMachine


def search(ctx: Context, *, examples: int, steps: int, shrink: bool = True) -> None:
    """Look for steps after which store and model differ, by the scenario's seed.

    Raises:
        AssertionError: they differ; the message has a script, of as few steps as could be found if ``shrink``.
    """
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=phases,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=(
            HealthCheck.too_slow,  # the store's doing, not ours
            HealthCheck.data_too_large,  # the caller asked for many steps
        ),
    )
    try:
        with _nothing_left_behind():
            run_state_machine_as_test(seed(ctx.seed)(machine(ctx)), settings=chosen)
    except Exception as error:
        raise AssertionError(f"{_said(error)}\nagain, in Python:\n{_script(ctx, error)}") from error


@contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """Keep hypothesis from writing into the user's current directory."""
    before = storage_directory(intent_to_write=False).path
    with TemporaryDirectory() as place:
        set_hypothesis_home_dir(place)
        try:
            yield
        finally:
            set_hypothesis_home_dir(before)


def _said(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


def _script(ctx: Context, error: Any) -> str:  # noqa: ANN401  (an exception, with notes or without)
    """Return the steps of hypothesis as a script."""
    said = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines()]
    steps = [line.strip() for line in said if line.strip().startswith("state.")]
    lines = ["state = Comparison(ctx)", *steps]
    return script(ctx, "from layerstore_conformance.model.comparison import Comparison", lines)

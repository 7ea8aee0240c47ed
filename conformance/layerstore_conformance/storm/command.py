"""``layerstore conformance storm``: its options, and the summary that it prints."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from layerstore import LayerStoreError, open_driver
from layerstore_conformance.cli.status import CONFIGURATION
from layerstore_conformance.engine.context import though_interrupted
from layerstore_conformance.kit.keys import ROOT
from layerstore_conformance.storm.plan import SIGNALS, Plan
from layerstore_conformance.storm.storm import Storm

SHOWN = 5
"""Violations that are printed with their stories; the others are counted."""


class ConfigurationError(click.ClickException):
    """The storm cannot begin."""

    exit_code = CONFIGURATION


@click.command(short_help="Kill, stop and interrupt many processes that use a store.")
@click.argument("url")
@click.option("--seconds", metavar="N", type=click.FloatRange(min=0), default=0, help="Repeat rounds for this long.")
@click.option(
    "--operations",
    metavar="N",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Operations of one round.",
)
@click.option(
    "--processes", metavar="P", type=click.IntRange(min=1), default=4, show_default=True, help="Processes at a time."
)
@click.option("--seed", metavar="N", type=int, default=0, show_default=True, help="Seed of operations and signals.")
@click.option(
    "--signal", "signals", type=click.Choice(SIGNALS), multiple=True, help="Send only this signal; repeatable."
)
@click.option(
    "--grace", metavar="N", type=click.FloatRange(min=0), default=0, help="Seconds for which gc leaves a blob alone."
)
@click.option(
    "--deadline",
    metavar="N",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    help="Seconds that one operation may take.",
)
@click.option("--logs", metavar="DIR", type=click.Path(path_type=Path), help="Keep the workers' journals there.")
@click.pass_context
def storm(context: click.Context, /, url: str, seconds: float, logs: Path | None, **options: Any) -> None:  # noqa: ANN401  (click's)
    """Run many processes on the store at URL, and kill, stop and interrupt them.

    \b
      layerstore conformance storm URL
      layerstore conformance storm URL --seconds 3600 --processes 8 --seed 7

    The processes upload, resume, cancel, mount, unlink, fetch, list, scrub, purge and collect. Each keeps a journal of
    its operations and their results. After each round every layer and every blob is hashed. If a finish or mount has
    returned, its layer must be there, unless a process has unlinked it. No flush that returned may be lost. After a
    purge and a collection only layers may be left. An operation that takes longer than --deadline ends the storm, and
    the stacks of its process are printed.

    Give a --grace of some seconds if a move is a copy and a deletion, as on Azure, or if all processes wait for one
    that is stopped, as in SQLite. Then gc leaves younger blobs alone, and no process is stopped for more than half of
    that time. Objects that are already at URL stay as they are.

    Exit status: 0 no promise was violated; 1 a promise was violated; 2 usage error; 7 the storm could not begin; 130,
    143 interrupted. After a violation the store and the journals are kept.
    """  # noqa: D301  (click takes the backspace for: leave these lines as they are)
    _check_shared(url)
    folder = _folder(logs)
    options["signals"] = tuple(options["signals"]) or SIGNALS
    what = Storm(Plan(url, f"{ROOT}/storm-{uuid.uuid4().hex}", folder, **options))
    click.echo(f"storm: seed {what.plan.seed}, {what.plan.processes} processes, below {what.plan.prefix}")
    try:
        what.run(seconds=seconds, tell=lambda so_far: click.echo(summary(so_far)))
    finally:
        if not what.violations:
            though_interrupted(what.clear)
            _forget(folder, logs)
    for line in lines(what):
        click.echo(line)
    context.exit(int(bool(what.violations)))


def lines(what: Storm) -> list[str]:
    """Return the operations and violations of a storm, as lines."""
    found = [f"{do}: {_by_number(outcomes)}" for do, outcomes in sorted(what.outcomes.items())]
    found += [line for each in what.violations[:SHOWN] for line in (str(each), *what.stories[each])]
    if what.violations:
        found.append(f"the journals are in {what.plan.folder}, the store below {what.plan.prefix}")
    return [*found, summary(what)]


def summary(what: Storm) -> str:
    """Return in one line how much a storm has done so far."""
    counts = what.counts
    struck = ", ".join(f"{counts[each]} {each}s" for each in SIGNALS)
    done = f"{counts['operations']} operations, {struck}, {counts['workers']} processes, {what.rounds} rounds"
    return f"storm: seed {what.plan.seed}: {done}: {len(what.violations)} violations"


def _by_number(outcomes: Counter[str]) -> str:
    return ", ".join(f"{number} {how}" for how, number in outcomes.most_common())


def _check_shared(url: str) -> None:
    try:
        with closing(open_driver(url)) as driver:
            shared = driver.capabilities.shared
    except LayerStoreError as error:
        raise ConfigurationError(str(error)) from error
    if not shared:
        raise ConfigurationError("the driver does not declare shared: its processes have no store in common")


def _forget(folder: Path, logs: Path | None) -> None:
    """Remove the journals, unless ``--logs`` keeps them."""
    if logs is None:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(logs: Path | None) -> Path:
    if logs is None:
        return Path(tempfile.mkdtemp(prefix="layerstore-storm-"))
    if logs.exists() and any(logs.iterdir()):
        raise ConfigurationError(f"{logs} is not empty: choose another with --logs")
    logs.mkdir(parents=True, exist_ok=True)
    return logs

"""``layerstore bench``: what hashing and reading back cost on a store, and what changed between two runs."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerstore.cli.size import Size
from layerstore.cli.size import size as read_size
from layerstore_benchmarks.case import plan
from layerstore_conformance.cli.extra import need
from layerstore_conformance.cli.status import CONFIGURATION
from layerstore_conformance.cli.urlcommand import URLCommand

if TYPE_CHECKING:
    from layerstore_benchmarks.document import Document


@click.command(cls=URLCommand, short_help="Measure what hashing and reading back cost.")
@click.argument("url")
@click.option(
    "--size", type=Size(), default="256MiB", show_default=True, help="Size of the largest layer, at most about 4 GiB."
)
@click.option("--write-size", type=Size(), default="1MiB", show_default=True, help="Size of a write, at most 16 MiB.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Rounds; each has every case once."
)
@click.option(
    "--seed", metavar="N", type=int, default=0, show_default=True, help="Seed of payloads and of the order of cases."
)
@click.option("--report", metavar="DIR", type=click.Path(path_type=Path), help="Write bench.json and bench.html there.")
def bench(url: str, size: int, write_size: int, rounds: int, seed: int, report: Path | None) -> None:
    """Measure what hashing and reading back cost on the store of URL. Or compare two runs.

    \b
      layerstore bench local:build/store --size 1GiB --report DIR
      layerstore bench compare BEFORE/bench.json AFTER/bench.json

    Layers are uploaded, resumed, verified and cancelled as in the conformance scenarios. They are hashed on their way
    in, hashed with a restored hash state, or read back as a whole. Each case is compared with the floor, which makes
    the same driver calls and hashes nothing. Smaller layers and other sizes of writes are measured, too. Everything is
    stored below layerstore-bench/, and removed at the end.
    """  # noqa: D301  (click takes the backspace for: leave these lines as they are)
    if write_size > read_size("16MiB"):
        raise click.BadParameter("a write is at most 16 MiB.", param_hint="--write-size")
    if report is not None:
        need("bench", "jinja2")
    told = _measured(url, {"size": size, "write_size": write_size, "rounds": rounds, "seed": seed})
    _show(told)
    if report is not None:
        _write(told, report)


@bench.word
@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--allow",
    metavar="RATIO",
    type=click.FloatRange(min=0),
    help="Fail if a case takes more than this many times as long.",
)
@click.pass_context
def compare(context: click.Context, before: Path, after: Path, allow: float | None) -> None:
    """Print what changed between two runs, from the bench.json of each.

    Driver calls and bytes are compared exactly. Times are compared in multiples of each case's floor, and change the
    exit status only with --allow: with 1.1, a case fails if it takes more than a tenth longer than before.

    Exit status: 0 no count has grown, and no case is too slow; 1 a count has grown, or a case is too slow; 7 a file is
    no result of a run.
    """
    from layerstore_benchmarks.compare import compare as compared
    from layerstore_benchmarks.document import read
    from layerstore_conformance.reports.reading import DocumentError

    try:
        found = compared(read(before), read(after), allowed=allow)
    except DocumentError as error:
        click.echo(f"layerstore bench: ERROR: {error}", err=True)
        context.exit(CONFIGURATION)
    for kind, lines in (("worse", found.worse), ("too slow", found.slower), ("better", found.better)):
        for line in lines:
            click.echo(f"{kind}: {line}")
    for case, ratio in found.ratios:
        click.echo(f"{ratio:5.2f} x  {case}")
    context.exit(int(bool(found.worse or found.slower)))


def _measured(url: str, options: dict[str, int]) -> Document:
    from layerstore_benchmarks.document import document
    from layerstore_benchmarks.payload import Source
    from layerstore_benchmarks.run import Run, can_drop_caches
    from layerstore_conformance.engine.subject import UnusableStoreError, examine
    from layerstore_conformance.harness import Harness

    harness, began = Harness(url), datetime.now(UTC)
    try:
        subject = examine(harness)
    except UnusableStoreError as error:
        raise click.ClickException(str(error)) from error
    with closing(harness.open()) as driver:
        cases = plan(options["size"], options["write_size"], cold=can_drop_caches(driver))
        run = Run(driver, Source(options["seed"]), cases)
        _run(run, options)
        return document(run, subject, options, began)


def _run(run: Any, options: dict[str, int]) -> None:  # noqa: ANN401  (a Run)
    """Measure, and draw a bar where there is a terminal to see it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("", total=len(run.cases) * (options["rounds"] + 1))

        def told(case: object) -> None:
            bar.update(task, advance=1, description=str(case))

        run.measure(options["rounds"], options["seed"], told)


def _show(told: Document) -> None:
    from rich.console import Console

    from layerstore_benchmarks.table import show

    show(Console(width=None if sys.stdout.isatty() else 200), told)


def _write(told: Document, folder: Path) -> None:
    from layerstore_benchmarks.page import page

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (folder / "bench.html").write_text(page(told), encoding="utf-8")
    for name in ("bench.json", "bench.html"):
        click.echo(f"report: {folder / name}")

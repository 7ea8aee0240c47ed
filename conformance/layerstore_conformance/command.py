"""``layerstore conformance``: the suite, for a store's URL, and the changes between two runs of it.

The scenarios run in a pytest of their own, in another process: its plugins, its rewriting of asserts and its handling
of signals are not ours, and no configuration of the current directory may change a driver's verdict.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from layerstore_conformance.cli.extra import need
from layerstore_conformance.cli.status import CONFIGURATION
from layerstore_conformance.cli.urlcommand import URLCommand
from layerstore_conformance.storm.command import storm

HERE = Path(__file__).parent

PATIENCE = 30
"""Seconds that an interrupted run may take to clean up after the scenario it was in."""


@click.command(cls=URLCommand, short_help="Run the conformance suite on a driver.")
@click.argument("url")
@click.option("--report", metavar="DIR", help="Write report.html, report.json, junit.xml, matrix.md, badge.svg there.")
@click.option("--only", metavar="GROUP|ID", multiple=True, help="Only this group, module or scenario; repeatable.")
@click.option("--prove", is_flag=True, help="Also plant every known defect, and check that it is found.")
@click.option("--seed", metavar="N", type=int, default=0, show_default=True, help="Seed of payloads and choices.")
@click.option("--quick", "profile", flag_value="quick", help="Run only scenarios that take seconds.")
@click.option("--full", "profile", flag_value="full", help="Run everything, also with layers of a GiB.")
@click.option("--continue", "earlier", metavar="FILE", help="Run only what this report.json does not have.")
@click.option("--missing", metavar="URL", help="A store that does not exist: an unknown bucket, say.")
@click.option("--another", metavar="URL", help="Another store of the same backend: another bucket, say.")
@click.option("--scale", metavar="X", type=float, default=1.0, help="Below 1: smaller payloads, fewer repetitions.")
@click.option("--waivers", metavar="FILE", help="Scenarios that may fail, each with a reason and a last day.")
@click.option("-n", "processes", metavar="N", type=click.IntRange(min=0), default=0, help="Run in N processes.")
@click.pass_context
def conformance(context: click.Context, /, url: str, processes: int, **options: Any) -> None:  # noqa: ANN401  (click's)
    """Run the conformance suite on the driver of URL. Or run a storm, or compare two reports of the suite.

    \b
      layerstore conformance URL --report DIR
      layerstore conformance URL --only resume --seed 7
      layerstore conformance storm URL --seconds 3600
      layerstore conformance diff BEFORE/report.json AFTER/report.json

    Objects that are already at URL stay as they are: every scenario has a prefix of its own, below
    layerstore-conformance/, and deletes it afterwards.

    Exit status: 0 the run passed: every selected scenario was run, and each has passed, is waived, or was skipped for
    something that the driver or the harness does not have; 1 a scenario failed, a waiver has expired, or a planted
    defect was not found; 2 usage error, or interrupted; 3 the suite itself broke; 4 pytest was called in a wrong way; 5
    pytest found no tests; 6 the run is incomplete: a scenario was not run, or run twice; 7 the run could not begin: the
    store does not open, a scenario or a waiver is unknown, an extra is not installed; 130, 143 interrupted.
    """  # noqa: D301  (click takes the backspace for: leave these lines as they are)
    need("conformance", "pytest", "xdist", *(["jinja2"] if options["report"] else []))
    context.exit(_run(_pytest(url, processes, options)))


@conformance.word
@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.pass_context
def diff(context: click.Context, before: Path, after: Path) -> None:
    """Print the changes between two runs, from the report.json of each.

    Exit status: 0 no scenario newly fails; 1 one does; 7 a file is no report.
    """
    from layerstore_conformance.reports.difference import difference, read_report
    from layerstore_conformance.reports.reading import DocumentError

    try:
        found = difference(read_report(before), read_report(after))
    except DocumentError as error:
        click.echo(f"layerstore conformance: ERROR: {error}", err=True)
        context.exit(CONFIGURATION)
    for line in found.lines() or ["no change"]:
        click.echo(line)
    context.exit(int(bool(found.newly_failing)))


conformance.word(storm)


def _pytest(url: str, processes: int, options: dict[str, Any]) -> list[str]:
    """Return the command line of pytest."""
    words = [sys.executable, "-m", "pytest", str(HERE / "test_conformance.py")]
    words += [
        f"--config-file={HERE / 'cli' / 'command.ini'}",
        f"--rootdir={HERE}",
        "--noconftest",
        "-p",
        "no:cacheprovider",
    ]
    words += ["-p", "layerstore_conformance.plugin", "-qq", "-rN", "--tb=short", f"--layerstore-url={url}"]
    # Also one process is a worker: one that a scenario hangs is replaced, however many times.
    words += ["-p", "xdist", f"--numprocesses={max(1, processes)}", "--max-worker-restart=1000"]
    words += [f"--layerstore-only={name}" for name in options["only"]]
    words += [f"--layerstore-seed={options['seed']}", f"--layerstore-profile={options['profile'] or 'default'}"]
    words += [f"--layerstore-scale={options['scale']}"]
    given = {
        "continue": options["earlier"],
        **{name: options[name] for name in ("report", "missing", "another", "waivers")},
    }
    words += [f"--layerstore-{name}={value}" for name, value in given.items() if value]
    words += ["--layerstore-prove"] if options["prove"] else []
    if not sys.stdout.isatty():
        words += ["-p", "layerstore_conformance.session.quiet", "-o", "console_output_style=classic"]
    return words


def _run(words: Sequence[str]) -> int:
    """Run pytest, and return its exit status; after an interrupt, let it clean up."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    environment["PYTHONSAFEPATH"] = "1"  # `python -m` would look for modules in the current directory first
    # In a process group of its own: Ctrl-C reaches it once, through us, and not a second time while it cleans up.
    child = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, process_group=0)
    try:
        return child.wait()
    except BaseException:
        _end(child)
        raise


def _end(child: subprocess.Popen[bytes]) -> None:
    os.killpg(child.pid, signal.SIGINT)  # the workers of -n too: their parent would merely end them
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

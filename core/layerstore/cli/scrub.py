"""``layerstore scrub``: read every blob back, and verify it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from layerstore.cli.flags import flags
from layerstore.cli.harm import HarmError
from layerstore.cli.invocation import Invocation, rfc3339
from layerstore.cli.listing import Row, show
from layerstore.cli.moment import moment
from layerstore.cli.progress import progress
from layerstore.cli.signals import Stopped
from layerstore.contents.survey import Finding
from layerstore.errors import LayerStoreError
from layerstore.upkeep.scrub import ScrubReport

COLUMNS = ("finding", "digest", "size", "key", "detail")


@click.command(short_help="Read every blob back, and verify it.")
@click.option("--repo", metavar="NAME", help="Only blobs that this repository links.")
@click.option("--jobs", metavar="N", type=click.IntRange(min=1), default=1, help="Read this many blobs at once.")
@click.option(
    "--since", metavar="TIME", type=moment, help="Only blobs stored since this time: 2026-07-01T00:00:00Z, or 7d ago."
)
@click.option("--quarantine", is_flag=True, help="Move damaged blobs away. To fetch one then fails.")
@click.option("--after", metavar="HEX", help="Go on after this sha256, at which another scrub was interrupted.")
@flags
@click.pass_obj
def scrub(
    invocation: Invocation,
    repo: str | None,
    jobs: int,
    since: datetime | None,
    quarantine: bool,  # noqa: FBT001  (click's)
    after: str | None,
) -> None:
    """Read every blob back, and check that it hashes to its name, and that every link leads to a blob.

    All findings are listed, also harmless ones. A scrub that is interrupted prints the command that goes on.

    Columns: finding (damaged, unreadable, missing, damaged-link; without harm: unlinked, foreign, leftover), digest,
    size (bytes), key, detail. The exit status is 1 if there is a finding of the first four kinds.
    """
    report = ScrubReport(last=after or "")
    words = [*(() if repo is None else ("--repo", repo)), "--jobs", str(jobs)]
    words += [] if since is None else ["--since", rfc3339(since)]
    words += ["--quarantine"] if quarantine else []
    try:
        with invocation.open() as service, progress(invocation, "reading", None) as tell:
            report = service.scrub(name=repo, jobs=jobs, since=since, quarantine=quarantine, after=after, progress=tell)
            _show(invocation, report)
    except BaseException as error:
        if report.last:
            error.add_note(f"go on with: {invocation.command('scrub', *words, '--after', report.last)}")
        raise
    _sum_up(invocation, report)


def _show(invocation: Invocation, report: ScrubReport) -> None:
    failures: list[BaseException] = []
    show(invocation, COLUMNS, _rows(report, failures))
    for failure in failures:
        raise failure


def _rows(report: ScrubReport, failures: list[BaseException]) -> Iterator[Row]:
    """Yield all findings but ``ok``; an error that ends them is kept for later, since a table needs all its rows."""
    try:
        yield from (_row(finding) for finding in report if finding.kind != "ok")
    except (LayerStoreError, Stopped) as error:
        failures.append(error)


def _row(finding: Finding) -> Row:
    told = [f"is {finding.actual}" if finding.actual else "", finding.detail]
    told += [f"moved to {finding.quarantined}"] if finding.quarantined else []
    return {
        "finding": finding.kind,
        "digest": str(finding.digest or ""),
        "size": finding.size,
        "key": finding.key,
        "detail": ", ".join(text for text in told if text),
    }


def _sum_up(invocation: Invocation, report: ScrubReport) -> None:
    harm, other = len(report.harm), len(report.findings) - len(report.harm)
    text = f"{report.ok} blobs of {report.ok_bytes} bytes are in order; {harm} findings of harm, {other} without"
    counts = {"ok": report.ok, "bytes": report.ok_bytes, "harm": harm, "other": other}
    invocation.say("scrubbed", f"layerstore: {text}", **counts)
    if harm:
        raise HarmError(f"{harm} findings of harm")

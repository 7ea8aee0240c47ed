"""``layerstore uploads purge``: abandoned uploads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import click

from layerstore.cli.flags import flags
from layerstore.cli.harm import HarmError
from layerstore.cli.invocation import Invocation
from layerstore.cli.listing import Row, show
from layerstore.cli.moment import span
from layerstore.upkeep.purge import PurgeEntry, PurgeReport

COLUMNS = ("outcome", "uuid", "repository", "offset", "age", "reason")


@click.command()
@click.option(
    "--older-than",
    metavar="AGE",
    type=span,
    required=True,
    help="Only what is at least this old: 90s, 30m, 12h, 7d, 2w.",
)
@click.option("--repo", metavar="NAME", help="Only uploads into this repository.")
@click.option("--dry-run", is_flag=True, help="Remove nothing; list what would be removed.")
@flags
@click.pass_obj
def purge(invocation: Invocation, older_than: timedelta, repo: str | None, dry_run: bool) -> None:  # noqa: FBT001  (click's)
    """Remove abandoned uploads, and leftovers of uploads that have ended.

    An upload's age is the time since its last write, or since it was begun if that is later. If a client has a removed
    upload open, the client gets an error. An upload that is written to meanwhile is skipped, and so are things that are
    no upload. An upload that cannot be removed is listed as failed, and the purge goes on with the others.

    Columns: outcome (removed, would-remove, skipped, failed), uuid, repository, offset (bytes stored), age (seconds),
    reason.
    """
    with invocation.open() as service:
        report = service.purge(older_than, name=repo, dry_run=dry_run)
    show(invocation, COLUMNS, _rows(report))
    _sum_up(invocation, report)


def _rows(report: PurgeReport) -> Iterator[Row]:
    removed = "would-remove" if report.dry_run else "removed"
    for outcome, entries in ((removed, report.removed), ("skipped", report.skipped), ("failed", report.failed)):
        yield from (_row(outcome, entry) for entry in entries)


def _row(outcome: str, entry: PurgeEntry) -> Row:
    return {
        "outcome": outcome,
        "uuid": entry.uuid,
        "repository": entry.name,
        "offset": entry.offset,
        "age": None if entry.age is None else int(entry.age.total_seconds()),
        "reason": str(entry.error or entry.reason),
    }


def _sum_up(invocation: Invocation, report: PurgeReport) -> None:
    counts = {
        "removed": len(report.removed),
        "kept": len(report.kept),
        "skipped": len(report.skipped),
        "failed": len(report.failed),
    }
    verb = "would remove" if report.dry_run else "removed"
    text = f"layerstore: {verb} {{removed}}; {{kept}} too young, {{skipped}} skipped, {{failed}} failed"
    invocation.say("purged", text.format(**counts), dry_run=report.dry_run, **counts)
    if report.failed:
        raise HarmError(f"{len(report.failed)} could not be removed")

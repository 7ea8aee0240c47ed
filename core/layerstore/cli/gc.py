"""``layerstore gc``: delete blobs that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import click

from layerstore.cli.flags import flags
from layerstore.cli.harm import HarmError
from layerstore.cli.invocation import Invocation
from layerstore.cli.listing import Row, show
from layerstore.cli.moment import span
from layerstore.collect import CollectReport
from layerstore.errors import MarkingIncompleteError

COLUMNS = ("outcome", "digest", "size", "reason")


@click.command(short_help="Delete blobs that nothing uses.")
@click.option("--dry-run", is_flag=True, help="Delete nothing; list what would be deleted.")
@click.option(
    "--grace", metavar="AGE", type=span, default="1h", help="Keep blobs younger than this: 90s, 30m, 7d; by default 1h."
)
@click.option(
    "--ignore-foreign",
    is_flag=True,
    help="Ignore things that are not understood, such as a symlink. Blobs that are used only behind them are deleted.",
)
@flags
@click.pass_obj
def gc(invocation: Invocation, dry_run: bool, grace: timedelta, ignore_foreign: bool) -> None:  # noqa: FBT001  (click's)
    """Delete blobs that no repository links and no finish has claimed.

    Layers, manifests and tags of a CNCF registry in the same store count as links. If anything that may hold links
    cannot be listed, read or understood, nothing is deleted. This is safe while layers are uploaded and mounted with
    layerstore. It is not safe while a registry is written to: see docs/operations.md.

    Columns: outcome (deleted, would-delete, failed, ignored), digest, size (bytes), reason.
    """
    try:
        with invocation.open() as service:
            report = service.collect(dry_run=dry_run, grace=grace, ignore_foreign=ignore_foreign)
    except MarkingIncompleteError as error:
        error.add_note(f"all that is in the way: {invocation.command('scrub')}")
        raise
    show(invocation, COLUMNS, _rows(report))
    _sum_up(invocation, report)


def _rows(report: CollectReport) -> Iterator[Row]:
    deleted = "would-delete" if report.dry_run else "deleted"
    for outcome, blobs in ((deleted, report.removed), ("failed", report.failed)):
        for blob in blobs:
            reason = str(blob.error or "")
            yield {"outcome": outcome, "digest": str(blob.digest), "size": blob.size, "reason": reason}
    for name, what in report.ignored.items():
        yield {"outcome": "ignored", "digest": "", "size": 0, "reason": f"{name}: not understood: {what}"}


def _sum_up(invocation: Invocation, report: CollectReport) -> None:
    size = sum(blob.size for blob in report.removed)
    deleted, failed, kept = len(report.removed), len(report.failed), len(report.kept)
    verb = "would be deleted" if report.dry_run else "deleted"
    text = (
        f"layerstore: {deleted} blobs of {size} bytes {verb}, {failed} failed; {report.in_use} in use, {kept} since it "
        f"began, {report.young} too young"
    )
    text += f"; {len(report.ignored)} not understood, and ignored" if report.ignored else ""
    counts = {"deleted": deleted, "bytes": size, "failed": failed, "in_use": report.in_use, "kept": kept}
    counts["ignored"] = len(report.ignored)
    invocation.say("collected", text, dry_run=report.dry_run, young=report.young, **counts)
    if failed:
        raise HarmError(f"{failed} could not be deleted")

"""``layerstore gc``: delete blobs that nothing uses and, if asked to, drop links that no manifest refers to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import click

from layerstore.cli.flags import flags
from layerstore.cli.harm import HarmError
from layerstore.cli.invocation import Invocation
from layerstore.cli.listing import Row, show
from layerstore.cli.moment import span
from layerstore.errors import MarkingIncompleteError
from layerstore.upkeep.collect import CollectReport

COLUMNS = ("outcome", "digest", "size", "reason")


@click.command(short_help="Delete blobs that nothing uses.")
@click.option("--dry-run", is_flag=True, help="Delete nothing; list what would be deleted.")
@click.option(
    "--grace",
    metavar="AGE",
    type=span,
    help="Keep what is younger than this: 90s, 30m, 7d; by default 1h, and 1d with --unreferenced.",
)
@click.option(
    "--unreferenced",
    is_flag=True,
    help="First drop links to layers that no manifest refers to; also of layers that never had a manifest.",
)
@click.option(
    "--untagged", is_flag=True, help="With --unreferenced: also drop manifests that no tag and no index leads to."
)
@click.option(
    "--ignore-foreign",
    is_flag=True,
    help="Ignore things that are not understood, such as a symlink. Blobs that are used only behind them are deleted.",
)
@flags
@click.pass_obj
def gc(
    invocation: Invocation,
    dry_run: bool,  # noqa: FBT001  (click's)
    grace: timedelta | None,
    unreferenced: bool,  # noqa: FBT001  (click's)
    untagged: bool,  # noqa: FBT001  (click's)
    ignore_foreign: bool,  # noqa: FBT001  (click's)
) -> None:
    """Delete blobs that no repository links and no finish has claimed.

    Layers, manifests and tags of a CNCF registry in the same store count as links. If anything that may hold links
    cannot be listed, read or understood, nothing is deleted. This is safe while layers are uploaded and mounted with
    layerstore, and while layerstore serve is pushed to. It is not safe while another registry is written to: see
    docs/operations.md.

    With --unreferenced, a layer stays in a repository only if one of its manifests refers to it. If anything in a
    repository is not understood, such as a manifest of another type, the whole repository is skipped.

    Columns: outcome (deleted, would-delete, failed, ignored; unlinked, would-unlink, skipped), digest, size (bytes),
    reason.
    """
    if untagged and not unreferenced:
        raise click.UsageError("--untagged goes with --unreferenced.")
    try:
        with invocation.open() as service:
            report = service.collect(
                dry_run=dry_run,
                grace=grace,
                ignore_foreign=ignore_foreign,
                unreferenced=unreferenced,
                untagged=untagged,
            )
    except MarkingIncompleteError as error:
        error.add_note(f"all that is in the way: {invocation.command('scrub')}")
        raise
    show(invocation, COLUMNS, _rows(report))
    _sum_up(invocation, report)


def _rows(report: CollectReport) -> Iterator[Row]:
    yield from _dropped_rows(report)
    deleted = "would-delete" if report.dry_run else "deleted"
    for outcome, blobs in ((deleted, report.removed), ("failed", report.failed)):
        for blob in blobs:
            yield _row(outcome, str(blob.error or ""), str(blob.digest), blob.size)
    for name, what in report.ignored.items():
        yield _row("ignored", f"{name}: not understood: {what}")


def _dropped_rows(report: CollectReport) -> Iterator[Row]:
    unlinked = "would-unlink" if report.dry_run else "unlinked"
    for link in report.dropped.removed:
        yield _row(unlinked, f"{link.kind} of {link.name}", str(link.digest))
    for link in report.dropped.failed:
        yield _row("failed", f"{link.kind} of {link.name}: {link.error}", str(link.digest))
    for name, why in report.dropped.skipped.items():
        yield _row("skipped", f"{name}: {why}")


def _row(outcome: str, reason: str, digest: str = "", size: int = 0) -> Row:
    return {"outcome": outcome, "digest": digest, "size": size, "reason": reason}


def _sum_up(invocation: Invocation, report: CollectReport) -> None:
    size = sum(blob.size for blob in report.removed)
    dropped = report.dropped
    deleted, failed, kept = len(report.removed), len(report.failed) + len(dropped.failed), len(report.kept)
    verb = "would be deleted" if report.dry_run else "deleted"
    text = (
        f"layerstore: {deleted} blobs of {size} bytes {verb}, {failed} failed; {report.in_use} in use, {kept} since it "
        f"began, {report.young} too young"
    )
    text += f"; {len(report.ignored)} not understood, and ignored" if report.ignored else ""
    text += f"; {len(dropped.removed)} links dropped" if dropped.removed else ""
    text += f"; {len(dropped.skipped)} repositories skipped" if dropped.skipped else ""
    counts = {"deleted": deleted, "bytes": size, "failed": failed, "in_use": report.in_use, "kept": kept}
    counts |= {"ignored": len(report.ignored), "unlinked": len(dropped.removed), "skipped": len(dropped.skipped)}
    invocation.say("collected", text, dry_run=report.dry_run, young=report.young, **counts)
    if failed:
        raise HarmError(f"{failed} could not be deleted")

"""``layerstore uploads``: list, cancel or purge uploads under way."""

from __future__ import annotations

import click

from layerstore.cli.flags import flags
from layerstore.cli.invocation import Invocation, rfc3339
from layerstore.cli.listing import Row, show
from layerstore.cli.purge import purge
from layerstore.service import UploadInfo

COLUMNS = ("uuid", "repository", "offset", "started", "last write")


@click.group(no_args_is_help=False)
@flags
def uploads() -> None:
    """List, cancel or purge uploads under way."""


@uploads.command("list")
@click.option("--repo", metavar="NAME", help="Only uploads into this repository.")
@flags
@click.pass_obj
def list_(invocation: Invocation, repo: str | None) -> None:
    """List uploads.

    Columns: uuid, repository, offset (bytes stored), started, last write.
    """
    with invocation.open() as service:
        show(invocation, COLUMNS, map(_row, service.uploads(repo)))


@uploads.command()
@click.argument("uuid")
@click.option("--repo", metavar="NAME", required=True, help="The repository of the upload.")
@flags
@click.pass_obj
def cancel(invocation: Invocation, uuid: str, repo: str) -> None:
    """Remove an upload and all it has stored."""
    with invocation.open() as service:
        service.cancel(repo, uuid)
    if invocation.json:
        invocation.answer("", uuid=uuid, repository=repo)


uploads.add_command(purge)


def _row(upload: UploadInfo) -> Row:
    return {
        "uuid": upload.uuid,
        "repository": upload.name,
        "offset": upload.offset,
        "started": rfc3339(upload.started_at),
        "last_write": rfc3339(upload.modified),
    }

"""``layerstore layers``: list layers."""

from __future__ import annotations

import click

from layerstore.cli.flags import flags
from layerstore.cli.invocation import Invocation, rfc3339
from layerstore.cli.listing import Row, show
from layerstore.service import LayerInfo

COLUMNS = ("repository", "digest", "size", "created")


@click.command()
@click.option("--repo", metavar="NAME", help="Only layers of this repository.")
@flags
@click.pass_obj
def layers(invocation: Invocation, repo: str | None) -> None:
    """List layers.

    Columns: repository, digest, size in bytes, created.
    """
    with invocation.open() as service:
        show(invocation, COLUMNS, map(_row, service.layers(repo)))


def _row(layer: LayerInfo) -> Row:
    return dict(zip(COLUMNS, (layer.name, str(layer.digest), layer.size, rfc3339(layer.created_at)), strict=True))

"""Listings: a table for people, tab-separated lines for pipes, JSON lines for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import click

from layerstore.cli.invocation import Invocation, one_line

Row = Mapping[str, object]
"""One line of a listing, its fields as JSON has them."""

WIDE = 10_000
"""The width of a table in characters: the terminal may wrap a long line, but rich must not cut a digest short."""


def cells(row: Row) -> list[str]:
    """Return a row's fields as text."""
    return [one_line(str(value)) for value in row.values()]


def show(
    invocation: Invocation, columns: Sequence[str], rows: Iterable[Row], spell: Callable[[Row], list[str]] = cells
) -> None:
    """List rows as they come; if there are none, write nothing."""
    if not invocation.json and sys.stdout.isatty():
        _draw(columns, [spell(row) for row in rows])
        return
    for row in rows:
        invocation.answer("" if invocation.json else "\t".join(spell(row)), **row)


def _draw(columns: Sequence[str], rows: list[list[str]]) -> None:
    if not rows:
        click.echo("nothing to list", err=True)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: brackets are no markup
    Console(width=WIDE).print(table)

"""The progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from layerstore.cli.invocation import Invocation

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress(invocation: Invocation, what: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Draw a bar with rate and time left, on a terminal; yield a function to call with the number of further bytes.

    ``total`` is in bytes, or None if it is unknown; ``done`` of them were done before.
    """
    if not invocation.watched:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar, invocation.echoing(partial(_print, bar.console)):
        task = bar.add_task(what, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


def _print(console: Console, text: str) -> None:
    """Print a line as it is: a command to paste into a shell must not be wrapped."""
    console.print(text, soft_wrap=True, markup=False, highlight=False, emoji=False)

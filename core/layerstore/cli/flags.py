"""The options that every command takes, before its name or after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from layerstore.cli.invocation import Invocation

F = TypeVar("F", bound=Callable[..., Any])


def flags(command: F) -> F:
    """Give a command ``--store``, ``--json`` and ``--debug``; the last two are read by :meth:`Invocation.of`."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, help="Show a traceback of an error."),
        click.option("--json", is_flag=True, expose_value=False, help="Write JSON lines, for programs."),
        click.option("--store", metavar="URL", expose_value=False, callback=_remember, help="The store to use."),
    ):
        command = option(command)
    return command


def _remember(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Invocation).store = value

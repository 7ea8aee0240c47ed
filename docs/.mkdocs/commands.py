"""For mkdocs-click: the commands as they are when they are run, and their examples as code."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import distribution
from typing import TYPE_CHECKING

import click

from layerstore.cli.plugins import GROUP
from layerstore.cli.program import program

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

VERBATIM = re.compile(r"^\x08\n((?:.+\n?)+)", re.MULTILINE)
"""Lines that click leaves as they are: from a backspace to the next empty one."""


def on_config(config: MkDocsConfig) -> None:
    """Put our own plugged commands in place of what is listed until they are run, and make code of examples."""
    del config
    for entry in distribution("layerstore").entry_points.select(group=GROUP):
        program.add_command(entry.load(), entry.name)
    _fence(program)


def _fence(command: click.Command) -> None:
    if command.help:
        command.help = VERBATIM.sub(_fenced, inspect.cleandoc(command.help).replace("<", "&lt;"))
    below = {**getattr(command, "commands", {}), **getattr(command, "words", {})}  # groups', and those of a URL
    for each in below.values():
        _fence(each)


def _fenced(lines: re.Match[str]) -> str:
    return f"```text\n{inspect.cleandoc(lines[1])}\n```\n"

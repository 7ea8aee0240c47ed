"""Commands of other distributions and rooms: found by metadata, and imported when one is run, or listed by help.

An entry point in the group ``layerstore.commands``: its name is the command, its value a click command object.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib.metadata import EntryPoint
from typing import Any

import click

from layerstore.registry import installed

GROUP = "layerstore.commands"


class PluggedCommand(click.Command):
    """A command that is imported when it is run, or when the commands are listed."""

    def __init__(self, entry: EntryPoint) -> None:
        super().__init__(entry.name)
        self._entry = entry

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the command's own line of help or, if it does not load, the name of its distribution."""
        try:
            with redirect_stdout(sys.stderr):  # a plugin's own output is no part of the help
                return self._imported().get_short_help_str(limit)
        except click.ClickException:
            return f"(does not load; of {_distribution(self._entry)})"

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401  (click's)
    ) -> click.Context:
        """Import the command, and let it read its part of the command line."""
        return self._imported().make_context(info_name, args, parent, **extra)

    def _imported(self) -> click.Command:
        try:
            found = self._entry.load()
        except (Exception, SystemExit) as error:
            raise self._refused(f"{type(error).__name__}: {error}{self._hint(error)}") from error
        if not isinstance(found, click.Command):
            raise self._refused(f"{self._entry.value} is no click command")
        return found

    def _refused(self, detail: str) -> click.ClickException:
        return click.ClickException(f"command {self.name!r} of {_distribution(self._entry)} does not load: {detail}")

    def _hint(self, error: BaseException) -> str:
        """Return how to install a missing module, if the distribution has an extra with the command's name."""
        extras = self._entry.dist.metadata.get_all("Provides-Extra") or () if self._entry.dist else ()
        missing = isinstance(error, ModuleNotFoundError) and self.name in extras
        return f"; pip install '{_distribution(self._entry)}[{self.name}]'" if missing else ""


def plugged() -> dict[str, PluggedCommand]:
    """Return all installed commands by name, without importing any; of two with one name, the first on ``sys.path``."""
    found: dict[str, PluggedCommand] = {}
    for entry in installed(GROUP, lambda *_: None):  # the registry logs a damaged distribution: once is enough
        found.setdefault(entry.name, PluggedCommand(entry))
    return found


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown distribution"

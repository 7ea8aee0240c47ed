"""A command that takes a URL, or the name of a subcommand in the URL's place."""

from __future__ import annotations

from typing import Any

import click


class URLCommand(click.Command):
    """A command whose first argument is a URL or a subcommand: a URL has a scheme, so no word is both."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  (click's)
        """Begin without subcommands."""
        super().__init__(*args, **options)
        self.words: dict[str, click.Command] = {}

    def word(self, command: click.Command) -> click.Command:
        """Make a command a subcommand; a decorator."""
        self.words[str(command.name)] = command
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401  (click's)
    ) -> click.Context:
        """Read a command line."""
        if args and args[0] in self.words:
            return self.words[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's)
        """Run the command or the subcommand that the command line names."""
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)

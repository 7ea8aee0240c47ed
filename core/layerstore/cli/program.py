"""The program and its commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from layerstore.cli.drivers import drivers
from layerstore.cli.failure import report, warnings_told
from layerstore.cli.fetch import fetch
from layerstore.cli.flags import flags
from layerstore.cli.gc import gc
from layerstore.cli.invocation import Invocation
from layerstore.cli.layers import layers
from layerstore.cli.plugins import plugged
from layerstore.cli.scrub import scrub
from layerstore.cli.upload import upload
from layerstore.cli.uploads import uploads


class Program(click.Group):
    """A group of commands with its own messages for errors."""

    def main(  # type: ignore[override]  # click's further arguments are not for callers of this program
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **extra: Any,  # noqa: ANN401  (click's)
    ) -> NoReturn:
        """Run a command line, ``sys.argv`` if None, and exit."""
        arguments = list(sys.argv[1:] if args is None else args)
        invocation = Invocation.of(arguments)
        try:
            status = super().main(arguments, prog_name, standalone_mode=False, obj=invocation, **extra)
        except click.ClickException as error:  # options before the command that the program does not have
            status = report(error, invocation)
        sys.exit(status)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of layerstore's own commands, and of those that are plugged in."""
        return sorted({*super().list_commands(ctx), *plugged()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command: layerstore's own before one that is plugged in."""
        return super().get_command(ctx, cmd_name) or plugged().get(cmd_name)

    def invoke(self, ctx: click.Context) -> int:
        """Run the command, and return the exit status."""
        try:
            with warnings_told(ctx.obj):
                super().invoke(ctx)
        except click.exceptions.Exit:
            raise
        except BaseException as error:  # noqa: BLE001  (the last chance to report it; also a plugin's SystemExit)
            return report(error, ctx.obj)
        return 0


@click.group(cls=Program, name="layerstore", no_args_is_help=False)
@flags
@click.version_option(package_name="layerstore", message="%(prog)s %(version)s")
def program() -> None:
    """Store container layers in any backend, resume uploads that were cut off, and verify layers.

    The store is --store URL, or else $LAYERSTORE_URL, or else a directory below the user's data directory
    ($XDG_DATA_HOME/layerstore). URLs are local:///absolute/path, local:relative/path, memory://NAME, and those of
    installed drivers (layerstore drivers). --store, --json and --debug may stand before or after the command.

    \b
      layerstore upload layer.tar --repo library/debian
      layerstore upload layer.tar --repo library/debian --resume UUID
      tar -c rootfs | layerstore upload - --repo library/debian
      layerstore fetch sha256:2cf2... --repo library/debian -o layer.tar
      layerstore layers --json | jq -r .digest
      layerstore uploads cancel UUID --repo library/debian
      layerstore uploads purge --older-than 7d
      layerstore scrub --jobs 2
      layerstore gc --dry-run

    Without a terminal, listings are lines of tab-separated columns without a header. With --json, stdout and stderr are
    JSON lines: on stdout one object per layer, upload, blob or driver; on stderr one per event (started, resumed,
    checkpoint, exists, fetched, purged, scrubbed, collected, warning, error). Sizes and offsets are in bytes, times in
    RFC 3339, UTC.

    Exit status: 0 done; 1 failed, or scrub has found harm; 2 usage error; 130, 143 interrupted by SIGINT, SIGTERM;
    141 broken pipe. Conformance and bench have further ones: see their --help.
    """  # noqa: D301  (click takes the backspace for: leave these lines as they are)


for command in (upload, fetch, layers, uploads, scrub, gc, drivers):
    program.add_command(command)

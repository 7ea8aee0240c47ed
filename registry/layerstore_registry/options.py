"""The options of ``layerstore serve``: on the command line, in the environment, in a file, by the same names."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from layerstore.cli.moment import span as read_span
from layerstore.cli.size import Size

PREFIX: Final = "LAYERSTORE_SERVE"
"""The beginning of the names of variables."""

MAX_PORT: Final = 65535

F = TypeVar("F", bound=Callable[..., Any])

_ELSEWHERE: Final = {"config", "check", "help", "json", "debug"}
"""Options that a file must not have."""


class Span(click.ParamType[timedelta]):
    """A span of time, as people write it."""

    name = "age"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> timedelta:  # noqa: ANN401  (click's)
        """Read it."""
        del parameter, context
        return value if isinstance(value, timedelta) else read_span(value)


class Address(click.ParamType[tuple[str, int]]):
    """A host and a port."""

    name = "address"

    def convert(
        self,
        value: Any,  # noqa: ANN401  (click's)
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> tuple[str, int]:
        """Read it."""
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > MAX_PORT:
            self.fail(f"{value!r} is not of the form HOST:PORT.", parameter, context)
        return host.strip("[]"), int(port)


def _configured(context: click.Context, option: click.Parameter, value: Path | None) -> None:
    """Use the values of a file for options that are given nowhere else."""
    del option
    if value is None:
        return
    try:
        told = tomllib.loads(value.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{value}: {error}") from error
    known = {name[2:] for each in context.command.params for name in each.opts if name.startswith("--")} - _ELSEWHERE
    unknown = sorted(set(told) - known)
    if unknown:
        raise click.BadParameter(f"{value}: no option {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    context.default_map = {name.replace("-", "_"): _as_words(each) for name, each in told.items()}


def _as_words(value: Any) -> Any:  # noqa: ANN401  (whatever TOML knows)
    """Return a value in the form that it has on the command line, so that the options check it."""
    if isinstance(value, list):
        return [_as_words(each) for each in value]
    return value if isinstance(value, bool) else str(value)


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_COUNT = click.IntRange(min=1)

_OPTIONS: Final = (
    click.option(
        "--config",
        type=_FILE,
        is_eager=True,
        expose_value=False,
        callback=_configured,
        help="A TOML file with the names of these options, without the leading dashes.",
    ),
    click.option(
        "--listen",
        metavar="HOST:PORT",
        multiple=True,
        default=["127.0.0.1:5000"],
        show_default="127.0.0.1:5000",
        help="Where to listen; may be given more than once. unix:PATH is a socket.",
    ),
    click.option("--tls-cert", metavar="FILE", type=_FILE, help="A certificate and its chain, in PEM."),
    click.option("--tls-key", metavar="FILE", type=_FILE, help="The certificate's key, in PEM."),
    click.option("--insecure", is_flag=True, help="Let other machines connect without TLS, or without a login."),
    click.option("--htpasswd", metavar="FILE", type=_FILE, help="Users and bcrypt hashes, as htpasswd -B writes them."),
    click.option("--read-only-user", metavar="NAME", multiple=True, help="A user who may only pull."),
    click.option("--anonymous-pull", is_flag=True, help="Allow clients to pull without a login."),
    click.option("--rules", metavar="FILE", type=_FILE, help="A TOML file: who may do what to which repositories."),
    click.option("--token-realm", metavar="URL", help="Where clients get bearer tokens."),
    click.option("--token-service", metavar="NAME", help="The token server's name for this registry."),
    click.option("--token-issuer", metavar="NAME", help="The token server's name for itself."),
    click.option("--token-keys", metavar="FILE", type=_FILE, help="The token server's public keys: a JWK Set, or PEM."),
    click.option("--read-only", is_flag=True, help="Refuse every request that would change the store."),
    click.option("--no-delete-blobs", is_flag=True, help="Refuse to delete blobs."),
    click.option("--no-delete-manifests", is_flag=True, help="Refuse to delete manifests and tags."),
    click.option("--no-page", is_flag=True, help="Show nothing to people with a browser."),
    click.option(
        "--redirect",
        is_flag=True,
        help="Lead whoever pulls a blob to where the store has it, by a URL that is good for 20 minutes.",
    ),
    click.option("--max-manifest", type=Size(), default="4MiB", show_default=True, help="Largest manifest."),
    click.option("--max-blob", type=Size(), default=0, show_default="any", help="Largest blob."),
    click.option(
        "--purge-uploads",
        metavar="AGE",
        type=Span(),
        help="Remove abandoned uploads of this age, such as 7d. They are looked for about once an hour.",
    ),
    click.option("--workers", type=_COUNT, default=1, show_default=True, help="Processes."),
    click.option("--threads", type=_COUNT, default=32, show_default=True, help="Requests at a time, in each process."),
    click.option("--timeout", type=_COUNT, default=60, show_default=True, help="Seconds that a client may be silent."),
    click.option(
        "--graceful-timeout", type=_COUNT, default=60, show_default=True, help="Seconds that a stop may take."
    ),
    click.option(
        "--access-log",
        type=click.Choice(["off", "common", "json"]),
        default="off",
        show_default=True,
        help="A line on standard output for each request.",
    ),
    click.option(
        "--metrics",
        metavar="HOST:PORT",
        type=Address(),
        help="Where Prometheus asks, at /metrics, for counts; without a login, and without TLS.",
    ),
    click.option("--check", is_flag=True, help="Tell whether all of this is in order, and serve nothing."),
)


def options(command: F) -> F:
    """Add all options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command

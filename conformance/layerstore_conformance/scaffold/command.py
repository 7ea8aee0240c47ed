"""The command: it takes a name and a directory, and prints the next commands to type."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import click

from layerstore.registry import Registry
from layerstore_conformance.cli.extra import need

NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z")
"""A name for a URL's scheme (RFC 3986) and, after ``layerstore-``, for a distribution and a module."""


@click.command(short_help="Begin a distribution for a new driver.")
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    metavar="D",
    type=click.Path(path_type=Path),
    help="Where to write it; by default ./layerstore-NAME.",
)
@click.option(
    "--object-store",
    is_flag=True,
    help="The backend is an object store: write seven calls of its service, on layerstore.objectstore.",
)
def new_driver(name: str, folder: Path | None, *, object_store: bool) -> None:
    """Write a distribution for a new driver. Its URLs begin with NAME:.

    The distribution has everything except the driver. Each method quotes the clauses of the contract that it must keep,
    and the conformance suite says which method to write next.
    """
    _check(name)
    folder = folder or Path(f"layerstore-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.ClickException(f"{folder} exists and is not an empty directory: choose another with --dir")
    need("conformance", "jinja2")
    from layerstore_conformance.scaffold.distribution import write

    write(name, module_of(name), folder, object_store=object_store)
    click.echo(f"{folder}: a driver for {name}: URLs, to be written in {module_of(name)}.py. Next:")
    click.echo(f"  cd {shlex.quote(str(folder))} && pip install -e '.[test]'")
    click.echo(
        "  pytest --layerstore-profile=quick" if object_store else f"  layerstore conformance {name}://test --quick"
    )


def module_of(name: str) -> str:
    """Return the name of a driver's module."""
    return f"layerstore_{name.replace('-', '_')}"


def _check(name: str) -> None:
    """Refuse a name that is malformed or taken.

    Raises:
        click.BadParameter: it is malformed or taken.
    """
    if not NAME.match(name):
        raise click.BadParameter(
            f"{name!r} cannot be a URL's scheme and a distribution's name: take lower-case letters, digits and single"
            " dashes, a letter first"
        )
    claims = [info for info in Registry().drivers() if info.scheme == name]
    others = [info.distribution for info in claims if info.distribution != f"layerstore-{name}"]
    if others:
        raise click.BadParameter(f"the scheme {name!r} belongs to {' and '.join(others)}: choose another")
    if not claims and find_spec(module_of(name)):
        raise click.BadParameter(f"a module {module_of(name)} is installed already: choose another name")

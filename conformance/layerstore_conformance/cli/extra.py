"""Modules of an extra: they are looked for before any time is spent, and the error says how to install them."""

from __future__ import annotations

from importlib.util import find_spec

import click

from layerstore_conformance.cli.status import CONFIGURATION


class MissingError(click.ClickException):
    """A module is not installed."""

    exit_code = CONFIGURATION


def need(extra: str, *modules: str) -> None:
    """Look for the modules of an extra of layerstore's.

    Raises:
        MissingError: one is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingError(f"No module named {module!r}; pip install 'layerstore[{extra}]'")

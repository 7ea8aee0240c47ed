"""``layerstore drivers``: list installed drivers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict

import click

from layerstore.cli.flags import flags
from layerstore.cli.invocation import Invocation
from layerstore.cli.listing import Row, cells, show
from layerstore.driver import Capabilities
from layerstore.errors import PluginError
from layerstore.registry import DriverInfo, Registry

COLUMNS = ("scheme", "distribution", "version", "capabilities")


@click.command()
@flags
@click.pass_obj
def drivers(invocation: Invocation) -> None:
    """List installed drivers.

    Columns: URL scheme, distribution, version, capabilities. Each driver is imported to find out its capabilities. If
    that fails, the reason is listed.
    """
    show(invocation, COLUMNS, _rows(Registry()), _spell)


def _rows(registry: Registry) -> Iterator[Row]:
    for driver in registry.drivers():
        capabilities, problem = _look(registry, driver)
        yield {
            "scheme": driver.scheme,
            "distribution": driver.distribution,
            "version": driver.version,
            "capabilities": capabilities and asdict(capabilities),
            "problem": problem,
        }


def _look(registry: Registry, driver: DriverInfo) -> tuple[Capabilities | None, str | None]:
    """Load a driver; return its capabilities, or the reason why it does not load."""
    if driver.shadowed:
        return None, "ignored: the scheme is layerstore's own"
    try:
        with redirect_stdout(sys.stderr):  # a plugin's own output is no part of the listing
            loaded = registry.load(driver.scheme)
    except PluginError as error:
        return None, str(error)
    found = getattr(loaded, "capabilities", None)
    return (found if isinstance(found, Capabilities) else None), None


def _spell(row: Row) -> list[str]:
    capabilities = row["capabilities"]
    if isinstance(capabilities, dict):
        told = ",".join(name for name, has in capabilities.items() if has is True) or "none"
    else:
        told = str(row["problem"] or "known once a store is open")
    return cells({**{name: row[name] for name in COLUMNS}, "capabilities": told})

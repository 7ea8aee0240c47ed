"""Stores that are opened a thousand times: the driver of a scheme is looked for among the installed ones once."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from layerstore import StoreURL
from layerstore.checked import CheckedDriver
from layerstore.handles import call_driver
from layerstore.registry import Registry

if TYPE_CHECKING:
    from layerstore.driver import Driver


def open_known(url: str) -> CheckedDriver:
    """Open a store as :func:`layerstore.open_driver` does, by options that were seen to be the driver's."""
    parsed = StoreURL.parse(url)
    opens = partial(_driver(parsed.scheme).open, parsed, **parsed.options)
    return CheckedDriver(call_driver(parsed.scheme, url, opens), parsed.scheme)


@cache
def _driver(scheme: str) -> type[Driver]:
    return Registry().load(scheme)

"""The local disk driver, scheme ``local``: the embedded default, in plain files that a registry can share."""

from layerstore.driver import Driver
from layerstore.hookspecs import hookimpl
from layerstore_drivers.local.driver import LocalDriver

__all__ = ["LocalDriver", "layerstore_driver"]


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Return the driver class of this plugin."""
    return LocalDriver

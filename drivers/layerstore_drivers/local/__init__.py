"""The local disk driver, scheme ``local``: the embedded default, in plain files that a registry can share.

- ``driver``: the seven methods. ``opening``, ``writer``, ``draft``: writing. ``reader``, ``listing``, ``removal``.
- ``fencing``: takes a key from its writer. ``record``: the record of a key, with its writer and its version.
- ``locks``, ``area``: critical sections, sessions, and the private area. ``tree``: directories below the root.
- ``system``: every call to the operating system by ``ctypes`` and ``fcntl``.
"""

from layerstore.driver import Driver
from layerstore.hookspecs import hookimpl
from layerstore_drivers.local.driver import LocalDriver

__all__ = ["LocalDriver", "layerstore_driver"]


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Return the driver class of this plugin."""
    return LocalDriver

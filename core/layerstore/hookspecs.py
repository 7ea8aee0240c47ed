"""The hook by which a plugin hands layerstore its driver.

A plugin is one module with one function, named in its distribution's metadata under the URL scheme it serves::

    # pyproject.toml
    [project.entry-points."layerstore.drivers"]
    tape = "tape_store.plugin"

    # tape_store/plugin.py
    from layerstore.driver import Capabilities, Driver
    from layerstore.hookspecs import hookimpl

    class TapeDriver(Driver):
        contract_version = "1.0"
        capabilities = Capabilities(nested_keys=True, shared=False, durable=True)
        ...

    @hookimpl
    def layerstore_driver() -> type[Driver]:
        return TapeDriver

``layerstore.open_driver("tape:...")`` imports that module, calls the hook, and opens the class that it returns. Reading
the list of drivers (``Registry.drivers``) imports nothing. A driver that needs a heavy SDK may import it at the top of
the module; if the SDK is missing, that is a ``DriverLoadError`` that names the distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from layerstore.driver import Driver

hookspec = pluggy.HookspecMarker("layerstore")
"""Marks a hook that layerstore calls in plugins."""

hookimpl = pluggy.HookimplMarker("layerstore")
"""Marks a plugin's implementation of the hook; a plugin imports only this."""


@hookspec(firstresult=True)
def layerstore_driver() -> type[Driver]:  # type: ignore[empty-body]  # pluggy calls the answers, never this
    """Return the driver's class, concrete, with ``contract_version`` spelled out (clause C1).

    It is called once for every ``open_driver`` of the scheme, so it should do no work. An exception that is raised
    here, or by the module's import, becomes a ``DriverLoadError``, and affects this plugin alone.
    """

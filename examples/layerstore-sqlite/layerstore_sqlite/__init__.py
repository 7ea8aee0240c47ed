"""Container layers in one SQLite file: a layerstore driver, scheme ``sqlite``."""

from layerstore.driver import Driver
from layerstore.hookspecs import hookimpl
from layerstore_sqlite.driver import SqliteDriver


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Answer to the scheme ``sqlite``."""
    return SqliteDriver

"""The PyFilesystem2 driver, schemes ``pyfs+mem``, ``pyfs+osfs``, ``pyfs+temp`` and ``pyfs+ftp``.

Importing this module imports no ``fs``: that happens when a ``pyfs`` URL is opened.
"""

import warnings

from layerstore.driver import Driver
from layerstore.hookspecs import hookimpl


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Return the driver class of this plugin.

    Raises:
        ImportError: the extra is not installed, or a setuptools that PyFilesystem2 cannot be imported with; the
            message says what to install.
    """
    try:
        return _driver()
    except ModuleNotFoundError as error:
        if error.name == "pkg_resources":
            told = "PyFilesystem2 imports pkg_resources, which setuptools 82 removed; run: pip install 'setuptools<82'"
            raise ImportError(told) from error
        if (error.name or "").partition(".")[0] != "fs":
            raise
        raise ImportError(f"no module {error.name}; run: pip install 'layerstore[pyfilesystem]'") from error


def _driver() -> type[Driver]:
    # A setuptools that still has pkg_resources warns on stderr that it will go; a user of a store cannot help it.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pkg_resources", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*pkg_resources", category=DeprecationWarning)
        from layerstore_drivers.pyfilesystem.driver import PyFilesystemDriver
    return PyFilesystemDriver

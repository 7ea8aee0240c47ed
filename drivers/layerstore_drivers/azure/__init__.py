"""The Azure driver, schemes ``azure`` and ``azure+emulator``: block blobs, fenced by their ETags.

Importing this module imports no SDK: that happens when an ``azure`` URL is opened.
"""

from layerstore.driver import Driver
from layerstore.hookspecs import hookimpl


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Return the driver class of this plugin.

    Raises:
        ImportError: the SDK is not installed; the message says what to install.
    """
    try:
        from layerstore_drivers.azure.driver import AzureDriver
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "azure":
            raise
        raise ImportError(f"no module {error.name}; run: pip install 'layerstore[azure]'") from error
    return AzureDriver

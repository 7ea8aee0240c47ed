"""The S3 driver, scheme ``s3``: the toolkit for object stores, on boto3.

Importing this module imports no SDK: that happens when an ``s3`` URL is opened.
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
        from layerstore_drivers.s3.driver import S3Driver
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"boto3", "botocore"}:
            raise
        raise ImportError(f"no module {error.name}; run: pip install 'layerstore[s3]'") from error
    return S3Driver

"""Container layers in any backend: uploads that survive, layers that are what their digest says.

>>> import hashlib, layerstore
>>> store = layerstore.open("memory://example")
>>> upload = store.upload("library/hello")
>>> upload.write(b"hello, layers")
13
>>> layer = upload.finish("sha256:" + hashlib.sha256(b"hello, layers").hexdigest())
>>> layer.read()
b'hello, layers'
"""

import logging
from typing import Any

from layerstore.checked import CheckedDriver
from layerstore.collect import Collected, CollectReport
from layerstore.digest import Digest, FSLayer
from layerstore.driver import (
    CONTRACT_VERSION,
    Capabilities,
    Driver,
    Foreign,
    Reader,
    Scanned,
    Stat,
    Unpublished,
    Writer,
)
from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    ContractVersionError,
    DriverConflictError,
    DriverError,
    DriverLoadError,
    FencedError,
    InvalidArchiveError,
    InvalidDigestError,
    InvalidNameError,
    InvalidOffsetError,
    InvalidPathError,
    InvalidUploadIDError,
    InvalidURLError,
    LayerClosedError,
    LayerExistsError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    LayerStoreError,
    LayerUploadUnknownError,
    MarkingIncompleteError,
    NoSpaceError,
    OffsetMismatchError,
    PathNotFoundError,
    PluginError,
    TarSumVersionUnsupportedError,
    UnknownDriverError,
    UnknownLayerError,
    UnknownOptionError,
    UnsupportedDigestError,
    UnsupportedOperationError,
)
from layerstore.hookspecs import hookimpl
from layerstore.layer import Layer
from layerstore.purge import PurgeEntry, PurgeReport
from layerstore.registry import open_driver
from layerstore.scrub import Progress, ScrubReport
from layerstore.service import LayerInfo, LayerService, UploadInfo
from layerstore.spool import Verify
from layerstore.survey import Finding, FindingKind
from layerstore.unwritten import UnwrittenError
from layerstore.upload import LayerUpload
from layerstore.url import StoreURL

logging.getLogger("layerstore").addHandler(logging.NullHandler())  # without it Python prints what nobody asked to see


def open(url: str | StoreURL, *, verify: Verify = "resume", **options: Any) -> LayerService:  # noqa: A001, ANN401
    """Open the store a URL names: ``memory://NAME``, ``local:///absolute/path``, ``local:relative/path``.

    ``verify`` is how uploads are verified when they are finished (see :class:`LayerService`); ``options`` are the
    driver's, in the URL or here. Nothing is created before something is stored.

    Raises:
        InvalidURLError: no store URL.
        UnknownDriverError: no driver for its scheme.
        UnknownOptionError: the driver has no such option.
        PluginError: the driver's plugin does not load, or two claim the scheme, or it is of another contract version.
        ValueError: no such policy.
    """
    return LayerService(open_driver(url, **options), verify=verify)


__all__ = [
    "CONTRACT_VERSION",
    "AccessDeniedError",
    "BackendUnavailableError",
    "Capabilities",
    "CheckedDriver",
    "CollectReport",
    "Collected",
    "ContractVersionError",
    "Digest",
    "Driver",
    "DriverConflictError",
    "DriverError",
    "DriverLoadError",
    "FSLayer",
    "FencedError",
    "Finding",
    "FindingKind",
    "Foreign",
    "InvalidArchiveError",
    "InvalidDigestError",
    "InvalidNameError",
    "InvalidOffsetError",
    "InvalidPathError",
    "InvalidURLError",
    "InvalidUploadIDError",
    "Layer",
    "LayerClosedError",
    "LayerExistsError",
    "LayerInfo",
    "LayerInvalidDigestError",
    "LayerInvalidSizeError",
    "LayerService",
    "LayerStoreError",
    "LayerUpload",
    "LayerUploadUnknownError",
    "MarkingIncompleteError",
    "NoSpaceError",
    "OffsetMismatchError",
    "PathNotFoundError",
    "PluginError",
    "Progress",
    "PurgeEntry",
    "PurgeReport",
    "Reader",
    "Scanned",
    "ScrubReport",
    "Stat",
    "StoreURL",
    "TarSumVersionUnsupportedError",
    "UnknownDriverError",
    "UnknownLayerError",
    "UnknownOptionError",
    "Unpublished",
    "UnsupportedDigestError",
    "UnsupportedOperationError",
    "UnwrittenError",
    "UploadInfo",
    "Verify",
    "Writer",
    "hookimpl",
    "open",
    "open_driver",
]

"""Container layers in any backend: uploads survive a crash, and a layer's bytes hash to its digest.

>>> import layerstore
>>> from layerstore import Digest
>>> store = layerstore.open("memory://example")
>>> upload = store.upload("library/hello")
>>> upload.write(b"hello, layers")
13
>>> layer = upload.finish(Digest.of(b"hello, layers"))
>>> layer.read()
b'hello, layers'
"""

import logging
from typing import TYPE_CHECKING, Any

from layerstore.checked import CheckedDriver
from layerstore.contents.repository import LinkKind, Unlinked
from layerstore.contents.survey import Finding, FindingKind
from layerstore.digest import Digest
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
from layerstore.errors import RENAMED as _RENAMED
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
    MarkingIncompleteError,
    NoSpaceError,
    OffsetMismatchError,
    PathNotFoundError,
    PluginError,
    UnknownDriverError,
    UnknownLayerError,
    UnknownOptionError,
    UnknownUploadError,
    UnsupportedDigestError,
    UnsupportedOperationError,
    UnsupportedTarSumVersionError,
)
from layerstore.fslayer import FSLayer
from layerstore.hookspecs import hookimpl
from layerstore.layer import Layer
from layerstore.registry import open_driver
from layerstore.renamed import renamed as _renamed
from layerstore.service import LayerInfo, LayerService, UploadInfo
from layerstore.unwritten import UnwrittenError
from layerstore.upkeep.collect import Collected, CollectReport
from layerstore.upkeep.purge import PurgeEntry, PurgeReport
from layerstore.upkeep.scrub import Progress, ScrubReport
from layerstore.upkeep.unreferenced import Dropped
from layerstore.uploads.spool import Verify
from layerstore.uploads.upload import LayerUpload
from layerstore.url import StoreURL

if TYPE_CHECKING:
    from layerstore.errors import LayerUploadUnknownError as LayerUploadUnknownError
    from layerstore.errors import TarSumVersionUnsupportedError as TarSumVersionUnsupportedError
else:  # a type checker that saw it would take every name
    __getattr__ = _renamed(__name__, _RENAMED)

logging.getLogger("layerstore").addHandler(logging.NullHandler())  # without it Python prints our warnings on stderr


def open(url: str | StoreURL, *, verify: Verify = "resume", **options: Any) -> LayerService:  # noqa: A001, ANN401
    """Open the store a URL names: ``memory://NAME``, ``local:///absolute/path``, ``local:relative/path``.

    ``verify`` selects how ``finish`` verifies uploads (see :class:`LayerService`). ``options`` are the driver's; they
    may be in the URL or here. Nothing is created before something is stored.

    Raises:
        InvalidURLError: ``url`` is not a store URL.
        UnknownDriverError: no installed driver has this scheme.
        UnknownOptionError: the driver has no such option.
        PluginError: the driver's plugin does not load, two distributions claim the scheme, or the driver is written for
            another version of the contract.
        ValueError: ``verify`` is not a policy.
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
    "Dropped",
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
    "LinkKind",
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
    "UnknownDriverError",
    "UnknownLayerError",
    "UnknownOptionError",
    "UnknownUploadError",
    "Unlinked",
    "Unpublished",
    "UnsupportedDigestError",
    "UnsupportedOperationError",
    "UnsupportedTarSumVersionError",
    "UnwrittenError",
    "UploadInfo",
    "Verify",
    "Writer",
    "hookimpl",
    "open",
    "open_driver",
]

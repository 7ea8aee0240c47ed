"""Every error layerstore raises, in one tree.

    LayerStoreError
    ├── LayerExistsError              the repository already has a layer under this digest
    ├── UnknownLayerError             the repository has no such layer                          LookupError
    ├── UnknownUploadError            no upload under this uuid (finished, cancelled or never begun)  LookupError
    ├── LayerClosedError              the layer or upload handle is closed                      ValueError
    ├── LayerInvalidDigestError       the stored bytes do not match the digest given to finish
    ├── LayerInvalidSizeError         the number of stored bytes is not the size given to finish
    ├── OffsetMismatchError           an upload is not at the offset its writer believes
    ├── InvalidArchiveError           a tarsum was asked for, and the bytes are no tar archive  ValueError
    ├── InvalidDigestError            not a digest                                              ValueError
    │   └── UnsupportedDigestError    a digest, but of an algorithm layerstore does not verify
    │       └── UnsupportedTarSumVersionError   a tarsum of a version layerstore does not verify
    ├── InvalidNameError              not a repository name                                     ValueError
    ├── InvalidUploadIDError          not an upload id                                          ValueError
    ├── MarkingIncompleteError        a collection cannot tell what is in use, and deletes nothing
    ├── DriverError                   storage failed; has the key, the driver and a readable name
    │   ├── PathNotFoundError         nothing under this key                                    LookupError
    │   ├── InvalidPathError          not a key                                                 ValueError
    │   ├── InvalidOffsetError        an offset outside the object                              ValueError
    │   ├── UnsupportedOperationError this driver cannot, and says so in its capabilities
    │   ├── FencedError               a later writer, or a change, has taken the object over
    │   ├── NoSpaceError              the backend is full
    │   ├── AccessDeniedError         the backend refuses
    │   └── BackendUnavailableError   the backend cannot be reached or does not work
    └── PluginError                   finding and opening a driver
        ├── InvalidURLError           not a store URL                                           ValueError
        ├── UnknownDriverError        no driver for this scheme                                 LookupError
        ├── UnknownOptionError        the driver has no such option                             LookupError
        ├── DriverConflictError       two distributions claim one scheme
        ├── DriverLoadError           a driver's plugin cannot be imported or is no plugin
        └── ContractVersionError      a driver written for a contract this layerstore does not speak

Fields are positional and all handed to ``super().__init__``, so that every error pickles; ``str()`` makes the sentence.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Final

from layerstore.renamed import renamed

if TYPE_CHECKING:
    from layerstore.fslayer import FSLayer


class LayerStoreError(Exception):
    """Any error that layerstore raises on purpose."""


class LayerExistsError(LayerStoreError):
    """The repository already has a layer under the digest ."""

    def __init__(self, name: str, digest: str) -> None:
        super().__init__(name, digest)
        self.name = name
        self.digest = digest

    def __str__(self) -> str:
        return f"repository {self.name} already has layer {self.digest}"


class UnknownLayerError(LayerStoreError, LookupError):
    """The repository has no such layer ."""

    def __init__(self, name: str, fs_layer: FSLayer) -> None:
        super().__init__(name, fs_layer)
        self.name = name
        self.fs_layer = fs_layer

    def __str__(self) -> str:
        return f"repository {self.name} has no layer {self.fs_layer.blob_sum}"


class UnknownUploadError(LayerStoreError, LookupError):
    """No upload has this uuid: it was finished, cancelled or purged, or never begun."""

    def __init__(self, name: str, uuid: str) -> None:
        super().__init__(name, uuid)
        self.name = name
        self.uuid = uuid

    def __str__(self) -> str:
        return f"repository {self.name} has no upload {self.uuid}"


class LayerClosedError(LayerStoreError, ValueError):
    """The handle is closed; also a ``ValueError``, as Python's file objects raise."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} is closed"


class LayerInvalidDigestError(LayerStoreError):
    """The stored bytes do not match the digest given to ``finish`` ."""

    def __init__(self, digest: str, actual: str) -> None:
        super().__init__(digest, actual)
        self.digest = digest
        self.actual = actual

    def __str__(self) -> str:
        return f"expected digest {self.digest}, the bytes are {self.actual}"


class LayerInvalidSizeError(LayerStoreError):
    """The number of stored bytes is not the size given to ``finish``."""

    def __init__(self, size: int, actual: int) -> None:
        super().__init__(size, actual)
        self.size = size
        self.actual = actual

    def __str__(self) -> str:
        return f"expected {self.size} bytes, the upload has {self.actual}"


class OffsetMismatchError(LayerStoreError):
    """The upload is not at the offset that its writer expects; ``actual`` is the offset to go on from."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(expected, actual)
        self.expected = expected
        self.actual = actual

    def __str__(self) -> str:
        return f"expected the upload at offset {self.expected}, it is at {self.actual}"


class InvalidArchiveError(LayerStoreError, ValueError):
    """The bytes are not a tar archive that has a tarsum; ``offset`` is where reading stopped, in bytes."""

    def __init__(self, offset: int, detail: str) -> None:
        super().__init__(offset, detail)
        self.offset = offset
        self.detail = detail

    def __str__(self) -> str:
        return f"not a tar archive at byte {self.offset}: {self.detail}"


class InvalidDigestError(LayerStoreError, ValueError):
    """The text is not a digest."""

    def __init__(self, text: str, detail: str = "not of the form algorithm:hex") -> None:
        super().__init__(text, detail)
        self.text = text
        self.detail = detail

    def __str__(self) -> str:
        return f"invalid digest {self.text!r}: {self.detail}"


class UnsupportedDigestError(InvalidDigestError):
    """The text is a digest, of an algorithm that layerstore does not verify."""


class UnsupportedTarSumVersionError(UnsupportedDigestError):
    """The tarsum is of a version that layerstore does not verify ."""


class InvalidNameError(LayerStoreError, ValueError):
    """The text is not a repository name."""

    def __init__(self, text: str, detail: str) -> None:
        super().__init__(text, detail)
        self.text = text
        self.detail = detail

    def __str__(self) -> str:
        return f"invalid repository name {self.text!r}: {self.detail}"


class InvalidUploadIDError(LayerStoreError, ValueError):
    """The text is not an upload id."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"invalid upload id {self.text!r}: expected a UUID in lower case with dashes"


class MarkingIncompleteError(LayerStoreError):
    """Not all links could be read, so nothing was collected. ``key`` says where, ``detail`` why."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(key, detail)
        self.key = key
        self.detail = detail

    def __str__(self) -> str:
        return f"cannot tell which blobs are in use, nothing was deleted: {self.key!r}: {self.detail}"


class DriverError(LayerStoreError):
    """The storage failed. Drivers raise a subclass with the key; the front adds the driver's scheme.

    ``detail`` is shown to people and must not hold a credential. ``subject`` is a readable name for the object under
    the key, such as an upload of a repository; if it is set, the message has it in place of the key.
    """

    summary = "storage failed"

    def __init__(self, key: str, detail: str = "", driver: str = "", subject: str = "") -> None:
        super().__init__(key, detail, driver, *([subject] if subject else []))
        self.key = key
        self.detail = detail
        self.driver = driver
        self.subject = subject

    def __str__(self) -> str:
        where = f"{self.driver} driver: " if self.driver else ""
        why = f" ({self.detail})" if self.detail else ""
        return f"{where}{self.summary}: {self.subject or repr(self.key)}{why}"

    def named(self, driver: str) -> DriverError:
        """Name the driver the error came from, and return the error."""
        self.driver = driver
        self.args = (self.key, self.detail, driver, *self.args[3:])
        return self

    def about(self, subject: str) -> DriverError:
        """Set a readable name for the object under the key, and return the error."""
        self.subject = subject
        self.args = (self.key, self.detail, self.driver, subject)
        return self


class PathNotFoundError(DriverError, LookupError):
    """Nothing is stored under the key."""

    summary = "nothing under this key"


class InvalidPathError(DriverError, ValueError):
    """The key breaks the key grammar (clause K1 to K3)."""

    summary = "not a key"


class InvalidOffsetError(DriverError, ValueError):
    """The offset is negative, or beyond the end of the object."""

    summary = "offset outside the object"


class UnsupportedOperationError(DriverError):
    """The driver cannot do this, and declares so in its capabilities."""

    summary = "not supported"


class FencedError(DriverError):
    """The object was taken over by a later writer, replaced, moved or deleted; nothing was changed."""

    summary = "taken over by another writer"


class NoSpaceError(DriverError):
    """The backend is full; the objects stored before are unchanged."""

    summary = "no space left"


class AccessDeniedError(DriverError):
    """The backend refuses this caller."""

    summary = "access denied"


class BackendUnavailableError(DriverError):
    """The backend (bucket, container, directory, network) is missing or does not work."""

    summary = "backend unavailable"


class PluginError(LayerStoreError):
    """A driver cannot be found or opened."""


class InvalidURLError(PluginError, ValueError):
    """The text is not a store URL."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(url, detail)
        self.url = url
        self.detail = detail

    def __str__(self) -> str:
        return f"invalid store URL {self.url!r}: {self.detail}"


class UnknownDriverError(PluginError, LookupError):
    """No installed distribution provides a driver for the scheme."""

    def __init__(self, scheme: str, known: tuple[str, ...]) -> None:
        super().__init__(scheme, known)
        self.scheme = scheme
        self.known = known

    def __str__(self) -> str:
        return f"no driver for scheme {self.scheme!r}; installed: {', '.join(self.known) or 'none'}; {self._hint()}"

    def _hint(self) -> str:
        from difflib import get_close_matches  # late: only a misspelt scheme needs it

        near = get_close_matches(self.scheme, self.known, n=1)
        if near:
            return f"did you mean {near[0]!r}?"
        return "install the package that provides it (reinstall it if you just added the entry point)"


class UnknownOptionError(PluginError, LookupError):
    """The driver has no such option."""

    def __init__(self, scheme: str, option: str, known: tuple[str, ...]) -> None:
        super().__init__(scheme, option, known)
        self.scheme = scheme
        self.option = option
        self.known = known

    def __str__(self) -> str:
        return f"driver {self.scheme!r} has no option {self.option!r}; it has: {', '.join(self.known) or 'none'}"


class DriverConflictError(PluginError):
    """Two or more distributions claim one scheme; uninstall all but one."""

    def __init__(self, scheme: str, distributions: tuple[str, ...]) -> None:
        super().__init__(scheme, distributions)
        self.scheme = scheme
        self.distributions = distributions

    def __str__(self) -> str:
        return f"scheme {self.scheme!r} is claimed by {' and '.join(self.distributions)}; uninstall all but one"


class DriverLoadError(PluginError):
    """A driver's plugin cannot be imported, or is no plugin."""

    def __init__(self, scheme: str, distribution: str, detail: str) -> None:
        super().__init__(scheme, distribution, detail)
        self.scheme = scheme
        self.distribution = distribution
        self.detail = detail

    def __str__(self) -> str:
        return f"driver {self.scheme!r} of distribution {self.distribution} does not load: {self.detail}"


class ContractVersionError(PluginError):
    """A driver was written for a contract version that this layerstore does not speak."""

    def __init__(self, scheme: str, distribution: str, version: str, supported: str) -> None:
        super().__init__(scheme, distribution, version, supported)
        self.scheme = scheme
        self.distribution = distribution
        self.version = version
        self.supported = supported

    def __str__(self) -> str:
        return (
            f"driver {self.scheme!r} of distribution {self.distribution} is written for driver contract "
            f"{self.version!r}; this layerstore speaks {self.supported}: {self._hint()}"
        )

    def _hint(self) -> str:
        major = self.version.partition(".")[0]
        if not re.fullmatch(r"[0-9]+\.[0-9]+", self.version):
            return f'its class has to spell out contract_version = "{self.supported}"'
        if int(major) > int(self.supported.partition(".")[0]):
            return f"upgrade layerstore, or install an older {self.distribution}"
        return f"upgrade {self.distribution}, or install an older layerstore"


_BY_ERRNO: dict[int, type[DriverError]] = {
    errno.ENOSPC: NoSpaceError,
    errno.EDQUOT: NoSpaceError,
    errno.EFBIG: NoSpaceError,
    errno.EACCES: AccessDeniedError,
    errno.EPERM: AccessDeniedError,
    errno.EROFS: AccessDeniedError,
}


def from_os_error(error: OSError, key: str) -> DriverError:
    """Translate an operating-system error met at ``key`` into the driver error that says the same.

    "Not found" is not translated: only the driver knows whether the key or the whole backend is missing.
    """
    classes = {kind.__name__ for kind in type(error).__mro__}
    if not classes.isdisjoint(_NUMBERED_OTHERWISE):
        return BackendUnavailableError(key, _without_number(error, classes))
    number = error.errno or 0
    kind = _BY_ERRNO.get(number, BackendUnavailableError)
    return kind(key, os.strerror(number) if number in errno.errorcode else error.strerror or str(error))


_NUMBERED_OTHERWISE = ("SSLError", "gaierror", "herror")
"""Classes of ``OSError`` whose ``errno`` is a number of TLS, or of name lookups; by name, so that none is imported."""


def _without_number(error: OSError, classes: set[str]) -> str:
    """Return such an error's text, without its number and without its place in CPython's sources."""
    said = re.sub(r" \(_ssl\.c:\d+\)$", "", error.strerror or str(error))
    if "SSLCertVerificationError" in classes:
        return f"the server's certificate was not accepted: {getattr(error, 'verify_message', '') or said}"
    return f"TLS failed: {said}" if "SSLError" in classes else f"the name lookup failed: {said}"


RENAMED: Final = {
    "LayerUploadUnknownError": UnknownUploadError,
    "TarSumVersionUnsupportedError": UnsupportedTarSumVersionError,
}
"""The names that errors had, and the errors."""

if TYPE_CHECKING:
    LayerUploadUnknownError = UnknownUploadError
    TarSumVersionUnsupportedError = UnsupportedTarSumVersionError
else:  # a type checker that saw it would take every name
    __getattr__ = renamed(__name__, RENAMED)

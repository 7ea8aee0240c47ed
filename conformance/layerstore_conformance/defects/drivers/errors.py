"""Defects of errors: they say too little or too much, are of the wrong kind, or have changed something."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from unittest.mock import patch

from layerstore import checked, errors, handles, registry, url
from layerstore.checked import CheckedDriver
from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    FencedError,
    PathNotFoundError,
    UnknownOptionError,
    UnsupportedOperationError,
)
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.passing import PassingWriter

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer

P = ParamSpec("P")
R = TypeVar("R")


class _Retelling(DefectiveDriver):
    """Raises the errors of every method that takes a key in other words."""

    @contextmanager
    def retold(self) -> Iterator[None]:
        """Raise other errors than the block does."""
        yield

    def stat(self, key: str) -> Stat:
        """Look, and retell what is refused."""
        with self.retold():
            return self.inner.stat(key)

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, and retell what is refused."""
        with self.retold():
            return self.inner.open_reader(key, offset)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and retell what is refused."""
        with self.retold():
            self.inner.move(source, target, version=version)


@planted("E1")
class ErrorWithoutKey(_Retelling):
    """The driver's errors name no key."""

    @contextmanager
    def retold(self) -> Iterator[None]:
        """Leave out the key."""
        try:
            yield
        except DriverError as error:
            raise type(error)("", error.detail) from error


@planted("E1")
class ErrorDoesNotPickle(_Retelling):
    """The error of a missing key has other arguments than its fields, and cannot be unpickled."""

    @contextmanager
    def retold(self) -> Iterator[None]:
        """Make the error of an answer."""
        try:
            yield
        except PathNotFoundError as error:
            raise _NoSuchKeyError({"Key": error.key, "Code": "NoSuchKey"}) from error


class _NoSuchKeyError(PathNotFoundError):
    def __init__(self, answer: Mapping[str, str]) -> None:
        super().__init__(answer["Key"], answer["Code"])


@planted("E1")
class RefusalIsToldAsAnOutage(_Retelling):
    """What the system refuses is told as an unreachable backend."""

    @contextmanager
    def retold(self) -> Iterator[None]:
        """Say that nothing could be reached."""
        try:
            yield
        except AccessDeniedError as error:
            raise BackendUnavailableError(error.key, error.detail) from error


@planted("E1", "F3", "M4")
class FencedWithoutKey(DefectiveDriver):
    """The FencedError of a writer or a move names no key."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that does not tell."""
        return _SilentWriter(self.inner.open_writer(key))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, or do not tell of what key not."""
        with _fenced_without_key():
            self.inner.move(source, target, version=version)


class _SilentWriter(PassingWriter):
    def publish(self) -> str:
        with _fenced_without_key():
            return super().publish()


@contextmanager
def _fenced_without_key() -> Iterator[None]:
    try:
        yield
    except FencedError as error:
        raise FencedError("", error.detail) from error


@planted_in_core("E1")
def error_without_driver() -> Iterator[None]:
    """Errors do not say which driver they come from."""
    with patch.object(DriverError, "named", lambda self, driver: self):
        yield


@planted_in_core("E1")
def system_errors_pass() -> Iterator[None]:
    """An error of the operating system is raised as it is."""
    with (
        patch.object(checked, "call_driver", _call_untranslated),
        patch.object(handles, "call_driver", _call_untranslated),
    ):
        yield


@planted_in_core("E1")
def system_errors_pass_handles() -> Iterator[None]:
    """A reader or writer raises an error of the operating system as it is."""
    with patch.object(handles, "call_driver", _call_untranslated):
        yield


def _call_untranslated(scheme: str, key: str, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    del key
    try:
        return method(*args, **kwargs)
    except DriverError as error:
        raise error.named(scheme)  # noqa: B904  (the same error again, as the front does)


@planted_in_core("E1")
def system_errors_of_one_kind() -> Iterator[None]:
    """A full disk and a denied access are raised as an unreachable backend."""
    with patch.object(errors, "_BY_ERRNO", {}):
        yield


@planted_in_core("E1")
def errors_of_the_disk_are_taken_for_a_full_one() -> Iterator[None]:
    """An error of input or output is raised as a full disk."""
    with patch.dict(errors._BY_ERRNO, {errno.EIO: errors.NoSpaceError}):
        yield


@planted_in_core("E1")
def eperm_is_unavailable() -> Iterator[None]:
    """What is not permitted is raised as an unreachable backend."""
    kinds = {number: kind for number, kind in errors._BY_ERRNO.items() if number != errno.EPERM}
    with patch.object(errors, "_BY_ERRNO", kinds):
        yield


@planted_in_core("E1")
def delete_is_not_translated() -> Iterator[None]:
    """A delete raises an error of the operating system as it is."""
    with patch.object(CheckedDriver, "delete", lambda self, key: self.inner.delete(key)):
        yield


@planted_in_core("E1")
def end_is_not_translated() -> Iterator[None]:
    """The end of a writer raises an error of the operating system as it is."""

    def end(self: Writer) -> None:
        self._check_open()
        try:
            self.publish_last()
        finally:
            self.discard()

    with patch.object(handles.Writer, "end", end):
        yield


@planted_in_core("E1")
def system_errors_without_key() -> Iterator[None]:
    """An error of the operating system is translated into one that names no key."""
    real = errors.from_os_error
    with patch.object(handles, "from_os_error", lambda error, key: real(error, key[:0])):
        yield


@planted("E1")
class DamageIsToldByTheLibrary(DefectiveDriver):
    """An object that is shorter than it was stored raises the error of whatever decodes it."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and note the size."""
        self.inner.put(key, data)
        self.memory[f"size of {key}"] = len(data)

    def stat(self, key: str) -> Stat:
        """Look, and decode."""
        found = self.inner.stat(key)
        if found.size < self.memory.get(f"size of {key}", 0):
            raise ValueError("buffer size must be a multiple of element size")
        return found


@planted("E2")
class MissingBackendIsAMissingKey(DefectiveDriver):
    """If the whole backend is missing, the error says that the key is."""

    def stat(self, key: str) -> Stat:
        """Look, and blame the key."""
        with _blaming(key):
            return self.inner.stat(key)

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, and blame the key."""
        with _blaming(key):
            return self.inner.open_reader(key, offset)


@contextmanager
def _blaming(key: str) -> Iterator[None]:
    try:
        yield
    except BackendUnavailableError as error:
        raise PathNotFoundError(key) from error


@planted("E2")
class MissingBackendReadsEmpty(DefectiveDriver):
    """The listing of a missing backend is empty."""

    def list(self, prefix: str) -> Iterator[str]:
        """List, and be content with nothing."""
        with suppress(BackendUnavailableError):
            yield from self.inner.list(prefix)


class _Making(DefectiveDriver):
    """Creates a missing backend, which is then there and empty."""

    @contextmanager
    def making(self) -> Iterator[None]:
        """Make the backend, if it turns out to be missing."""
        try:
            yield
        except BackendUnavailableError:
            self.memory["made"] = True
            raise

    def stat(self, key: str) -> Stat:
        """Look into the backend, or into the one that was made."""
        try:
            return self.inner.stat(key)
        except BackendUnavailableError as error:
            if self.memory.get("made"):
                raise PathNotFoundError(key) from error
            raise


@planted("E2")
class MoveMakesTheBackend(_Making):
    """A move in a missing backend fails, and has created the backend for its target."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Make room for the target, and move."""
        with self.making():
            self.inner.move(source, target, version=version)


@planted("E2")
class DeleteMakesTheBackend(_Making):
    """A delete in a missing backend creates it, and has nothing to delete."""

    def delete(self, key: str) -> None:
        """Make the backend, and delete."""
        with suppress(BackendUnavailableError), self.making():
            self.inner.delete(key)


@planted_in_core("E3")
def urls_shown_whole() -> Iterator[None]:
    """The error of a malformed URL shows all of it, with the password."""
    with patch.object(url, "_redacted", lambda text: text):
        yield


@planted_in_core("E3", "O1")
def option_values_shown() -> Iterator[None]:
    """The error of an unknown option shows its value."""
    real = registry._merged

    def merged(url: url.StoreURL, options: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, object]:
        try:
            return real(url, options, known)
        except UnknownOptionError as error:
            value = {**url.options, **options}[error.option]
            raise UnknownOptionError(error.scheme, f"{error.option}={value}", error.known) from None

    with patch.object(registry, "_merged", merged):
        yield


@planted("E4", "R3")
class LookingCreates(DefectiveDriver):
    """An open of a missing object for reading creates it, and fails all the same."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, and create what is missing."""
        try:
            return self.inner.open_reader(key, offset)
        except PathNotFoundError:
            with suppress(UnsupportedOperationError):
                self.inner.put(key, b"")
            raise


@planted("E4", "M3")
class MoveOfNothingEmptiesTheTarget(DefectiveDriver):
    """A move empties its target before it looks for its source."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, or leave an empty target."""
        try:
            self.inner.move(source, target, version=version)
        except PathNotFoundError:
            with suppress(PathNotFoundError):
                self.inner.stat(target)
                self.inner.put(target, b"")
            raise

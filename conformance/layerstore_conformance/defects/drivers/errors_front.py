"""Defects of the errors that the front raises by itself, or makes of errors of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from unittest.mock import patch

from layerstore import checked, errors, handles, layer, registry
from layerstore.checked import CheckedDriver
from layerstore.errors import (
    BackendUnavailableError,
    DriverError,
    InvalidOffsetError,
    InvalidPathError,
    NoSpaceError,
)
from layerstore.keys import check_key
from layerstore.uploads import upload
from layerstore_conformance.engine.defect import planted_in_core


def _nameless(kind: type[DriverError]) -> Callable[..., DriverError]:
    """Return what makes such an error, and leaves out the driver."""

    def made(key: str, detail: str = "", driver: str = "") -> DriverError:
        del driver
        return kind(key, detail)

    return made


@planted_in_core("E1", "R6")
def seeks_name_no_driver() -> Iterator[None]:
    """A reader's or writer's seek to before the start names no driver."""
    with patch.object(handles, "InvalidOffsetError", _nameless(InvalidOffsetError)):
        yield


@planted_in_core("E1", "R6")
def layers_seeks_name_no_driver() -> Iterator[None]:
    """A layer's seek to before the start names no driver."""
    with patch.object(layer, "InvalidOffsetError", _nameless(InvalidOffsetError)):
        yield


@planted_in_core("E1")
def uploads_seeks_name_no_driver() -> Iterator[None]:
    """An upload's seek to before the start names no driver."""
    with patch.object(upload, "InvalidOffsetError", _nameless(InvalidOffsetError)):
        yield


@planted_in_core("E1", "R2")
def negative_offsets_name_no_driver() -> Iterator[None]:
    """A reader that is asked for at a negative offset is refused without the driver's name."""
    with patch.object(checked, "InvalidOffsetError", _nameless(InvalidOffsetError)):
        yield


@planted_in_core("E1", "W2")
def largest_objects_name_no_driver() -> Iterator[None]:
    """A write beyond 2^63 - 1 bytes is refused without the driver's name."""
    with patch.object(handles, "NoSpaceError", _nameless(NoSpaceError)):
        yield


@planted_in_core("E1")
def early_ends_name_no_driver() -> Iterator[None]:
    """An object that ends before its size is told without the driver's name."""
    with patch.object(handles, "BackendUnavailableError", _nameless(BackendUnavailableError)):
        yield


@planted_in_core("E1", "M6")
def moves_onto_themselves_name_no_driver() -> Iterator[None]:
    """A move of a key onto itself is refused without the driver's name."""
    real = CheckedDriver.move

    def move(self: CheckedDriver, source: str, target: str, *, version: str | None = None) -> None:
        if source == target:
            self._check(source)
            raise InvalidPathError(source, "moved onto itself")
        real(self, source, target, version=version)

    with patch.object(CheckedDriver, "move", move):
        yield


@planted_in_core("E1")
def refused_keys_name_no_driver() -> Iterator[None]:
    """A text that is no key is refused without the driver's name."""
    with patch.object(CheckedDriver, "_check", staticmethod(check_key)):
        yield


@planted_in_core("E1")
def numbers_of_tls_are_the_systems() -> Iterator[None]:
    """The number of an error of TLS is taken for one of the system's."""
    with patch.object(errors, "_NUMBERED_OTHERWISE", ("gaierror", "herror")):
        yield


@planted_in_core("E1")
def numbers_of_lookups_are_the_systems() -> Iterator[None]:
    """The number of an error of a name's lookup is taken for one of the system's."""
    with patch.object(errors, "_NUMBERED_OTHERWISE", ("SSLError",)):
        yield


@planted_in_core("E1")
def openings_are_not_translated() -> Iterator[None]:
    """An error of the system that the opening of a driver raises comes out as it is."""

    def call(scheme: str, key: str, method: Callable[[], object]) -> object:
        del scheme, key
        return method()

    with patch.object(registry, "call_driver", call):
        yield


@planted_in_core("E1")
def openings_name_no_driver() -> Iterator[None]:
    """An error of the opening of a driver does not say which driver it is."""
    real = handles.call_driver

    def call(scheme: str, key: str, method: Callable[[], object]) -> object:
        del scheme
        return real("", key, method)

    with patch.object(registry, "call_driver", call):
        yield

"""Defects of the core: arguments that are taken for others, or not looked at."""

from __future__ import annotations

import re
import uuid as uuids
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.errors import InvalidDigestError
from layerstore.service import LayerService, UploadInfo
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core

if TYPE_CHECKING:
    from layerstore import CollectReport, Digest, Layer, Verify
    from layerstore.driver import Driver


def _named(component: str, rest: str = r"(?:/{0})*") -> re.Pattern[str]:
    return re.compile(rf"{component}{rest.format(component)}\Z")


@planted_in_core("K1")
def names_have_single_dashes() -> Iterator[None]:
    """A name with two dashes in a row is none."""
    with patch.object(layout, "_NAME", _named(r"[a-z0-9]+(?:(?:\.|_|__|-)[a-z0-9]+)*")):
        yield


@planted_in_core("K1")
def names_have_one_underscore() -> Iterator[None]:
    """A name with two underscores in a row is none."""
    with patch.object(layout, "_NAME", _named(r"[a-z0-9]+(?:(?:\.|_|-+)[a-z0-9]+)*")):
        yield


@planted_in_core("K1")
def names_have_one_component() -> Iterator[None]:
    """A name with a slash is none."""
    with patch.object(layout, "_NAME", _named(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", "")):
        yield


@planted_in_core("K1")
def names_end_in_a_dash() -> Iterator[None]:
    """A name may end in dashes."""
    with patch.object(layout, "_NAME", _named(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*-*")):
        yield


@planted_in_core("K1")
def an_empty_id_is_a_new_one() -> Iterator[None]:
    """An upload that is begun by an empty id gets a new one."""
    real = LayerService.begin

    def begin(self: LayerService, name: str, *, uuid: str | None = None) -> UploadInfo:
        return real(self, name, uuid=uuid or None)

    with patch.object(LayerService, "begin", begin):
        yield


@planted_in_core("O1")
def any_policy_is_taken() -> Iterator[None]:
    """A service takes any text for a policy of verification."""
    real = LayerService.__init__

    def init(self: LayerService, driver: Driver, *, verify: Verify = "resume") -> None:
        real(self, driver)
        self.verify = verify

    with patch.object(LayerService, "__init__", init):
        yield


@planted_in_core("O1")
def rereading_is_resuming() -> Iterator[None]:
    """A service that is to read everything back reads back only what was not hashed on its way in."""
    real = LayerService.__init__

    def init(self: LayerService, driver: Driver, *, verify: Verify = "resume") -> None:
        real(self, driver, verify=verify)
        self.verify = "resume"

    with patch.object(LayerService, "__init__", init):
        yield


COLLECT = LayerService.collect


@planted_in_core("E4")
def untagged_goes_alone() -> Iterator[None]:
    """A collection of what is untagged, without what is unreferenced, collects as if neither had been asked for."""

    def collect(
        self: LayerService,
        *,
        unreferenced: bool = False,
        untagged: bool = False,
        **more: Any,  # noqa: ANN401  (the others of LayerService.collect)
    ) -> CollectReport:
        return COLLECT(self, unreferenced=unreferenced, untagged=untagged and unreferenced, **more)

    with patch.object(LayerService, "collect", collect):
        yield


@planted_in_core("E4")
def no_grace_is_the_default() -> Iterator[None]:
    """A collection without any grace has that of an hour."""

    def collect(
        self: LayerService,
        *,
        grace: timedelta | None = None,
        **more: Any,  # noqa: ANN401  (the others of LayerService.collect)
    ) -> CollectReport:
        return COLLECT(self, grace=grace or None, **more)

    with patch.object(LayerService, "collect", collect):
        yield


@planted_in_core("E4")
def no_offset_is_any() -> Iterator[None]:
    """An upload that is resumed at offset 0 is resumed at any offset."""
    real = LayerService.resume

    def resume(self: LayerService, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        return real(self, name, uuid, offset=offset or None)

    with patch.object(LayerService, "resume", resume):
        yield


@planted_in_core("R2")
def no_limit_is_any() -> Iterator[None]:
    """Of an object of which no byte is asked for, all are returned."""
    real = CheckedDriver.get

    def get(self: CheckedDriver, key: str, limit: int) -> bytes:
        return real(self, key, limit or 1 << 40)

    with patch.object(CheckedDriver, "get", get):
        yield


@planted("M4", "E4")
class AnEmptyVersionIsAny(DefectiveDriver):
    """A move at an empty version is one at any version."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, at a version if it has characters."""
        self.inner.move(source, target, version=version or None)


def _text(digest: Digest | str) -> str:
    if not isinstance(digest, str):
        raise InvalidDigestError(repr(digest))
    return digest


@planted_in_core("K1")
def an_unlink_takes_text_only() -> Iterator[None]:
    """A layer is unlinked by the text of a digest only."""
    real = LayerService.unlink
    with patch.object(LayerService, "unlink", lambda self, name, digest: real(self, name, _text(digest))):
        yield


@planted_in_core("K1")
def a_finish_takes_text_only() -> Iterator[None]:
    """An upload is finished by the text of a digest only."""
    real = LayerUpload.finish

    def finish(self: LayerUpload, digest: Digest | str, size: int | None = None) -> Layer:
        return real(self, _text(digest), size)

    with patch.object(LayerUpload, "finish", finish):
        yield


@planted_in_core("K1")
def an_expected_digest_is_text() -> Iterator[None]:
    """An upload is begun whatever is expected, unless that is a text."""
    real = LayerService.upload

    def upload(self: LayerService, name: str, *, expected: Digest | str | None = None) -> LayerUpload:
        return real(self, name, expected=expected if isinstance(expected, str) else None)

    with patch.object(LayerService, "upload", upload):
        yield


@planted_in_core("K1")
def a_given_id_is_not_taken() -> Iterator[None]:
    """An upload that is begun by an id gets another one."""
    real = LayerService.begin

    def begin(self: LayerService, name: str, *, uuid: str | None = None) -> UploadInfo:
        layout.check_uuid(uuid or str(uuids.uuid4()))
        return real(self, name)

    with patch.object(LayerService, "begin", begin):
        yield


@planted_in_core("K1")
def ids_are_of_version_4() -> Iterator[None]:
    """A UUID that is not random is no upload id."""
    random = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
    with patch.object(layout, "_UUID", random):
        yield

"""Defects of the core: a call of the driver that fails is taken for one that finds nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from layerstore import layer, service
from layerstore.checked import CheckedDriver
from layerstore.contents import walk
from layerstore.contents.manifest import References
from layerstore.contents.repository import Found, Repository
from layerstore.contents.survey import _Surveyor as Surveyor
from layerstore.digest import Digest
from layerstore.errors import DriverError, LayerStoreError
from layerstore.service import LayerInfo, LayerService, UploadInfo
from layerstore.upkeep import collect
from layerstore.upkeep.collect import CollectReport
from layerstore_conformance.engine.defect import planted_in_core

COLLECT, MARK = collect.collect, collect._mark


@planted_in_core("E1", "L1")
def listed_if_it_can_be_opened() -> Iterator[None]:
    """A listing of layers leaves out what cannot be opened at this moment."""
    real = LayerService._layer

    def layer(self: LayerService, name: str, text: str) -> Iterator[LayerInfo]:
        with suppress(LayerStoreError):
            yield from real(self, name, text)

    with patch.object(LayerService, "_layer", layer):
        yield


@planted_in_core("E1", "L1")
def listed_if_its_state_is_known() -> Iterator[None]:
    """A listing of uploads leaves out those whose state cannot be read at this moment."""
    real = LayerService._upload

    def upload(self: LayerService, name: str, uuid: str) -> Iterator[UploadInfo]:
        with suppress(LayerStoreError):
            yield from real(self, name, uuid)

    with patch.object(LayerService, "_upload", upload):
        yield


@planted_in_core("E1", "S3")
def what_cannot_be_asked_is_not_there() -> Iterator[None]:
    """A layer does not exist if the backend cannot be asked."""
    real = layer.has_layer

    def has_layer(driver: CheckedDriver, name: str, digest: Digest) -> bool:
        with suppress(DriverError):
            return real(driver, name, digest)
        return False

    with patch.object(service, "has_layer", has_layer):
        yield


@planted_in_core("E1", "L1")
def unlinked_for_all_it_saw() -> Iterator[None]:
    """A scrub says that nothing links a blob, though it could not see every link."""
    real = Surveyor.missed

    def missed(self: Surveyor, prefix: str, error: LayerStoreError) -> None:
        real(self, prefix, error)
        self.found.whole = True

    with patch.object(Surveyor, "missed", missed):
        yield


@planted_in_core("E1", "L3")
def drops_before_it_marks() -> Iterator[None]:
    """A collection drops links before it knows whether it can see everything."""

    def begin(driver: CheckedDriver, *, unreferenced: bool = False, **options: Any) -> CollectReport:  # noqa: ANN401  (passed on)
        skipped = [unreferenced]

        def mark(driver: CheckedDriver, odd: walk.Odd, without: Collection[str] = ()) -> set[str]:
            return set() if skipped and skipped.pop() else MARK(driver, odd, without)

        with patch.object(collect, "_mark", mark):
            return COLLECT(driver, unreferenced=unreferenced, **options)

    with patch.object(collect, "collect", begin):
        yield


@planted_in_core("E1", "M4")
def unread_manifests_refer_to_nothing() -> Iterator[None]:
    """A manifest that cannot be read is taken for one that refers to nothing."""
    real = Repository._references

    def references(self: Repository, found: Found) -> dict[Digest, References]:
        with suppress(DriverError):
            return real(self, found)
        return {}

    with patch.object(Repository, "_references", references):
        yield

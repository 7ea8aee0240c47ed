"""Defects of the core: uploads that an exception which is no error, as Ctrl-C raises, leaves half changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from layerstore.digest import Digest
from layerstore.errors import DriverError
from layerstore.layer import Layer
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("R5", "M4")
def an_interrupted_write_stays_hashed() -> Iterator[None]:
    """What was being hashed when a write was interrupted counts as written."""

    @contextmanager
    def doubting(self: Spool) -> Iterator[None]:
        try:
            yield
        except DriverError:
            self._certain = False
            raise

    with patch.object(Spool, "_doubting", doubting):
        yield


@planted_in_core("E4", "W2")
def interrupted_write_has_moved_on() -> Iterator[None]:
    """A write that is interrupted has moved the position past the blocks that it stored."""
    write, store = LayerUpload.write, LayerUpload._store
    reached: dict[str, int] = {}

    def note(self: LayerUpload, front: Front, data: bytes | memoryview) -> None:
        store(self, front, data)
        reached[self.uuid] = self._position

    def move_on(self: LayerUpload, data: Any) -> int:  # noqa: ANN401  (any buffer)
        reached[self.uuid] = self._position
        try:
            return write(self, data)
        except DriverError:
            raise
        except BaseException:
            self._position = reached[self.uuid]
            raise

    with patch.object(LayerUpload, "_store", note), patch.object(LayerUpload, "write", move_on):
        yield


@contextmanager
def _spilling(undo: Any) -> Iterator[None]:  # noqa: ANN401  (a function)
    real = Front.spill

    def spill(self: Front) -> Spool:
        gathered = self._gathered
        try:
            return real(self)
        except Exception:
            raise
        except BaseException:
            undo(self, gathered)
            raise

    with patch.object(Front, "spill", spill):
        yield


@planted_in_core("E4", "W8")
def interrupted_spill_keeps_its_buffer() -> Iterator[None]:
    """An interrupted write of gathered bytes goes on in the same buffer, which the interrupted call may still hold."""

    def undo(self: Front, gathered: bytearray) -> None:
        self._gathered = gathered

    with _spilling(undo):
        yield


@planted_in_core("E4", "W8")
def interrupted_spill_loses_its_bytes() -> Iterator[None]:
    """An interrupted write of gathered bytes forgets them."""

    def undo(self: Front, gathered: bytearray) -> None:
        self._start, self._gathered = self._start + len(gathered), bytearray()

    with _spilling(undo):
        yield


@planted_in_core("E4", "M1")
def interrupted_finish_forgets_its_intent() -> Iterator[None]:
    """A finish that is interrupted takes back its note of the blob that the data becomes, though it may be that."""
    real = LayerUpload.finish

    def finish(self: LayerUpload, digest: Digest | str, size: int | None = None) -> Layer:
        try:
            return real(self, digest, size)
        except Exception:
            raise
        except BaseException:
            self._driver.delete(self._keys.intents)
            raise

    with patch.object(LayerUpload, "finish", finish):
        yield

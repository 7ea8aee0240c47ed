"""Uploads whose data has become a blob, and whose finish was cut off there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.watching import Trap, fail, of, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context


def moved_only(ctx: Context, data: bytes) -> LayerUpload:
    """Return an upload whose finish failed after its data had become a blob."""
    trap = Trap("after")
    upload = watched(ctx, trap).upload("a")
    upload.write(data)
    upload.flush()
    trap.set(of("move"), fail)
    with refused(BackendUnavailableError):
        upload.finish(digest(data))
    return upload

"""Rivals: another user of the store who acts before each driver call of a piece of work in turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from layerstore import FencedError, LayerExistsError, UnknownUploadError
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.watching import Trap, change, watched

if TYPE_CHECKING:
    from layerstore import LayerService, LayerUpload
    from layerstore_conformance.engine.context import Context

Rival = Callable[[str], object]
"""Does something to the upload of this id, and handles its own errors."""


def disturbed(ctx: Context, rival: Rival, work: Callable[[LayerUpload, bytes], object]) -> list[tuple[str, bytes, str]]:
    """Let a rival act before each call that changes a key in turn; return ids, bytes and the outcomes of the work."""
    met: list[tuple[str, bytes, str]] = []
    for index in itertools.count():
        data = ctx.payload(f"disturbed-{index}").read(3000)
        trap = Trap()
        upload = watched(ctx, trap).upload("a")
        upload.write(data)
        upload.flush()
        trap.set(change(index), lambda upload=upload: rival(upload.uuid))  # type: ignore[misc]  # bound for this turn
        outcome = "done"
        try:
            work(upload, data)
        except (FencedError, UnknownUploadError, LayerExistsError) as error:
            outcome = type(error).__name__
        if not trap.sprung:
            upload.cancel()
            return met
        ctx.step(f"a rival before {trap.calls[-1].method}: {outcome}")
        met.append((upload.uuid, data, outcome))
    raise AssertionError("not reached")


def finish(upload: LayerUpload, data: bytes) -> None:
    """Finish an upload by the digest and size of these bytes."""
    upload.finish(digest(data), len(data)).close()


def turns(ctx: Context) -> Iterator[tuple[int, Trap, LayerService]]:
    """Yield a number, a trap to set at that call and a service with the trap, until a trap was not sprung."""
    for index in itertools.count():
        trap = Trap()
        yield index, trap, watched(ctx, trap)
        if not trap.sprung:
            return
        ctx.count("moments")
        ctx.step(f"a rival before {trap.calls[index].method} {trap.calls[index].key}")

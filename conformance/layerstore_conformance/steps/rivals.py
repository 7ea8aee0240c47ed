"""Rivals: another user of the store who acts before each driver call of a piece of work in turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from layerstore import FencedError, LayerExistsError, LayerUploadUnknownError
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.watching import Trap, change, watched

if TYPE_CHECKING:
    from layerstore import LayerService, LayerUpload
    from layerstore_conformance.engine.context import Context

Rival = Callable[[str], object]
"""What another one does to the upload of an id; what it is refused with is its own affair."""


def disturbed(ctx: Context, rival: Rival, work: Callable[[LayerUpload, bytes], object]) -> list[tuple[str, bytes, str]]:
    """Let a rival come between, before each call in turn that changes a key; return ids, bytes, and what work met."""
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
        except (FencedError, LayerUploadUnknownError, LayerExistsError) as error:
            outcome = type(error).__name__
        if not trap.sprung:
            upload.cancel()
            return met
        ctx.step(f"a rival before {trap.calls[-1].method}: {outcome}")
        met.append((upload.uuid, data, outcome))
    raise AssertionError("not reached")


def finish(upload: LayerUpload, data: bytes) -> None:
    """Finish."""
    upload.finish(digest(data), len(data)).close()


def turns(ctx: Context) -> Iterator[tuple[int, Trap, LayerService]]:
    """Yield a number, a trap to be set at the call of that number, and a service with it, until one was not sprung."""
    for index in itertools.count():
        trap = Trap()
        yield index, trap, watched(ctx, trap)
        if not trap.sprung:
            return
        ctx.count("moments")
        ctx.step(f"a rival before {trap.calls[index].method} {trap.calls[index].key}")

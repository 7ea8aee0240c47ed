"""The store against a model of it in plain dicts and bytes: every step is done to both."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from layerstore_conformance.engine.defect import planted_now
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.model.comparison import Comparison

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "model"


EXAMPLES: Final = MappingProxyType({"quick": (10, 25), "default": (12, 35), "full": (1000, 60)})
"""The number of lists of steps, and the length of each."""


def followed(ctx: Context, *histories: Callable[[Comparison], None]) -> None:
    """Take known steps, each history in a store of its own, and compare store and model at the end of each."""
    for history in histories:
        ctx.step(f"{history.__name__}: {history.__doc__}")
        state = Comparison(ctx)
        history(state)
        state.teardown()


def taken_over(state: Comparison) -> None:
    """An upload is resumed while another handle is open; the other handle then changes nothing and cancels nothing."""
    state.begin()
    state.write(size=3000)
    state.flush()
    state.resume(service=1)
    state.write(handle=1, where="start", size=64, ink=1)
    state.flush(handle=1)
    state.write(size=65)
    state.cancel(handle=1)
    state.close()
    state.close(handle=5)
    state.look()
    state.resume(offset="wrong")
    state.flush(handle=4)
    state.resume(offset="right")
    state.finish()


def refused_first(state: Comparison) -> None:
    """An upload is finished with a wrong digest and a wrong size, then rightly, then again, and then cancelled."""
    state.begin()
    state.write(size=3000)
    state.finish(by="another digest")
    state.look()
    state.finish(by="another size")
    state.write(where="middle", size=63, ink=1)
    state.finish(by="sha512")
    state.finish(handle=4, by="sha512")
    state.finish(handle=4)
    state.cancel(handle=4)
    state.fetch()
    state.fetch(repository=1)


def dropped(state: Comparison) -> None:
    """A process dies with some bytes flushed and some only written; the next one finds the flushed bytes."""
    state.begin()
    state.write(size=3000)
    state.flush()
    state.write(size=65)
    state.restart()
    state.look()
    state.resume()
    state.write(size=63, ink=1)
    state.close()
    state.resume()
    state.finish()


def rewound(state: Comparison) -> None:
    """Bytes are written again, at the start, in the middle and beyond the end, before and after a flush."""
    state.begin()
    state.write(size=70_000)
    state.write(where="start", size=65, ink=1)
    state.flush()
    state.write(where="middle", size=64, ink=2)
    state.ask_digest()
    state.write(where="beyond", size=3000)
    state.pour(size=3000, ink=1)
    state.finish()
    state.fetch()


def saved_and_lost(state: Comparison) -> None:
    """An upload's saved hash state is deleted, damaged, replaced by another upload's, or out of date."""
    for how in ("missing", "garbage", "foreign"):
        state.begin()
        state.write(size=3000, ink=1)
        state.close()
        state.begin()
        state.write(size=3000, ink=2)
        state.close()
        state.damage_state(how=how)
        state.resume()
        state.ask_digest()
        state.finish()
    state.begin()
    state.write(size=3000)
    state.flush()
    state.replace_data(size=3000)
    state.flush()
    state.resume()
    state.finish()


def damaged(state: Comparison) -> None:
    """A blob is damaged, cut short and deleted; a second upload of the layer heals it."""
    for how in ("other", "short", "missing"):
        state.begin()
        state.write(size=3000)
        state.finish()
        state.damage_blob(how=how)
        state.look()
        state.fetch()
        state.begin(repository=1)
        state.write(size=3000)
        state.finish()
        state.fetch(layer=1)


def shared_out(state: Comparison) -> None:
    """A layer is mounted into another repository, and unlinked from the first."""
    state.begin()
    state.write(size=65)
    state.finish(by="sha512")
    state.fetch(repository=1)
    state.mount(repository=1)
    state.unlink(layer=1)
    state.unlink(layer=1)
    state.fetch(repository=1)
    state.fetch(repository=0)
    state.mount(layer=1, repository=0)


def called_off(state: Comparison) -> None:
    """Uploads are cancelled by a handle, by their id, and while other handles are open on them."""
    for _ in range(3):
        state.begin()
        state.write(size=65)
        state.flush()
    state.write(size=65)
    state.cancel()
    state.cancel(handle=4)
    state.cancel_upload()
    state.cancel_upload(upload=5)
    state.write(size=65)
    state.flush()
    state.cancel()
    state.resume(upload=5)
    state.look()


def aged(state: Comparison) -> None:
    """Uploads of several ages are purged: one is open, and one is old but was written to lately."""
    state.begin()
    state.write(size=65)
    state.close()
    state.begin()
    state.pass_time(hours=2)
    state.begin(repository=1)
    state.write(handle=1, size=64)
    state.flush(handle=1)
    state.pass_time(hours=1)
    state.purge(hours=1)
    state.look()
    state.write(handle=1, size=64)
    state.flush(handle=1)
    state.pass_time(hours=2)
    state.purge(hours=1)
    state.flush(handle=1)
    state.flush(handle=0)


@scenario(
    *("W1", "W5", "W6", "W7", "F1", "F3", "S1", "R5", "P1"),
    kills=(
        *("fenced-flush-is-silent", "fenced-handle-takes-over-again", "offset-is-not-compared"),
        *("dropped-upload-is-flushed", "close-does-not-flush", "resumed-at-zero"),
        *("cursor-not-cut-on-rewrite", "gap-is-not-hashed"),
        *("state-of-another-version-trusted", "state-is-demanded"),
    ),
    rows=(120, 159),
)
def known_steps_on_an_upload_agree_with_its_model(ctx: Context) -> None:
    """After take-overs, restarts, rewinds, gaps and damaged states, an upload agrees with its model."""
    followed(ctx, taken_over, dropped, rewound, saved_and_lost)


@scenario(
    *("M1", "M2", "D1", "E4", "P1"),
    kills=(
        *("wrong-digest-ends-the-upload", "finish-cannot-be-repeated", "existing-blob-is-taken-for-good"),
        *("unlink-deletes-the-blob", "mount-links-nothing", "repository-is-ignored-by-fetch", "alias-is-not-linked"),
        *("cancel-keeps-the-data", "cancel-takes-the-neighbours", "purge-by-start-time"),
    ),
    rows=(117, 158, 171),
)
def known_steps_on_a_store_agree_with_its_model(ctx: Context) -> None:
    """After refusals, damaged blobs, mounts, cancels and purges, a store agrees with its model."""
    followed(ctx, refused_first, damaged, shared_out, called_off, aged)


@scenario(
    *("W1", "W5", "W6", "F1", "F3", "S1", "S2", "M1", "D1"),
    kills=("close-does-not-flush", "fenced-flush-is-silent", "cancel-keeps-the-data", "uploads-listed-at-offset-zero"),
    rows=(120, 159),
    needs=("hypothesis",),
)
def no_steps_part_the_store_from_its_model(ctx: Context) -> None:
    """After any steps in any order, by several handles on several uploads, the store agrees with its model.

    The steps include restarts, rewinds, gaps, damaged hash states and blobs, foreign data, mounts and purges.
    """
    from layerstore_conformance.model.statemachine import search

    examples, steps = EXAMPLES[ctx.profile]
    # Nobody reads the script of a planted defect: it is enough that the defect is found.
    search(ctx, examples=ctx.size(examples), steps=steps, shrink=not planted_now())

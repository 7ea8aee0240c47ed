"""Made by others: an object of any size that another program makes is an object like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import FencedError, PathNotFoundError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.harness import How

GROUP = "primitives"

SIZES = Axis("size", {"0": 0, "1": 1, "700": 700, "300,000": 300_000, "1,500,000": 1_500_000})
"""Bytes: none, and more than a driver's block."""


@scenario(
    *("X1", "S1", "S2", "X2", "W6"),
    kills=("an-empty-object-of-others-has-no-version",),
    needs=("tamper",),
    axes=(SIZES,),
)
def what_another_program_makes_has_a_version(ctx: Context, size: int) -> None:
    """An object of any size that another program makes has a version, on which reader, writer and ``stat`` agree.

    When it is deleted and made anew, it has another. A backend may give versions to parts, of which an empty object has
    none.
    """
    versions: list[str] = []
    changes: tuple[How, ...] = ("make", "remake")
    data = bulk("made", ctx.size(size) if size else 0, ctx.seed)
    for how in changes:
        ctx.tamper("d/key", how, data)
        stat = ctx.open().stat("d/key")
        with ctx.driver.open_reader("d/key") as reader:
            ctx.same(reader.readall(), data, "made by another program")
            assert reader.version == stat.version, f"a reader of {reader.version}, and a stat of {stat.version}"
        assert stat.size == len(data), f"{stat.size} bytes of {len(data)}"
        assert stat.version, f"made by another program, {size} bytes are at version {stat.version!r}"
        assert stat.version not in versions, f"made anew, it is still at version {stat.version}"
        versions.append(stat.version)
        assert list(ctx.driver.list("d")) == ["d/key"], "it is not listed"
        writer = ctx.driver.open_writer("d/key")
        assert writer.version == stat.version, f"a writer of {writer.version}, and a stat of {stat.version}"
        writer.flush()
        writer.discard()
        assert ctx.open().stat("d/key").version == stat.version, "a flush of nothing has changed the version"
    ctx.driver.move("d/key", "d/moved", version=versions[-1])
    ctx.expect("d/moved", data)


@scenario(
    *("F4", "X2"),
    kills=("an-empty-object-of-others-is-replaced", "new-object-replaces-another-programs"),
    needs=("tamper",),
    axes=(SIZES,),
)
def what_another_program_makes_fences_the_writer_of_a_new_object(ctx: Context, size: int) -> None:
    """If another program makes an object of any size under the key of a new one, nothing is published over it."""
    data = bulk("made", ctx.size(size) if size else 0, ctx.seed)
    for written in (b"", b"new"):
        key = f"d/{len(written)}"
        with refused(PathNotFoundError):
            ctx.driver.stat(key)
        writer = ctx.driver.open_writer(key)
        writer.write(written)
        ctx.tamper(key, "make", data)
        for _ in range(2):
            with refused(FencedError):
                writer.flush()
        writer.discard()
        ctx.expect(key, data)
        with ctx.driver.open_writer(key) as after:
            assert after.size == len(data), f"{after.size} bytes instead of {len(data)}"

"""Losses of power after other programs, which sync nothing, have changed files and directories of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.promises.beside import NOT_YET
from layerstore_conformance.promises.losing import lost_between, trees

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "crash"
IDS = "losses"

NEEDS = ("url", "traced", "durable")
"""The URL says where a store is: such a driver may keep its objects in files of their names."""


@scenario(*("C4", "P2", "E2"), kills=("directories-are-not-synced",), rows=(169,), needs=NEEDS, profile="default")
def power_may_be_lost_after_the_store_was_made(ctx: Context) -> None:
    """When a driver makes its store, and directories above it, and power is lost, what it has stored there is there.

    The names of all directories that it made must be durable, up to one that was there.
    """
    lost_between(ctx, "no store", trees, below=NOT_YET)


@scenario(
    *("C4", "W6", "P2", "M5", "D4"),
    kills=("directories-are-not-synced", "what-others-named-is-not-synced"),
    rows=(169,),
    needs=NEEDS,
    profile="default",
)
def power_may_be_lost_after_others_made_the_object(ctx: Context) -> None:
    """When another program has made an object, and power is lost after any call on it, what that call promised holds.

    A flush publishes the object's name too, whoever gave it.
    """
    lost_between(ctx, "files of others", trees)


@scenario(
    *("C4", "W6", "P2", "M5"),
    kills=("directories-are-not-synced", "what-others-named-is-not-synced"),
    rows=(169,),
    needs=NEEDS,
    profile="default",
)
def power_may_be_lost_after_others_made_a_directory_anew(ctx: Context) -> None:
    """When others have put another directory in the place of one that the driver has used, what it stores is durable.

    A driver that remembers which directories are durable must know them by more than their paths.
    """
    lost_between(ctx, "directories made anew", trees)


@scenario(
    *("C4", "D2", "D4"),
    kills=("directories-are-not-synced", "what-others-named-is-not-synced"),
    rows=(169,),
    needs=NEEDS,
    profile="default",
)
def power_may_be_lost_after_others_removed_the_object(ctx: Context) -> None:
    """When the driver deletes what others have removed already, and power is lost, it stays away.

    The process that has removed it may have died before that was durable.
    """
    lost_between(ctx, "removals by others", trees)


@scenario(
    *("C4", "D4", "D5"),
    kills=("directories-are-not-synced", "a-directory-that-stays-is-not-synced"),
    rows=(169,),
    needs=NEEDS,
    profile="default",
)
def power_may_be_lost_after_a_delete_beside_foreign_things(ctx: Context) -> None:
    """When a prefix is deleted in which something foreign stays, and power is lost, its objects stay deleted.

    A directory that has to stay must be synced by itself.
    """
    lost_between(ctx, "foreign things", trees)

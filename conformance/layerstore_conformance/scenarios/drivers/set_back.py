"""Set back: an older copy of a store is put in its place, as a backup that is restored; then others go on otherwise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from layerstore import BackendUnavailableError, FencedError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.changes import CHANGES, KEY
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"
IDS = "stores"

OLD: Final = b"of the copy"


@contextmanager
def _away(store: Path, driver: CheckedDriver) -> Iterator[Path]:
    """Have the store elsewhere for the block, as it is to be copied or changed: the driver lets go of its files."""
    elsewhere = store.rename(store.with_name("away"))
    with suppress(BackendUnavailableError):
        driver.find(KEY)
    yield elsewhere
    elsewhere.rename(store)


def _by_rename(store: Path, copy: Path, driver: CheckedDriver) -> None:
    """Put a copy in the place of the store."""
    del driver
    store.rename(store.with_name("aside"))
    shutil.copytree(copy, store)


def _in_place(store: Path, copy: Path, driver: CheckedDriver) -> None:
    """Write into the store's own files, make those that are missing, and remove those that the copy does not have."""
    with _away(store, driver) as elsewhere:
        for path in sorted(elsewhere.rglob("*"), reverse=True):
            if not (copy / path.relative_to(elsewhere)).exists():
                path.rmdir() if path.is_dir() else path.unlink()
        for path in sorted(copy.rglob("*")):
            there = elsewhere / path.relative_to(copy)
            if path.is_dir():
                there.mkdir(exist_ok=True)
            else:
                with open(there, "r+b" if there.exists() else "wb") as file:
                    file.write(path.read_bytes())
                    file.truncate()
                os.utime(there, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))


SetBack = Callable[[Path, Path, CheckedDriver], None]
"""Takes the store's directory, that of the copy, and a driver that is open."""

WAYS: Final[dict[str, SetBack]] = {"by rename": _by_rename, "in place": _in_place}


def _copied(store: Path, driver: CheckedDriver) -> Path:
    """Make a copy of the store, as it is now."""
    copy = store.with_name("copy")
    with _away(store, driver) as elsewhere:
        shutil.copytree(elsewhere, copy)
    return copy


@scenario(
    *("S2", "X1", "X2", "M4"),
    kills=("versions-counted-in-the-store",),
    rows=(74,),
    needs=("traced", "url", "shared"),
    axes=(Axis("way", WAYS), Axis("whose", {"the same driver": True, "another driver": False})),
)
def a_store_that_is_set_back_has_no_version_again(ctx: Context, way: SetBack, whose: bool) -> None:  # noqa: FBT001  (the axis's name)
    """If an older copy of a store is put in its place, no version that was seen since comes again, for other bytes.

    A hash that was saved, or a move on a condition, would take what was stored since for what was lost.
    """
    with a_folder() as folder, ctx.handles():
        store = folder / "store"
        opens = store_in(ctx, store)
        driver = ctx.at(opens)
        driver.put(KEY, OLD)
        seen = {driver.stat(KEY).version: OLD}
        copy = _copied(store, driver)
        _change(driver, "before", seen)
        last = driver.stat(KEY).version
        way(store, copy, driver)
        other = driver if whose else ctx.at(opens)
        assert other.get(KEY, 1 << 20) == OLD, "what is read is not of the copy"
        with refused(FencedError):
            other.move(KEY, "d/moved", version=last)
        _change(other, "after", seen)


def _change(driver: CheckedDriver, when: str, seen: dict[str, bytes]) -> None:
    """Change the object in every way; no version may be one that was seen."""
    for name, change in CHANGES.items():
        change(driver, f"{name} {when}".encode())
        version, data = driver.stat(KEY).version, driver.get(KEY, 1 << 20)
        assert version not in seen, f"{name} {when} the store was set back has the version of {seen[version][-30:]!r}"
        seen[version] = data


def _much(writer: Writer) -> None:
    writer.write(bytes(2 * MIB))


Acts = tuple[Callable[["Writer"], object], ...]


def _little(writer: Writer) -> None:
    writer.write(b"little")


def _flush(writer: Writer) -> None:
    writer.flush()


BEFORE: Final[dict[str, Acts]] = {
    "opened": (),
    "written": (_little,),
    "much written": (_much,),
    "flushed": (_little, _flush),
    "much flushed and written": (_much, _flush, _much),
}
"""What a writer has done when the copy is made."""

SINCE: Final[dict[str, Acts]] = {
    "flushed": (_little, _flush),
    "flushed and written": (_little, _flush, _little),
    "much written, flushed and written": (_much, _flush, _much),
}
"""What it has done since, when the copy is put back."""


@scenario(
    *("X2", "F3", "F4"),
    kills=("fencing-absent",),
    needs=("traced", "url", "shared"),
    axes=(
        Axis("way", WAYS),
        Axis("before", BEFORE),
        Axis("since", SINCE),
        Axis("object", {"new": False, "old": True}),
    ),
)
def a_writer_does_not_publish_over_an_older_copy(
    ctx: Context,
    way: SetBack,
    before: Acts,
    since: Acts,
    object: bool,  # noqa: A002, FBT001  (the axis's name)
) -> None:
    """If an older copy of a store is put in its place, a writer from before publishes nothing over what is there now.

    It would publish the bytes that it has written since, upon an object that does not have those before them.
    """
    with a_folder() as folder, ctx.handles():
        store = folder / "store"
        driver = ctx.at(store_in(ctx, store))
        driver.put("d/beside", OLD)
        if object:
            driver.put(KEY, OLD)
        writer = driver.open_writer(KEY)
        for act in before:
            act(writer)
        copy = _copied(store, driver)
        for act in since:
            act(writer)
        way(store, copy, driver)
        found = _got(driver)  # a copy of what is being written may have bytes that were not flushed
        with refused(FencedError, BackendUnavailableError):
            writer.write(b"late")
            writer.flush()
        writer.discard()
        assert _got(driver) == found, "a writer has published over the copy"


def _got(driver: CheckedDriver) -> bytes | None:
    return driver.get(KEY, 10 * MIB) if driver.find(KEY) else None

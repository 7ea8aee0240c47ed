"""Collecting garbage: blobs that no repository links and no finish under way has claimed.

    mark            what every link, in every repository, points to, and the intents of all uploads
    pick            blobs not marked, and stored before the mark began, with their versions
    mark again      those marked by now are let go
    move            each blob picked, if it is still at its version, goes to a trash key of its own
    mark once more  those marked by now are put back
    take            each of the rest goes where nobody looks for a blob, and is told of
    delete          what was taken

Nothing that a ``finish`` or ``mount`` has returned for is lost, whatever comes between:

- A finish puts its intent, moves its data over the blob, puts its link, and then removes its intent. Every mark reads
  all intents before all links, so a finish that has put its intent when a mark begins is seen by it, by the one or by
  the other. One that puts it after the second mark began moves its data after the blob was picked: the blob has another
  version, and is not moved (M4). So a finish is never disturbed, and what it has healed is never taken away.
- A finish that moves its data after the blob has gone to the trash makes a new blob, which nobody here touches.
- A finish of an upload that nobody else knows of puts no intent. Its blob is younger than ``grace``, or is there anew
  when one of the same bytes has been picked (M4). Where ``grace`` is shorter than a finish takes, the blob may be
  moved. If its link was put before, the third mark sees that; if not, the finish looks, and does not find the blob.
- A mount copies no bytes; it may link a blob that one mark has not seen linked, while another's link goes that it would
  have seen. It returns after it has found the blob there. When it did so before the move, the third mark, which begins
  after it, sees the link. After the move there is no blob to be found until one is put back, and it does not return.
- What is put back may meet a blob that a finish has made meanwhile. That one stays. Where there seems to be none, one
  may yet come before the trash does, so that is first read, and put back only if it is what its name says: the same
  bytes once more. One that is damaged goes into quarantine.
- Two collections at once use different trash keys. What an earlier one that was cut off has left in the trash is listed
  before the first mark, so that each mark here is one that begins after the move, and ends in the same way. Where the
  blob is in its place, too, a move may be under way (M2): whoever copies it now deletes it there next, and what is in
  the trash may be the last of it. So that is left alone until it is as old as a blob must be.
- A blob that was picked and is gone when it is to be moved may have been taken by another collection, which may die:
  what is in the trash of it is looked for once more, and ends here as well, with the third mark.
- So what lies in the trash may be ended by several collections at once. All of them have marked after it came there, so
  that whichever takes it away is right to. Of several one does (M3), and that one tells of it. What it has not come to
  delete, cut off, is nobody's blob any more, and goes with the next collection.

A mark that could not read or understand everything ends the collection: what is in the trash is put back, and nothing
is deleted. Blobs are taken for as old as the backend says, by its own clock; ``grace`` is for the difference to this
one's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from layerstore import layout, marks, walk
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.driver import Foreign
from layerstore.errors import DriverError, FencedError, LayerStoreError, MarkingIncompleteError, PathNotFoundError
from layerstore.spool import measure
from layerstore.walk import Odd

GRACE = timedelta(hours=1)
"""How much older than the mark a blob must be: more than the clocks of two nodes differ."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A blob that nothing was found to use."""

    digest: Digest
    size: int
    """Bytes."""
    error: LayerStoreError | None = None
    """Why it could not be deleted."""


@dataclass(slots=True)
class CollectReport:
    """What a collection did or, as a dry run, would do."""

    dry_run: bool
    removed: list[Collected] = field(default_factory=list)
    kept: list[Collected] = field(default_factory=list)
    """Not in use before, but by the end: claimed, linked or stored anew meanwhile."""
    failed: list[Collected] = field(default_factory=list)
    """Each with its error; the next collection tries again."""
    in_use: int = 0
    """Digests marked."""
    young: int = 0
    """Blobs not marked, but stored too late to be collected."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Names of things not understood that were passed over (``ignore_foreign``), and what they are."""


@dataclass(frozen=True, slots=True)
class _Picked:
    """A blob to be deleted, and where it lies."""

    blob: Collected
    key: str
    version: str


def collect(
    driver: CheckedDriver,
    *,
    dry_run: bool = False,
    now: datetime | None = None,
    grace: timedelta = GRACE,
    ignore_foreign: bool = False,
) -> CollectReport:
    """Delete the blobs that nothing uses; see :meth:`LayerService.collect`."""
    report = CollectReport(dry_run)
    odd = partial(_ignore, report) if ignore_foreign else _refuse
    before = (now or datetime.now(UTC)) - grace
    trash = list(_left(driver, layout.TRASH, before))
    try:
        picked = _pick(driver, before, report, odd)
        trash += picked if dry_run else _trashed(driver, picked, report, before)
        used = _mark(driver, odd) if trash else set()
    except MarkingIncompleteError:
        if not dry_run:
            _put_all_back(driver, trash)
        raise
    for each in trash:
        _end(driver, each, report, used)
    if trash and not dry_run:
        with suppress(DriverError):  # the next collection tries again
            driver.delete(layout.DELETED)
    return report


def _mark(driver: CheckedDriver, odd: Odd) -> set[str]:
    """Return the sha256, in hex, of all that is in use: first what is claimed, then what is linked.

    Raises:
        MarkingIncompleteError: something could not be listed or read, or ``odd`` says so of what is not understood.
    """
    used: set[str] = set()
    children = walk.telling(driver, odd)
    try:
        walk.look_beside(driver, odd)
        for area in walk.areas(children, None, _missed):
            if area.endswith(f"/{walk.UPLOADS}"):
                used.update(marks.claimed(driver, area, odd))
        # Listed anew: by now a finish may have made its repository's first link.
        for area in walk.areas(children, None, _missed):
            if not area.endswith(f"/{walk.UPLOADS}"):
                used.update(_target(link) for link in marks.links(driver, area, odd))
    except DriverError as error:
        raise MarkingIncompleteError(error.key, str(error)) from error
    return used


def _refuse(foreign: Foreign) -> None:
    raise MarkingIncompleteError(foreign.name, walk.not_understood(foreign))


def _ignore(report: CollectReport, foreign: Foreign) -> None:
    report.ignored[foreign.name] = foreign.what


def _missed(prefix: str, error: LayerStoreError) -> None:
    del prefix
    raise error


def _target(link: marks.Link) -> str:
    if link.target is None:
        raise MarkingIncompleteError(link.key, link.detail)
    return link.target.hex


def _pick(driver: CheckedDriver, before: datetime, report: CollectReport, odd: Odd) -> list[_Picked]:
    used = _mark(driver, odd)
    report.in_use = len(used)
    found = list(_unused(driver, before, report, used))
    again = _mark(driver, odd) if found else set()
    report.kept += [each.blob for each in found if each.blob.digest.hex in again]
    return [each for each in found if each.blob.digest.hex not in again]


def _unused(driver: CheckedDriver, before: datetime, report: CollectReport, used: set[str]) -> Iterator[_Picked]:
    for key in walk.keys_below(driver.list, f"{layout.BLOBS}/sha256"):
        digest = walk.blob_of(key)
        stat = None if digest is None or digest.hex in used else driver.find(key)
        if digest is None or stat is None:
            continue
        if stat.modified < before:
            yield _Picked(Collected(digest, stat.size), key, stat.version)
        else:
            report.young += 1


def _left(driver: CheckedDriver, below: str, before: datetime) -> Iterator[_Picked]:
    """Yield what a collection that was cut off has left in the trash, and that nobody can be at the moving of."""
    for key in walk.keys_below(driver.list, below):
        digest, stat = walk.blob_of(key), driver.find(key)
        if digest is None or stat is None:
            continue
        if stat.modified < before or driver.find(layout.blob(digest)) is None:
            yield _Picked(Collected(digest, stat.size), key, stat.version)


def _trashed(
    driver: CheckedDriver, picked: list[_Picked], report: CollectReport, before: datetime
) -> Iterator[_Picked]:
    """Move to the trash what is still as it was picked, and yield it there; so, too, what another one has moved."""
    for each in picked:
        key = layout.trashed(each.blob.digest)
        try:
            driver.move(each.key, key, version=each.version)
        except PathNotFoundError:
            taken = list(_left(driver, f"{layout.TRASH}/{each.blob.digest.hex}", before))
            report.kept += [] if taken else [each.blob]
            yield from taken
            continue
        except FencedError:
            report.kept.append(each.blob)
            continue
        except DriverError as error:
            if not _is_there(driver, key) or _is_there(driver, each.key):  # cut off, it may lie in both places (M2)
                report.failed.append(replace(each.blob, error=error))
                continue
        yield replace(each, key=key)


def _is_there(driver: CheckedDriver, key: str) -> bool:
    """Tell whether a move that failed has moved all the same: its answer alone may have been lost."""
    with suppress(DriverError):
        return driver.find(key) is not None
    return False


def _end(driver: CheckedDriver, each: _Picked, report: CollectReport, used: set[str]) -> None:
    in_use = each.blob.digest.hex in used
    try:
        if in_use and not report.dry_run:
            _put_back(driver, each)
        elif not report.dry_run:
            _delete(driver, each)
    except PathNotFoundError:
        return  # another collection has taken it, and tells of it
    except DriverError as error:
        report.failed.append(replace(each.blob, error=error))
    else:
        (report.kept if in_use else report.removed).append(each.blob)


def _delete(driver: CheckedDriver, each: _Picked) -> None:
    """Take it away in one step, which of several collections one does, and then delete it.

    Raises:
        PathNotFoundError: another collection has taken it.
    """
    taken = layout.deleted()
    driver.move(each.key, taken)
    try:
        driver.delete(taken)
    except DriverError:
        with suppress(DriverError):  # for the next collection, which then tells of it
            driver.move(taken, each.key)
        raise


def _put_all_back(driver: CheckedDriver, trash: list[_Picked]) -> None:
    for each in trash:
        with suppress(DriverError):  # it stays in the trash, where the next collection finds it
            _put_back(driver, each)


def _put_back(driver: CheckedDriver, each: _Picked) -> None:
    blob = layout.blob(each.blob.digest)
    if driver.find(blob) is not None:
        driver.delete(each.key)
        return
    with suppress(PathNotFoundError), driver.open_reader(each.key) as reader:  # else another collection has ended it
        good = measure(reader, each.blob.digest) == each.blob.digest
        target = blob if good else layout.quarantined(each.blob.digest, datetime.now(UTC))
        driver.move(each.key, target, version=reader.version)

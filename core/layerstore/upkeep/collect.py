"""Collecting garbage: blobs that no repository links and no finish under way has claimed.

    mark            list the targets of all links, in every repository, and the intents of all uploads
    pick            list the blobs that are not marked, and were stored before the mark began, with their versions
    mark again      drop those that are marked by now
    move            move each picked blob, if it is still at its version, to a trash key of its own
    mark once more  put those back that are marked by now
    take            move each of the rest to where nobody looks for a blob, and report it
    delete          delete what was taken

If a ``finish`` or ``mount`` has returned, its layer is not lost, even if it came between any two of these steps:

- A finish puts its intent, moves its data over the blob, puts its link, and then removes its intent. Every mark reads
  all intents before all links, so if a finish has put its intent when a mark begins, the mark sees its intent or its
  link. A finish that puts its intent after the second mark began moves its data after the blob was picked: the blob has
  another version then, and is not moved (M4). So a finish is never disturbed, and a blob that it has mended is never
  removed.
- A finish that moves its data after the blob was moved to the trash makes a new blob, which a collection leaves alone.
- A finish of an upload that nobody else knows of puts no intent. Its blob is younger than ``grace``; if a blob of the
  same bytes was picked, the finish gives it another version (M4). If ``grace`` is shorter than a finish takes, the blob
  may be moved. If the link was put before, the third mark sees it; if not, the last step of the finish finds no blob.
- A mount copies no bytes. It may link a blob that one mark has not seen linked, while the link that the mark would have
  seen elsewhere is removed. A mount returns only after it has found the blob. If it found it before the move, the third
  mark, which begins after the move, sees the link. After the move it finds no blob until one is put back.
- If a finish has made the blob again meanwhile, that blob stays, and the one in the trash is deleted. If no blob is
  there, one may still appear before the one in the trash is put back. So the one in the trash is read first, and is put
  back only if it has the digest of its name: then both have the same bytes. A damaged one goes to quarantine.
- Two collections at once use different trash keys. Blobs that an earlier collection has left in the trash are listed
  before the first mark, so that each mark begins after they were moved there, and they end in the same way. If a blob
  is in its place too, a move may be under way (M2): the process that copies it will delete it there next, and the copy
  in the trash may then be the only one. So such a copy is left alone until it is as old as a blob must be.
- If a picked blob is gone when it is to be moved, another collection may have taken it, and may die. Its copy in the
  trash is looked for once more, and ends here as well, with the third mark.
- So several collections at once may end the same blob in the trash. All of them have marked after it was moved there,
  so each of them may remove it. One of them does (M3), and reports it. If that one is cut off before it deletes the
  bytes, the next collection deletes them.

If a mark cannot read or understand everything, or the trash cannot be listed, the collection ends: blobs in the trash
are put back, and nothing is deleted. If the answer of a move or delete is lost, the collection looks whether it was
done. The age of a blob is by the backend's clock; ``grace`` allows for the difference to this node's clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import marks, walk
from layerstore.contents.walk import Odd
from layerstore.digest import Digest
from layerstore.driver import Foreign
from layerstore.errors import DriverError, FencedError, LayerStoreError, MarkingIncompleteError, PathNotFoundError
from layerstore.upkeep.report import Report
from layerstore.upkeep.unreferenced import Dropped, drop
from layerstore.uploads.spool import measure

GRACE = timedelta(hours=1)
"""How much older than the mark a blob must be: more than the difference between two nodes' clocks."""

DAY = timedelta(days=1)
"""How much older a link must be that nothing refers to: more than a client's push takes."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A blob that is not in use, as far as the collection found."""

    digest: Digest
    size: int
    """Bytes."""
    error: LayerStoreError | None = None
    """Why it could not be deleted."""


@dataclass(slots=True)
class CollectReport(Report[Collected]):
    """The result of a collection; ``kept`` are the blobs that were claimed, linked or stored again meanwhile."""

    in_use: int = 0
    """Digests marked."""
    young: int = 0
    """Blobs that are not marked, but too young to be collected."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Foreign things that were ignored (``ignore_foreign``): their names, and what they are."""
    dropped: Dropped = field(default_factory=Dropped)
    """Links that no manifest refers to (``unreferenced``)."""


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
    unreferenced: bool = False,
    untagged: bool = False,
) -> CollectReport:
    """Delete the blobs that nothing uses; see :meth:`LayerService.collect`."""
    if untagged and not unreferenced:
        raise ValueError("untagged goes with unreferenced")
    report = CollectReport(dry_run)
    odd = partial(_ignore, report) if ignore_foreign else _refuse
    before = (now or datetime.now(UTC)) - grace
    if unreferenced:
        _mark(driver, odd)  # if that is not complete, nothing would be freed, so nothing is dropped
        report.dropped = drop(driver, before, untagged=untagged, dry_run=dry_run)
    trash = list(_left(driver, layout.TRASH, before))
    try:
        picked = _pick(driver, before, report, odd)
        trash += picked if dry_run else _trashed(driver, picked, report, before)
        used = _mark(driver, odd, _pretended(report)) if trash else set()
    except LayerStoreError:
        if not dry_run:
            _put_all_back(driver, trash)
        raise
    for each in trash:
        _end(driver, each, report, used)
    if (trash or report.dropped.removed) and not dry_run:
        with suppress(DriverError):  # the next collection tries again
            driver.delete(layout.DELETED)
    return report


def _pretended(report: CollectReport) -> set[str]:
    """Return the keys of the links that a dry run takes for dropped."""
    return {link.key for link in report.dropped.removed} if report.dry_run else set()


def _mark(driver: CheckedDriver, odd: Odd, without: Collection[str] = ()) -> set[str]:
    """Return the sha256, in hex, of all blobs in use: first those that are claimed, then those that are linked.

    The links ``without`` count as gone.

    Raises:
        MarkingIncompleteError: something could not be listed or read, or ``odd`` refuses a foreign thing.
    """
    used: set[str] = set()
    children = walk.telling(driver, odd)
    try:
        walk.look_beside(driver, odd)
        for area in walk.areas(children, None, walk.stop):
            if area.endswith(f"/{walk.UPLOADS}"):
                used.update(marks.claimed(driver, area, odd))
        # Listed anew: by now a finish may have made its repository's first link.
        for area in walk.areas(children, None, walk.stop):
            if not area.endswith(f"/{walk.UPLOADS}"):
                used.update(_target(link) for link in marks.links(driver, area, odd) if link.key not in without)
    except DriverError as error:
        raise MarkingIncompleteError(error.key, str(error)) from error
    return used


def _refuse(foreign: Foreign) -> None:
    raise MarkingIncompleteError(foreign.name, walk.not_understood(foreign))


def _ignore(report: CollectReport, foreign: Foreign) -> None:
    report.ignored[foreign.name] = foreign.what


def _target(link: marks.Link) -> str:
    if link.target is None:
        raise MarkingIncompleteError(link.key, link.detail)
    return link.target.hex


def _pick(driver: CheckedDriver, before: datetime, report: CollectReport, odd: Odd) -> list[_Picked]:
    used = _mark(driver, odd, _pretended(report))
    report.in_use = len(used)
    found = list(_unused(driver, before, report, used))
    again = _mark(driver, odd, _pretended(report)) if found else set()
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
    """Yield the blobs in the trash of collections that were cut off, except a blob that may just be moved there."""
    for key in walk.keys_below(driver.list, below):
        digest, stat = walk.blob_of(key), driver.find(key)
        if digest is None or stat is None:
            continue
        if stat.modified < before or driver.find(layout.blob(digest)) is None:
            yield _Picked(Collected(digest, stat.size), key, stat.version)


def _trashed(
    driver: CheckedDriver, picked: list[_Picked], report: CollectReport, before: datetime
) -> Iterator[_Picked]:
    """Move picked blobs, if still at their versions, to the trash. Yield these, and those that another run moved."""
    for each in picked:
        key = layout.trashed(each.blob.digest)
        try:
            _move(driver, each.key, key, each.version)
        except PathNotFoundError:
            taken = list(_left(driver, f"{layout.TRASH}/{each.blob.digest.hex}", before))
            report.kept += [] if taken else [each.blob]
            yield from taken
            continue
        except FencedError:
            report.kept.append(each.blob)
            continue
        except DriverError as error:
            report.failed.append(replace(each.blob, error=error))
            continue
        yield replace(each, key=key)


def _move(driver: CheckedDriver, source: str, target: str, version: str | None = None) -> None:
    """Move a blob; if it failed, look whether it was done, and perhaps only its answer was lost.

    Raises:
        PathNotFoundError, FencedError: there is no such blob, or not at the version.
        DriverError: it was not done.
    """
    try:
        driver.move(source, target, version=version)
    except (PathNotFoundError, FencedError):
        raise
    except DriverError:
        if not _is_there(driver, target) or _is_there(driver, source):  # cut off, it may lie in both places (M2)
            raise


def _is_there(driver: CheckedDriver, key: str) -> bool:
    """Return whether a blob is under a key, as far as that can be found out."""
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
        return  # another collection has taken it, and reports it
    except DriverError as error:
        report.failed.append(replace(each.blob, error=error))
    else:
        (report.kept if in_use else report.removed).append(each.blob)


def _delete(driver: CheckedDriver, each: _Picked) -> None:
    """Take it away in one step, in which only one of several collections succeeds, and then delete it.

    Raises:
        PathNotFoundError: another collection has taken it.
    """
    taken = layout.deleted()
    _move(driver, each.key, taken)
    try:
        driver.delete(taken)
    except DriverError:
        if _moved_back(driver, taken, each.key):
            raise


def _moved_back(driver: CheckedDriver, taken: str, key: str) -> bool:
    """Leave a blob that could not be deleted to the next collection, which then reports it; False if it is deleted."""
    try:
        driver.move(taken, key)
    except PathNotFoundError:
        return False
    except DriverError:
        pass
    return True


def _put_all_back(driver: CheckedDriver, trash: list[_Picked]) -> None:
    for each in trash:
        with suppress(DriverError):  # it stays in the trash, where the next collection finds it
            _put_back(driver, each)


def _put_back(driver: CheckedDriver, each: _Picked) -> None:
    blob = layout.blob(each.blob.digest)
    if driver.find(blob) is not None and driver.settle(blob):  # this one may be the only durable copy
        driver.delete(each.key)
        return
    with suppress(PathNotFoundError), driver.open_reader(each.key) as reader:  # else another collection has ended it
        good = measure(reader, each.blob.digest) == each.blob.digest
        target = blob if good else layout.quarantined(each.blob.digest, datetime.now(UTC))
        driver.move(each.key, target, version=reader.version)

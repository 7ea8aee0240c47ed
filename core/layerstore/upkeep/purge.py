"""Purging: remove abandoned uploads, and none that is in use.

An upload's age is the time since any part of it was last stored, or since it was begun if that is later. An upload that
is old enough is removed in steps. If it is used between any two of them, it is left alone:

    look            list everything below the upload, with versions and times; leave the upload alone if it is too young
    take over       open a writer on the data: an earlier writer can publish nothing any more (clause F1)
    look again      leave the upload alone if anything has changed
    hold            flush the writer, which fails if the upload was resumed since (F3); if there was no data, this makes
                    an empty object, so that the next step has a version to go by
    condemn         move the data, if it is still at the version held, below the upload's intents (M4)
    remove          as a cancel does: first ``startedat``, then everything

An acknowledged flush has given the data another version. If the flush came before the second look, the look shows it.
If it came later, its handle has resumed the upload since, and ``hold`` or ``condemn`` fails. A handle that resumed the
upload and has flushed nothing loses nothing that was promised: the move fences it (F2), and its next call raises
``UnknownUploadError``.

From ``condemn`` on there is an intent and no data. With no data and no intent, resuming would begin the upload again at
offset 0 (see ``LayerService.resume``); the intent prevents that. If a purge is cut off there, the next one completes
it, at any age of the upload, since nothing else makes that key.

A finish puts its intent before it moves the data. If the intent came before the second look, the look shows it. If it
came later, the finish and the purge move the same version of the data, and one of them is refused. If the data has
become a blob already, nothing can be written any more. The upload is then removed without ``hold`` and ``condemn``,
which would make data again. The blob stays, and a finish that has come that far links it, or raises
``UnknownUploadError``.

Data without a ``startedat`` is no upload: no other handle can go on with it, and it is removed at the same age. A
cancel or a finish has left it, or it belongs to a straight upload whose handle is at work or was killed. So here, too,
the data is taken over before the second look: if its handle then lets others know of it, the handle is fenced.
With some drivers a killed writer leaves only a key that it had taken; its age is the time since then.

An upload with a foreign thing below it is left alone at any age.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import walk
from layerstore.driver import Foreign
from layerstore.errors import (
    FencedError,
    InvalidUploadIDError,
    LayerStoreError,
    PathNotFoundError,
)
from layerstore.layout import UploadKeys
from layerstore.upkeep.report import Report
from layerstore.uploads import finish

NO_REPOSITORY = "not below a repository"
NO_UPLOAD = "not an upload"
ALIVE = "in use: resumed, written to, finished or cancelled meanwhile"


@dataclass(frozen=True, slots=True)
class PurgeEntry:
    """One upload, or something else where uploads lie."""

    name: str
    """The repository."""
    uuid: str
    """The upload's id; for a thing that is no upload, its name there; empty for all uploads of a repository."""
    offset: int = 0
    """Bytes stored."""
    age: timedelta | None = None
    """How long before ``now`` it was begun or written to; None if that was not looked up."""
    reason: str = ""
    """Why it was skipped."""
    error: LayerStoreError | None = None
    """Why it failed."""


@dataclass(slots=True)
class PurgeReport(Report[PurgeEntry]):
    """The result of a purge; ``kept`` are the uploads that are too young."""

    skipped: list[PurgeEntry] = field(default_factory=list)
    """In use after all, or no upload of layerstore's; each with a reason."""


def purge(
    driver: CheckedDriver,
    older_than: timedelta,
    *,
    name: str | None = None,
    dry_run: bool = False,
    now: datetime | None = None,
) -> PurgeReport:
    """Remove the uploads that are at least ``older_than`` old at ``now``; see :meth:`LayerService.purge`."""
    if older_than < timedelta(0):
        raise ValueError(f"older_than is not negative, not {older_than}")
    work = _Purge(driver, older_than, now or datetime.now(UTC), PurgeReport(dry_run))
    for area in walk.areas(work.children, name, work.missed):
        if area.endswith(f"/{walk.UPLOADS}"):
            work.area(area)
    return work.report


class _NotUnderstoodError(Exception):
    """A foreign thing lies below an upload: the program that stored it may need the whole upload."""

    def __init__(self, foreign: Foreign) -> None:
        super().__init__(foreign)
        self.foreign = foreign


class _Sight(NamedTuple):
    """The state of an upload at one look. If two are equal, nothing has happened in between."""

    times: frozenset[datetime]
    versions: frozenset[tuple[str, str]]
    offset: int
    started: bool
    moved: bool
    """There is no data, but an intent: a finish has moved the data."""
    condemned: bool
    """There is no data: an earlier purge has moved it."""
    has_data: bool
    taken: bool
    """A writer has taken a key without publishing anything under it."""


class _Purge(NamedTuple):
    driver: CheckedDriver
    older_than: timedelta
    now: datetime
    report: PurgeReport

    def missed(self, prefix: str, error: LayerStoreError) -> None:
        if prefix == layout.REPOSITORIES:
            raise error
        name = prefix.removeprefix(f"{layout.REPOSITORIES}/")
        self.report.failed.append(PurgeEntry(name, "", error=error))

    def odd(self, foreign: Foreign) -> None:
        """Skip a foreign thing; outside of areas of uploads it does not concern a purge."""
        name, _, area = foreign.name.removeprefix(f"{layout.REPOSITORIES}/").partition("/_")
        kind, _, below = area.partition("/")
        if kind in ("", walk.UPLOADS[1:]):
            self.report.skipped.append(PurgeEntry(name, below, reason=walk.not_understood(foreign)))

    def children(self, prefix: str) -> Iterator[str]:
        return walk.telling(self.driver, self.odd, {})(prefix)

    def area(self, area: str) -> None:
        name = walk.repository(area)
        if not layout.is_name(name):
            self.report.skipped.append(PurgeEntry(name, "", reason=NO_REPOSITORY))
            return
        try:
            for child in self.children(area):
                self._entry(name, child.removeprefix(f"{area}/"))
        except LayerStoreError as error:
            self.report.failed.append(PurgeEntry(name, "", error=error))

    def _entry(self, name: str, child: str) -> None:
        uuid = child.removesuffix("/")
        try:
            if child == uuid:
                raise InvalidUploadIDError(uuid)  # a key, where only prefixes are
            self._upload(UploadKeys(name, uuid))
        except _NotUnderstoodError as error:
            self.odd(error.foreign)
        except InvalidUploadIDError:
            self.report.skipped.append(PurgeEntry(name, uuid, reason=NO_UPLOAD))
        except LayerStoreError as error:
            self.report.failed.append(PurgeEntry(name, uuid, error=error))

    def _upload(self, keys: UploadKeys) -> None:
        taken: dict[str, datetime] = {}
        seen = _look(self.driver, keys, taken)
        times = seen.times | set(taken.values())
        if not times:
            return  # gone since it was listed
        entry = PurgeEntry(keys.name, keys.uuid, seen.offset, self.now - max(times))
        if self.now - max(times) < self.older_than and not seen.condemned:
            self.report.kept.append(entry)
        elif self.report.dry_run:
            self.report.removed.append(entry)
        else:
            self._remove(keys, seen, entry)

    def _remove(self, keys: UploadKeys, seen: _Sight, entry: PurgeEntry) -> None:
        try:
            _take_away(self.driver, keys, seen)
        except (FencedError, PathNotFoundError):
            self.report.skipped.append(replace(entry, reason=ALIVE))
        except LayerStoreError as error:
            self.report.failed.append(replace(entry, error=error))
        else:
            self.report.removed.append(entry)


def _take_away(driver: CheckedDriver, keys: UploadKeys, seen: _Sight) -> None:
    """Remove an upload, if it is still what was seen.

    Raises:
        FencedError, PathNotFoundError: it is not.
    """
    if seen.has_data or seen.taken or (seen.started and not seen.condemned):
        writer = driver.open_writer(keys.data)
        try:
            # By now the key is taken, by this very writer.
            if _look(driver, keys, {})._replace(taken=seen.taken) != seen:
                raise FencedError(keys.prefix, "not what it was when looked at", driver.scheme)
            if seen.started and not seen.moved:
                writer.flush()
                driver.move(keys.data, keys.purged, version=writer.version)
        finally:
            writer.discard()
    finish.remove(driver, keys)


def _refuse(foreign: Foreign) -> None:
    raise _NotUnderstoodError(foreign)


def _look(driver: CheckedDriver, keys: UploadKeys, taken: dict[str, datetime]) -> _Sight:
    below = walk.keys_below(walk.telling(driver, _refuse, taken), keys.prefix)
    stats = {key: stat for key in below if (stat := driver.find(key)) is not None}
    started = None
    if keys.started_at in stats:
        with suppress(PathNotFoundError):  # gone since
            started = finish.started_at(driver, keys)
    data = stats.get(keys.data)
    intents = any(key.startswith(f"{keys.intents}/") for key in stats)
    moved = finish.find_moved(driver, keys) if intents else None
    return _Sight(
        times=frozenset([stat.modified for stat in stats.values()] + ([started] if started else [])),
        versions=frozenset((key, stat.version) for key, stat in stats.items()),
        offset=data.size if data else moved.size if moved else 0,
        started=keys.started_at in stats,
        moved=data is None and intents,
        condemned=data is None and keys.purged in stats,
        has_data=data is not None,
        taken=bool(taken),
    )

"""Purging: abandoned uploads go, and nothing that is alive.

An upload's age is the time since it was begun or since anything of it was last stored, whichever is later. One that is
old enough is removed in steps, so that one that comes alive meanwhile is let go of, whoever acts between any two:

    look            everything below the upload, with versions and times; too young, it is left alone
    take over       a writer is opened on the data: whoever had it can publish nothing any more (clause F1)
    look again      anything else than before, and it is let go of
    hold            the writer is flushed, which fails if somebody has resumed the upload since (F3); where there was no
                    data it makes some, of no bytes, for the next step to have a version to go by
    condemn         the data, if it is still at the version held, is moved below the upload's intents (M4)
    remove          as a cancel removes: first ``startedat``, then everything

A flush that was acknowledged has given the data another version. Before the second look it shows there; after it, only
one who has resumed the upload since can have made it, and ``hold`` or ``condemn`` fails. Who has resumed it and flushed
nothing loses nothing that was promised, is fenced by the move (F2), and is told that the upload is gone.

From ``condemn`` on there is an intent and no data: nobody can begin the upload anew at offset 0, as resuming would
where there is no data alone (see ``LayerService.resume``). A purge that is cut off there is completed by the next one,
at any age, since nothing else makes that key.

A finish under way has put its intent before its move, so the second look shows it; if it has got by that, both move the
same version of the data, and one of them is refused. Where the data has become a blob already, nothing can be written
any more, and the upload is removed without ``hold`` and ``condemn``, which must not make data anew: the blob stays, and
a finish that has come that far links it, or is told that the upload is gone.

What has no ``startedat`` is no upload: no one else can go on with it, and it is removed at the same age. It is what a
cancel or finish has left, or what is being written straight through, by one who is at work or was killed. So the data
is taken over here, too, before the second look: who then begins to have others know of it finds that it is fenced. Of
some drivers a killed writer leaves no more than a key that it had taken; its age is the time since then. An
upload with something below it that is not understood is left alone, whatever its age.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from layerstore import finish, layout, walk
from layerstore.checked import CheckedDriver
from layerstore.driver import Foreign
from layerstore.errors import (
    FencedError,
    InvalidUploadIDError,
    LayerStoreError,
    PathNotFoundError,
)
from layerstore.layout import UploadKeys

NO_REPOSITORY = "not below a repository"
NO_UPLOAD = "not an upload"
ALIVE = "in use: resumed, written to, finished or cancelled meanwhile"


@dataclass(frozen=True, slots=True)
class PurgeEntry:
    """One upload, or something else where uploads lie."""

    name: str
    """The repository."""
    uuid: str
    """The upload's id; of what is no upload what stands there instead, empty for all of a repository's uploads."""
    offset: int = 0
    """Bytes stored."""
    age: timedelta | None = None
    """How long before ``now`` it was begun or written to; None if nobody looked."""
    reason: str = ""
    """Why it was skipped."""
    error: LayerStoreError | None = None
    """Why it failed."""


@dataclass(slots=True)
class PurgeReport:
    """What a purge did or, as a dry run, would do."""

    dry_run: bool
    removed: list[PurgeEntry] = field(default_factory=list)
    kept: list[PurgeEntry] = field(default_factory=list)
    """Too young."""
    skipped: list[PurgeEntry] = field(default_factory=list)
    """Alive after all, or no uploads of ours; each with a reason."""
    failed: list[PurgeEntry] = field(default_factory=list)
    """Each with its error."""


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
    """Something lies below an upload that is not understood: who stored it may want all of it."""

    def __init__(self, foreign: Foreign) -> None:
        super().__init__(foreign)
        self.foreign = foreign


class _Sight(NamedTuple):
    """What there is of an upload. Two that are equal: nothing has happened."""

    times: frozenset[datetime]
    versions: frozenset[tuple[str, str]]
    offset: int
    started: bool
    moved: bool
    """No data, but intents: a finish has moved it."""
    condemned: bool
    """No data, for an earlier purge has moved it."""
    has_data: bool
    taken: bool
    """A writer has taken a key, and published nothing under it."""


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
        """Skip what is not understood; what lies in an area that is not of uploads is not a purge's affair."""
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
    started = _started_at(driver, keys) if keys.started_at in stats else None
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


def _started_at(driver: CheckedDriver, keys: UploadKeys) -> datetime | None:
    try:
        text = driver.get(keys.started_at, 64).decode("ascii", "replace")
        return datetime.fromisoformat(text).astimezone(UTC)
    except (PathNotFoundError, ValueError, OverflowError):
        return None

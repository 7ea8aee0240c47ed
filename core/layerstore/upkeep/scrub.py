"""Scrubbing: read every stored blob, which must hash to its name, and every link, which must lead to a blob.

Findings are yielded as they are made, in ascending order of the digests, so a scrub that was cut off can go on after
the last one. A blob is read in blocks, at one version; if it is replaced while it is read, it is read again. So if a
blob is reported as damaged, one whole version of it was damaged. Only that version is moved to quarantine (clause M4):
a blob that an upload has mended meanwhile stays.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from threading import Event
from typing import Self

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import marks, walk
from layerstore.contents.survey import Finding, Survey, survey
from layerstore.digest import Digest
from layerstore.driver import Foreign
from layerstore.errors import BackendUnavailableError, FencedError, LayerStoreError, PathNotFoundError
from layerstore.hashing.cursor import BLOCK

Progress = Callable[[int], None]
"""Called with the number of bytes that were just read; from several threads, if there are several jobs.

What it raises ends the scrub, and is raised by it.
"""


def _nothing_found() -> Generator[Finding]:
    yield from ()


@dataclass(slots=True)
class ScrubReport:
    """The findings of a scrub, which goes on while they are read; and all that were read so far, in total.

    A finding is in the totals once the next one is asked for. So a reader that is cut off in between gets it twice, if
    it goes on after ``last``, and never misses it.
    """

    ok: int = 0
    """Blobs that hash to their names."""
    ok_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    """Everything else."""
    last: str = ""
    """Hex of the last blob that was looked at: a scrub that was cut off can go on after it (``after``)."""
    source: Generator[Finding] = field(default_factory=_nothing_found, repr=False, compare=False)
    """Makes the findings; one that was given up, or has come to its end, makes none."""
    _current: Finding | None = field(default=None, init=False, repr=False, compare=False)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Finding:
        if self._current is not None:
            current, self._current = self._current, None
            self.add(current)
        self._current = next(self.source)
        return self._current

    def close(self) -> None:
        """Give up the rest of the scrub, and end its threads."""
        self.source.close()

    def add(self, finding: Finding) -> None:
        """Take a finding into account."""
        if finding.kind == "ok":
            self.ok += 1
            self.ok_bytes += finding.size
        else:
            self.findings.append(finding)
        if finding.digest:
            self.last = finding.digest.hex

    @property
    def harm(self) -> list[Finding]:
        """The findings that harm a client that fetches layers."""
        return [finding for finding in self.findings if finding.harmful]


def scrub(
    driver: CheckedDriver,
    *,
    name: str | None = None,
    jobs: int = 1,
    since: datetime | None = None,
    quarantine: bool = False,
    after: str | None = None,
    progress: Progress | None = None,
) -> ScrubReport:
    """Check every stored blob and every link; see :meth:`LayerService.scrub`."""
    if jobs < 1:
        raise ValueError(f"jobs is at least 1, not {jobs}")
    if since is not None and since.tzinfo is None:
        raise ValueError("since is an aware datetime")
    start = "" if after is None else layout.blob(Digest("sha256", after))
    work = _Scrub(driver, since, progress or _nothing, quarantine=quarantine)
    return ScrubReport(last=after or "", source=_scrub(driver, name, jobs, start, work))


def _nothing(count: int) -> None:
    del count


def _scrub(driver: CheckedDriver, name: str | None, jobs: int, start: str, work: _Scrub) -> Generator[Finding]:
    work.known = survey(driver, name)
    if not start:
        yield from work.known.odd
        yield from _left_over(work) if name is None else ()
    linked = sorted(key for hexdigits in work.known.links if (key := layout.blob(Digest("sha256", hexdigits))) > start)
    stored = walk.keys_below(work.children, f"{layout.BLOBS}/sha256", after=start) if name is None else ()
    keys = (key for key, _ in groupby(heapq.merge(linked, stored)))
    try:
        for found in in_order(work.look, keys, jobs, work.stop):
            yield from work.told()
            yield from found
    except _ProgressError as error:
        raise error.raised from error.raised.__cause__
    yield from work.told()


class _ProgressError(Exception):
    """The caller's function has raised what would be taken for an error of the store."""

    def __init__(self, raised: LayerStoreError) -> None:
        super().__init__(raised)
        self.raised = raised


def _left_over(work: _Scrub) -> Iterator[Finding]:
    """Yield foreign keys beside the blobs, and the blobs in the trash of collections that were cut off."""
    for child in work.children(layout.BLOBS):
        if child != f"{layout.BLOBS}/sha256/":
            yield Finding("foreign", child)
    for key in walk.keys_below(work.children, layout.OURS):
        if key.startswith(f"{layout.TRASH}/"):
            yield Finding("leftover", key, detail="in the trash of a collection that was cut off")
    yield from work.told()


def in_order(
    work: Callable[[str], list[Finding]], keys: Iterable[str], jobs: int, stop: Event
) -> Iterator[list[Finding]]:
    """Do the work for each key, several at once, and yield the results in the order of the keys."""
    if jobs == 1:
        yield from map(work, keys)
        return
    running: deque[Future[list[Finding]]] = deque()
    pool = ThreadPoolExecutor(jobs, "layerstore-scrub")
    try:
        for key in keys:
            running.append(pool.submit(work, key))
            if len(running) > 2 * jobs:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


class _Scrub:
    """The work on one blob, in any thread."""

    def __init__(self, driver: CheckedDriver, since: datetime | None, progress: Progress, *, quarantine: bool) -> None:
        self.driver = driver
        self.since = since
        self.quarantine = quarantine
        self.progress = progress
        self.known = Survey()
        self.stop = Event()
        self._odd: list[Finding] = []

    def children(self, prefix: str) -> Iterator[str]:
        """List, and keep foreign things, which are reported later."""
        return walk.telling(self.driver, self._keep)(prefix)

    def _keep(self, foreign: Foreign) -> None:
        if foreign.name not in self.known.foreign:
            self.known.foreign.add(foreign.name)
            self._odd.append(Finding("unreadable", foreign.name, detail=walk.not_understood(foreign)))

    def told(self) -> list[Finding]:
        """Return the findings on foreign things, each once."""
        odd, self._odd = self._odd, []
        return odd

    def look(self, key: str) -> list[Finding]:
        """Check the blob that lies, or should lie, under a key."""
        if key in self.known.foreign:
            return []  # it was reported
        digest = walk.blob_of(key)
        if digest is None:
            return [Finding("foreign", key)]
        try:
            return self._look(key, digest)
        except LayerStoreError as error:
            return [Finding("unreadable", key, digest, detail=str(error))]

    def _look(self, key: str, digest: Digest) -> list[Finding]:
        stat = self.driver.find(key)
        if stat is None:
            return self._missing(key, digest)
        found = [] if self.since is not None and stat.modified < self.since else self._checked(key, digest)
        if not self.known.uses(digest) and stat.modified < self.known.began:
            found.append(Finding("unlinked", key, digest, size=stat.size))
        return found

    def _checked(self, key: str, digest: Digest) -> list[Finding]:
        while True:
            try:
                actual, size, version = self._read(key)
                if actual == digest:
                    return [Finding("ok", key, digest, size=size)]
                aside = self._set_aside(key, digest, version)
                return [Finding("damaged", key, digest, actual=actual, size=size, quarantined=aside)]
            except PathNotFoundError:
                return self._missing(key, digest)
            except FencedError:
                continue  # replaced: it is another one now

    def _read(self, key: str) -> tuple[Digest, int, str]:
        """Return the digest, size and version of a blob.

        Raises:
            PathNotFoundError: it is gone.
            FencedError: it was replaced, and its earlier version cannot be read to the end.
        """
        with self.driver.open_reader(key) as reader:
            hasher, buffer = hashlib.sha256(), memoryview(bytearray(BLOCK))
            try:
                while count := reader.readinto(buffer):
                    hasher.update(buffer[:count])
                    self._tell(count)
                    if self.stop.is_set():
                        raise CancelledError
            except BackendUnavailableError:
                self._check_current(key, reader.version)
                raise
        return Digest("sha256", hasher.hexdigest()), reader.size, reader.version

    def _tell(self, count: int) -> None:
        try:
            self.progress(count)
        except LayerStoreError as error:
            raise _ProgressError(error) from error

    def _set_aside(self, key: str, digest: Digest, version: str) -> str:
        """Return the key that a damaged blob was moved to; empty if it stays."""
        if not self.quarantine:
            self._check_current(key, version)
            return ""
        target = layout.quarantined(digest, datetime.now(UTC))
        self.driver.move(key, target, version=version)
        return target

    def _check_current(self, key: str, version: str) -> None:
        if self.driver.stat(key).version != version:
            raise FencedError(key, "replaced while it was read", self.driver.scheme)

    def _missing(self, key: str, digest: Digest) -> list[Finding]:
        """Report the links that lead nowhere, if they still do."""
        links = [marks.link(self.driver, each) for each in self.known.links.get(digest.hex, ())]
        dangling = [link.key for link in links if link is not None and link.target == digest]
        return [] if self.driver.find(key) is not None else [Finding("missing", each, digest) for each in dangling]

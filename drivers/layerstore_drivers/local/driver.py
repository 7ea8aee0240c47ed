"""Local disk: objects are plain files below one root directory, under their keys."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from layerstore.driver import Capabilities, Driver, Foreign, Stat
from layerstore.errors import InvalidURLError
from layerstore_drivers.local.area import Area
from layerstore_drivers.local.draft import Draft, in_place
from layerstore_drivers.local.fencing import replacing
from layerstore_drivers.local.listing import children, in_the_way, scanned
from layerstore_drivers.local.opening import move, open_for_writing
from layerstore_drivers.local.reader import LocalReader, drop_cache, open_object, open_published
from layerstore_drivers.local.record import Identity
from layerstore_drivers.local.removal import delete, sweep
from layerstore_drivers.local.system import closing_fd, sync_directory
from layerstore_drivers.local.tree import Place, Tree
from layerstore_drivers.local.writer import LocalWriter

if TYPE_CHECKING:
    from layerstore.url import StoreURL


class LocalDriver(Driver):
    """Objects as plain files at ``root/key``, so that another program, such as a registry, can share the root.

    Nothing is cached that another process could make wrong: the root stays open, but every operation first checks that
    its path still leads there. The driver keeps its own files in ``.layerstore`` below the root.
    It needs a local file system with ``flock``, with directories that can be synced, and with times in nanoseconds
    (docs/local.md); the first write refuses another.
    """

    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=False, shared=True, durable=True)

    def __init__(self, root: Path) -> None:
        """Store below ``root``, which the first write makes; a relative path begins at the working directory of now."""
        self._area = Area(Tree(root.absolute()))

    @classmethod
    def open(cls, url: StoreURL, **options: Any) -> Self:  # noqa: ANN401  (as Driver.open; there are none)
        """Open ``local:///absolute/path`` or ``local:relative/path``.

        Raises:
            InvalidURLError: the URL has a host, or no path.
        """
        if url.host:
            raise InvalidURLError(str(url), "a local path has no host: local:///absolute/path or local:relative/path")
        if not url.path or "\0" in url.path:
            raise InvalidURLError(str(url), "no path")
        return cls(Path(url.path))

    def open_reader(self, key: str, offset: int = 0) -> LocalReader:
        """See :meth:`Driver.open_reader`."""
        area = self._current()
        return LocalReader(key, open_published(area.tree, area, key), offset)

    def open_writer(self, key: str) -> LocalWriter:
        """See :meth:`Driver.open_writer`."""
        area = self._made()
        return LocalWriter(area.tree, area, *open_for_writing(area.tree, area, key))

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        area = self._made()
        draft = Draft(area)
        try:
            draft.span.write(0, memoryview(data), 0)
            draft.span.stamp(time.time_ns())
            os.fsync(draft.span.fd)
            in_place(area.tree, key, lambda place: self._put(area, draft, place, key))
        finally:
            draft.close()

    def _put(self, area: Area, draft: Draft, place: Place, key: str) -> None:
        with area.lock(key) as lock, lock.held(), replacing(area.tree, area, key):
            draft.install(area.tree, place, key)
        sync_directory(place.fd)

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        area = self._current()
        found = open_published(area.tree, area, key)
        with closing_fd(found.fd):
            return Stat(found.size, found.modified, found.version)

    def drop_cache(self, key: str) -> bool:
        """See :meth:`DropsCache.drop_cache`. It needs a file on a disk, and a system that can do it."""
        area = self._current()
        with closing_fd(open_published(area.tree, area, key).fd) as fd:
            return drop_cache(fd)

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        tree = self._current().tree
        tree.open_root(prefix)
        try:
            directory = tree.enter(prefix, prefix)
        except (FileNotFoundError, NotADirectoryError):
            return
        with closing_fd(directory):
            yield from children(directory, prefix)

    def scan(self, prefix: str) -> Iterator[str | Foreign]:
        """See :meth:`Driver.scan`."""
        tree = self._current().tree
        root = tree.open_root(prefix)
        try:
            directory = tree.enter(prefix, prefix)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            found = in_the_way(root.fd, prefix)
            yield from [found] if found else []
            return
        with closing_fd(directory):
            yield from scanned(directory, prefix)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        area = self._current()
        fd, status = open_object(area.tree, source, os.O_RDONLY)
        with closing_fd(fd):
            if not area.is_synced(source, Identity.of(status)):
                os.fsync(fd)  # another program may have written it; before the lock is taken, as it may take long
        move(area.tree, _tidied(area), source, target, version)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        area = self._current()
        area.tree.open_root(key)
        delete(area.tree, _tidied(area), key)

    def close(self) -> None:
        """See :meth:`Driver.close`. The session goes on until the last writer is closed, and keeps the root open."""
        self._area = Area(Tree(self._area.tree.root))

    def _current(self) -> Area:
        """Return the private area below the root's path, of which another root may be in the place by now.

        Every operation begins with this. Handles keep what they were opened with.
        """
        area = self._area
        if not area.tree.is_current():
            area = self._area = Area(Tree(area.tree.root))
        return area

    def _made(self) -> Area:
        """Return the private area as :meth:`_current` does, with the root made if missing, and tidied up."""
        area = self._current()
        area.tree.make_root()
        return _tidied(area)


def _tidied(area: Area) -> Area:
    """Return a private area, tidied up when its driver first writes there."""
    if not area.swept:
        sweep(area.tree, area)
        area.swept = True
    return area

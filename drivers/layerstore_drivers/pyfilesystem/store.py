"""The store that all drivers on one address share: the filesystem, and the writer and version of each key."""

from __future__ import annotations

import itertools
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from fs.errors import FSError, RemoteConnectionError, ResourceNotFound

from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.keys import is_key
from layerstore_drivers.pyfilesystem import drafts
from layerstore_drivers.pyfilesystem.errors import translated
from layerstore_drivers.pyfilesystem.filesystems import filesystem, modified_at
from layerstore_drivers.pyfilesystem.listing import first, parents

if TYPE_CHECKING:
    from datetime import datetime

    from layerstore.driver import Writer
    from layerstore_drivers.pyfilesystem.address import Address
    from layerstore_drivers.pyfilesystem.filesystems import Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """The published object of a key."""

    size: int
    modified: datetime
    version: str


class Store:
    """One store of this process. No other driver on it sees a half of what is done within one :meth:`turn`.

    Only the thread that has the turn calls the methods from :meth:`look` on.
    """

    def __init__(self, address: Address) -> None:
        """Stay unconnected."""
        self.files = filesystem(address)
        # The one writer of each key that is not fenced. Weak, so that a writer let go of leaves nothing behind.
        self.owners: WeakValueDictionary[str, Writer] = WeakValueDictionary()
        self._root = address.root if self.files.remote else ""
        self._lock = Lock()
        self._discarded: deque[str] = deque()
        self._drafts = drafts.Drafts(self.files, self.path(drafts.DIRECTORY))
        # What was stored in another process's life has other versions in this one: by size and time alone, nobody
        # could tell whether it was changed meanwhile.
        self._life = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._published: dict[str, int] = {}

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Use the connected filesystem alone during the block. Its errors are about ``key``."""
        with self._lock, translated(key), self._connected():
            self._remove_discarded()
            yield

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            self.files.connect()
            yield
        except DriverError:
            raise
        except BaseException:
            # The answer may still be on its way, and would be taken for that to the next command.
            self.files.disconnect()
            raise

    def path(self, key: str) -> str:
        """Return the path of a key in the filesystem; for ``""``, of the top of the store."""
        return f"{self._root}/{key}" if key else self._root or "/"

    def new_draft(self, key: str) -> str:
        """Return a path for a draft of a key. It is the path of no key."""
        return self._drafts.new(key)

    def discard(self, draft: str) -> None:
        """Remove a draft, now or with the next turn.

        The interpreter's collector may call this in the middle of a turn, even in the thread that has the turn.
        """
        self._discarded.append(draft)
        if self._lock.acquire(blocking=False):
            try:
                with suppress(DriverError, OSError), translated(""), self._connected():
                    self._remove_discarded()
            finally:
                self._lock.release()

    def disconnect(self) -> None:
        """Give back the connection; the next call makes a new one."""
        with self._lock:
            self.files.disconnect()

    def look(self, key: str) -> Entry | None:
        """Return the thing under a key or, for ``""``, at the top of the store; None if there is none.

        Raises:
            BackendUnavailableError: the store itself is missing (clause E2).
        """
        entry = self.files.find(self.path(key))
        if entry is None and self.files.find(self.path("")) is None:
            raise BackendUnavailableError(key, "there is no such directory")
        return entry

    def find(self, key: str) -> Found:
        """Return the published object of a key.

        Raises:
            PathNotFoundError: nothing is.
        """
        found = self.found(key, self.look(key))
        if found is None:
            raise PathNotFoundError(key)
        return found

    def found(self, key: str, entry: Entry | None) -> Found | None:
        """Return the published object of a key that has this entry; None if there is none."""
        if entry is None or not entry.is_file:
            return None
        version = f"{self._life}.{self._published.get(key, 0)}.{entry.size}.{entry.modified}{entry.mark}"
        return Found(entry.size, modified_at(entry), version)

    def holds_keys(self, prefix: str) -> bool:
        """Return whether an object lies below a prefix. The first one found decides."""
        return isinstance(first(self, f"{prefix}/"), str)

    def check_place(self, key: str, entry: Entry | None) -> list[str]:
        """Refuse a key under which no file can be stored in place of this entry. Return the prefixes that are missing.

        Raises:
            UnsupportedOperationError: an object lies above or below the key (clause C2).
            AccessDeniedError: the thing there is neither a file nor a directory.
        """
        if entry is None:
            return self._missing_above(key)
        if entry.is_dir and self.holds_keys(key):
            raise UnsupportedOperationError(key, "objects lie below it")
        if not (entry.is_dir or entry.is_file):
            raise AccessDeniedError(key, "no regular file")
        return []

    def _missing_above(self, key: str) -> list[str]:
        missing: list[str] = []
        for above in parents(key):
            entry = self.files.find(self.path(above))
            if entry and not entry.is_dir:
                raise UnsupportedOperationError(key, f"{above!r} is an object")
            if entry:
                break
            missing.insert(0, above)
        return missing

    def drafted(self, create: Callable[[], T]) -> T:
        """Make a draft, in a directory that is made if it is missing."""
        try:
            return create()
        except ResourceNotFound:
            self.files.make_directory(self.path(drafts.DIRECTORY))
            return create()

    def own(self, key: str, writer: Writer) -> None:
        """Let a writer own a key, and fence every earlier one (clause F1)."""
        self.fence(key)
        self.owners[key] = writer

    def fence(self, key: str) -> None:
        """Fence the key's writers, and remove the drafts of killed processes."""
        self.owners.pop(key, None)
        self._discarded.extend(self._drafts.left_of(key))
        self._remove_discarded()

    def _fence_below(self, key: str) -> None:
        for owned in [owned for owned in self.owners if f"{owned}/".startswith(f"{key}/")]:
            self.owners.pop(owned, None)
        self._discarded.extend(self._drafts.left_below(key))
        self._remove_discarded()

    def check_owner(self, writer: Writer, entry: Entry | None) -> None:
        """Refuse a writer that was fenced, if the key has this entry (clauses F1 to F4).

        Raises:
            FencedError: it was; or, as size and time show, another program has put another file there.
        """
        found = self.found(writer.key, entry)
        if self.owners.get(writer.key) is not writer or (found.version if found else None) != writer.version:
            raise FencedError(writer.key)

    def install(self, path: str, key: str, replaced: Entry | None, missing: list[str]) -> None:
        """Rename a file to the path of a key that was checked, and so publish it under a new version."""
        for above in missing:
            self.files.make_directory(self.path(above))
        if replaced and replaced.is_dir:
            self._make_room(key)
        try:
            self.files.rename(path, self.path(key))
        finally:  # also where it may have been done, and only the answer was lost
            self._published[key] = next(self._numbers)

    def _make_room(self, key: str) -> None:
        """Remove a directory that holds no keys.

        Raises:
            UnsupportedOperationError: it holds a key.
        """
        if not self._remove_tree(key):
            raise UnsupportedOperationError(key, "something is below it that is no object")

    def put(self, draft: str, key: str) -> None:
        """Publish a draft that belongs to no writer, and fence the key's writers (clause F2).

        Raises:
            BackendUnavailableError: another process took the draft for one of a killed process.
        """
        replaced = self.look(key)
        missing = self.check_place(key, replaced)
        self.fence(key)
        try:
            self.install(draft, key, replaced, missing)
        except (ResourceNotFound, FileNotFoundError):
            raise BackendUnavailableError(key, "another process has fenced the key meanwhile") from None

    def move(self, source: str, target: str, version: str | None) -> None:
        """Rename an object, and fence the writers of both keys.

        Raises:
            PathNotFoundError, FencedError: ``source`` is missing, or at another version.
            BackendUnavailableError: the filesystem has reported a rename that it did not do.
        """
        found = self.find(source)
        if version not in (None, found.version):
            raise FencedError(source, f"at version {found.version}, not {version}")
        replaced = self.look(target)
        missing = self.check_place(target, replaced)
        self.fence(target)
        self.fence(source)
        self.install(self.path(source), target, replaced, missing)
        self._check_moved(source, target, found.size)
        self._forget(source)
        self._prune(source)

    def _check_moved(self, source: str, target: str, size: int) -> None:
        """Check that a rename was done: after the move of an upload's data to its blob, the upload is removed."""
        moved = self.files.find(self.path(target))
        if moved is None or moved.size != size or self.files.find(self.path(source)) is not None:
            raise BackendUnavailableError(target, f"the filesystem said that it renamed {source}, and did not")

    def delete(self, key: str) -> None:
        """Remove a key, the objects below it, and the directories that are empty then. Foreign things stay (D5)."""
        entry = self.look(key)
        self._fence_below(key)
        if entry is None:
            return
        if entry.is_dir:
            self._remove_tree(key)
        elif entry.is_file:
            self._remove_file(key)
        self._prune(key)

    def _remove_tree(self, key: str) -> bool:
        """Remove the objects below, and the directories that are empty then. Return whether nothing is left (D5)."""
        left = False
        for entry in self.files.scan(self.path(key)):
            below = f"{key}/{entry.name}"
            if entry.is_dir and is_key(entry.name):
                left |= not self._remove_tree(below)
            elif entry.is_file and is_key(below):
                self._remove_file(below)
            else:
                left = True
        if not left:
            self.files.remove_directory(self.path(key))
        return not left

    def _remove_file(self, key: str) -> None:
        self.files.remove(self.path(key))
        self.fence(key)  # of a long key's drafts the name does not tell what they are below
        self._forget(key)

    def _prune(self, key: str) -> None:
        """Remove the directories above a key that are empty. A listing does not show them anyway."""
        with _tolerant():  # until one is refused, not being empty
            for above in parents(key):
                self.files.remove_directory(self.path(above))

    def _forget(self, key: str) -> None:
        self._published.pop(key, None)

    def _remove_discarded(self) -> None:
        while self._discarded:
            with _tolerant():  # it may have been published, or never made
                self.files.remove(self._discarded.popleft())


@contextmanager
def _tolerant() -> Iterator[None]:
    """Ignore refusals of the filesystem. Raise if the connection may give the answer to another command next."""
    try:
        yield
    except RemoteConnectionError:
        raise
    except FSError:
        pass

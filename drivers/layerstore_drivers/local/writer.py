"""Writing: in place beyond the published bytes, otherwise in a draft (clauses W1 to W9)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from layerstore.driver import Writer
from layerstore.errors import BackendUnavailableError, DriverError, FencedError
from layerstore.threads.process import this_process
from layerstore_drivers.local import record
from layerstore_drivers.local.area import Area
from layerstore_drivers.local.draft import Draft, Span, in_place
from layerstore_drivers.local.fencing import fence
from layerstore_drivers.local.locks import when_free, without_waiting
from layerstore_drivers.local.reader import Published, current_version
from layerstore_drivers.local.record import Identity, OwnRecord, Seen
from layerstore_drivers.local.system import sync_directory
from layerstore_drivers.local.tree import Place, Tree

T = TypeVar("T")


class _Tail(Span):
    """The object's own file. A process that fences the writer can see whether it is changing the file."""

    def __init__(self, fd: int, size: int, record: OwnRecord) -> None:
        super().__init__(fd, size)
        self._record = record

    def change(self, act: Callable[[], T]) -> T:
        """Change the file, unless the writer was fenced."""
        return self._record.change(self.fd, act)


class LocalWriter(Writer):
    """Appends go to the object's own file, beyond what readers see. Other writes go to a draft that replaces it."""

    def __init__(self, tree: Tree, area: Area, record: OwnRecord, base: Published | None) -> None:
        """Take over the record and the descriptor of what is published, open for reading and writing."""
        super().__init__(record.key, base.size if base else 0, base.version if base else None)
        self._tree, self._area, self._record = tree, area, record
        self._pid = this_process()
        self._base = base
        self._draft: Draft | None = None
        self._tail = _Tail(base.fd, base.size, record) if base else None
        self._armed = self._settled = False
        self._failure: OSError | None = None
        self._unsure = False  # while a publication is under way, and after one that was interrupted

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write in place beyond the published bytes, or otherwise in a draft, which begins as a copy of the file."""
        self._refuse_after_failure()  # the failed flush may be visible by now
        if self._draft:
            self._draft.span.write(offset, data, self.size)
        elif self._tail and self._grows_in_place(self._tail, offset):
            self._arm()
            self._tail.write(offset, data, self.size)
        else:
            self._begin_draft().span.write(offset, data, self.size)

    def publish(self) -> str:
        """Make the bytes durable, and then visible.

        Raises:
            FencedError: the writer was fenced, or another program has changed the object.
        """
        self._refuse_after_failure()
        self._tree.check_current(self.key)
        if self._draft or not self._base:
            self._base = self._publish_draft(self._draft or self._begin_draft())
            self._area.note_synced(self.key, self._base.found)
        elif self._tail and self.size > self._base.size:
            self._base = self._publish_tail(self._tail, self._base)
            self._area.note_synced(self.key, self._base.found)
        else:
            self._settle_bytes(self._base)
            self._settle()
            with self._area.lock(self.key) as lock, lock.held():
                self._check_fence()
        self._unsure = False
        return self._base.version

    def release(self) -> None:
        """Close all files, remove the draft, and cut off unpublished bytes."""
        if self._draft:
            self._draft.close()
        if self._base:
            os.close(self._base.fd)
        tree, area, record, pid = self._tree, self._area, self._record, self._pid
        when_free(lambda: _give_back(tree, area, record, pid))

    def _refuse_after_failure(self) -> None:
        if self._failure:
            detail = "an earlier flush failed, and what it lost is unknown"
            raise BackendUnavailableError(self.key, detail) from self._failure
        if self._unsure:  # the bytes may be published by now: they must not be written to
            raise BackendUnavailableError(self.key, "an earlier flush was interrupted, and what it did is unknown")

    @contextmanager
    def _publishing(self) -> Iterator[None]:
        """Accept no writes from here until :meth:`publish` is done, unless the block raises an error."""
        self._unsure = True
        try:
            yield
        except (OSError, DriverError):
            self._unsure = False
            raise

    def _grows_in_place(self, tail: Span, offset: int) -> bool:
        """Return whether a write is beyond the published bytes, in a file with one name.

        A move cut off by a loss of power may leave one file under two names, and other programs make links. A file
        that is empty is replaced instead, which takes three syncs fewer.
        """
        beyond = self._base is not None and offset >= self._base.size > 0
        return beyond and (self._armed or os.fstat(tail.fd).st_nlink < 2)

    def _begin_draft(self) -> Draft:
        draft = Draft(self._area)
        try:
            if self._tail and self._tail.size:
                draft.copy(self._tail)
        except BaseException as error:
            draft.close()
            if not self._record.owned:  # the bytes to copy were cut off
                raise FencedError(self.key) from error
            raise
        self._draft = draft
        return draft

    def _arm(self) -> None:
        """Make the record durable before the file grows: a loss of power must not leave the growth without it."""
        if not self._armed:
            self._record.tell_growing()
            self._area.sync_record(self._record.fd)
            self._armed = True

    def _publish_draft(self, draft: Draft) -> Published:
        self._seal(draft.span)
        self._check_owned()  # once more, to make no directory in vain
        base = in_place(self._tree, self.key, lambda place: self._install(draft, place))
        with suppress(FencedError):  # since it was published
            self._lasting(lambda: self._tell(base))
        self._continue(base)
        self._settled = True
        return base

    def _install(self, draft: Draft, place: Place) -> Published:
        with self._area.lock(self.key) as lock, lock.held():
            self._check_fence()
            with self._publishing():
                draft.install(self._tree, place, self.key)
            found = Identity.of(os.fstat(draft.span.fd))  # the name has changed the time of the last change
        # Before the record speaks of the new file: until that has the name durably, the record must hide the unflushed
        # bytes of the old one. Before the old one is closed: a later draft may get its inode, and must not be mistaken.
        self._lasting(lambda: sync_directory(place.fd))
        return Published(draft.span.fd, found, Seen(found.size, found.mtime_ns, found))

    def _tell(self, base: Published) -> None:
        """Let the record describe the new file. Do so durably if it says durably that the old one may have grown."""
        self._record.tell(base.found)
        if self._armed:
            os.fdatasync(self._record.fd)

    def _continue(self, base: Published) -> None:
        """Go on in place, in the file that the draft has become."""
        before = self._base
        self._draft = None  # first: interrupted here, the writer must not close the file twice
        self._base = base
        self._tail = _Tail(base.fd, base.size, self._record)
        self._armed = False
        if before:
            os.close(before.fd)

    def _publish_tail(self, tail: Span, base: Published) -> Published:
        self._seal(tail)
        self._settle()
        with self._area.lock(self.key) as lock, lock.held():
            self._check_fence()
            with self._publishing():
                found = self._record.tell_grown()
        return Published(base.fd, found, Seen(found.size, found.mtime_ns, found))

    def _settle_bytes(self, base: Published) -> None:
        """Make the bytes durable, once: whoever published them may have died before that, or be another program."""
        if not self._settled and not self._area.is_synced(self.key, base.found):
            self._lasting(lambda: os.fsync(base.fd))
        self._area.note_synced(self.key, base.found)

    def _settle(self) -> None:
        """Make the object's name durable, once: the process that made it may have died before it was durable."""
        if not self._settled:
            self._lasting(lambda: self._tree.sync_parent(self.key))
            self._settled = True

    def _seal(self, span: Span) -> None:
        """Make the bytes durable with a new modification time."""
        self._check_owned()  # checked again under the lock; here, to change and sync nothing in vain
        span.mend(self.size)
        span.stamp(max(time.time_ns(), self._base.seen.mtime_ns + 1 if self._base else 0))
        self._lasting(lambda: os.fsync(span.fd))

    def _check_owned(self) -> None:
        if not self._record.owned:
            raise FencedError(self.key)

    def _lasting(self, sync: Callable[[], None]) -> None:
        """Sync. If it fails, never sync again: a second sync would succeed although the first one lost bytes."""
        try:
            sync()
        except OSError as error:
            self._failure = OSError(error.errno, error.strerror)  # a copy: the traceback would keep the writer alive
            raise

    def _check_fence(self) -> None:
        """Refuse to publish over another version than the one that was opened. The key is locked, so that this lasts.

        Raises:
            FencedError: a writer, or another program, has taken or changed the object.
        """
        found = current_version(self._tree, self._area, self.key) if self._record.owned else None
        if not self._record.owned or found != (self._base.version if self._base else None):
            raise FencedError(self.key)


def _give_back(tree: Tree, area: Area, own: OwnRecord, pid: int) -> None:
    """Close a writer's record, and cut off what it has not flushed: later, if somebody has locked the key (T6)."""
    # A forked child has only a copy: the writer belongs to its parent.
    if pid == os.getpid() and not own.closed:
        with suppress(OSError, DriverError):
            if own.owned:
                own.let_go()
                record.disown(own.fd)
                without_waiting(lambda: _cut_off(tree, area, own.key))
    own.close()


def _cut_off(tree: Tree, area: Area, key: str) -> None:
    """Cut off what a writer has left, unless the key has another one by now."""
    with area.lock(key) as lock, lock.held(patience=0):
        file = area.open_record(key)
        if file is None:
            return
        with file:
            found = record.read(file.fileno())
        if found is None or not found.owned:
            fence(tree, area, key, noting=True)

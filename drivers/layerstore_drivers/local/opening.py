"""Begin to write to an object, or to move it, whatever its earlier writer is in the middle of (clauses F1, F2, W1)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TypeVar

from layerstore.errors import BackendUnavailableError, FencedError, PathNotFoundError
from layerstore_drivers.local.area import Area, lock_names
from layerstore_drivers.local.draft import Draft, Span, in_place, install
from layerstore_drivers.local.fencing import Disowned, disown, fresh, replacing, wait_a_moment
from layerstore_drivers.local.reader import Published, open_object, open_published
from layerstore_drivers.local.record import Identity, OwnRecord
from layerstore_drivers.local.system import closing_fd, sync_directory
from layerstore_drivers.local.tree import Place, Tree

T = TypeVar("T")

_ATTEMPTS = 100
"""Attempts, each ended by another writer that was stopped in the middle of a write, before that is an error."""


class _BusyError(Exception):
    """The fenced writer is in the middle of a write: the object has to continue in a copy."""

    def __init__(self, base: Published) -> None:
        """Duplicate the descriptor. The handler of the exception must close it."""
        super().__init__(base.version)
        self.base = Published(os.dup(base.fd), base.found, base.seen)


class _Copy(Draft):
    """A copy of what is published, made while the key is not locked."""

    def __init__(self, area: Area, base: Published) -> None:
        super().__init__(area)
        self._inode, self._seen = base.found.inode, base.seen
        try:
            self.copy(Span(base.fd, base.size))
            self.span.stamp(base.seen.mtime_ns)
            os.fsync(self.span.fd)
        except BaseException:
            self.close()
            raise

    def is_of(self, base: Published) -> bool:
        """Return whether the same version is still published, in the file that was copied."""
        return (self._inode, self._seen) == (base.found.inode, base.seen)

    @property
    def now(self) -> Identity:
        """The identity of the file."""
        return Identity.of(os.fstat(self.span.fd))


def open_for_writing(tree: Tree, area: Area, key: str) -> tuple[OwnRecord, Published | None]:
    """Fence every earlier writer of a key, and return a new writer's record, and what is published, open for writing.

    Raises:
        UnsupportedOperationError: another key is above or below.
    """
    return _with_copies(tree, area, key, lambda copy: _Opening(tree, area, key, copy).run())


def move(tree: Tree, area: Area, source: str, target: str, version: str | None) -> None:
    """Move an object, fencing the writers of both keys; durable on return."""
    names = lock_names(source, target)

    def attempt(copy: _Copy | None) -> None:
        with ExitStack() as opened:
            move = _Move(tree, area, source, target, version, copy, opened)
            _move_locked(names, move)
            sync_directory(move.target)  # before the source, and when others may go on
            tree.sync_parent(source)

    _with_copies(tree, area, source, attempt)


def _with_copies(tree: Tree, area: Area, key: str, act: Callable[[_Copy | None], T]) -> T:
    """Try an action without a copy, and with one if it turns out to need one."""
    copy: _Copy | None = None
    try:
        for _ in range(_ATTEMPTS):
            try:
                return act(copy)
            except _BusyError as busy:
                with closing_fd(busy.base.fd):
                    if copy:
                        copy.close()
                    copy = None
                    if not wait_a_moment(area, key, busy.base.found.inode):
                        copy = _Copy(area, busy.base)
    finally:
        if copy:
            copy.close()
    raise BackendUnavailableError(key, "other writers keep being fenced in the middle of a write")


class _Opening:
    """One attempt to open a key for writing."""

    def __init__(self, tree: Tree, area: Area, key: str, copy: _Copy | None) -> None:
        self._tree, self._area, self._key, self._copy = tree, area, key, copy
        self._lasting = self._replaced = False

    def run(self) -> tuple[OwnRecord, Published | None]:
        """Open it, or raise that a copy is needed."""
        with ExitStack() as unless_done:
            with self._area.lock(self._key) as lock, lock.held():
                base = self._base()
                if base:
                    unless_done.callback(_close, base)
                own = self._take(base)
                unless_done.callback(own.close)
                if base and self._replaced and self._copy:
                    _go_on_in(base, self._copy)
            self._make_lasting(own)
            unless_done.pop_all()
        return own, base

    def _base(self) -> Published | None:
        """Open what is published for writing; None if the key is free."""
        try:
            return open_published(self._tree, self._area, self._key, os.O_RDWR)
        except PathNotFoundError:
            self._tree.refuse_obstacles(self._key)
            return None

    def _take(self, base: Published | None) -> OwnRecord:
        disowned = disown(self._tree, self._area, self._key)
        if disowned is None:
            return self._area.write_record(self._key, fresh(base))
        with disowned:
            self._lasting = disowned.lasting
            if base and disowned.see_again(base):
                return self._take_from(disowned, base)
            if disowned.lasting:
                self._tree.sync_parent(self._key)
            return self._area.write_record(self._key, fresh(base))

    def _take_from(self, disowned: Disowned, base: Published) -> OwnRecord:
        """Take the object from a writer that may have written unpublished bytes to its file."""
        if disowned.can_cut(base.found):
            return self._area.write_record(self._key, fresh(base, disowned.cut(base)))
        if self._copy is None or not self._copy.is_of(base):
            raise _BusyError(base)
        return self._replace(base, self._copy)

    def _replace(self, base: Published, copy: _Copy) -> OwnRecord:
        """Replace a file that its fenced writer may be writing to by a copy. Others see the same bytes all the time."""
        state = fresh(base, copy.now)._replace(former=base.found.inode, writing=True)
        own = self._area.write_record(self._key, state)
        try:
            in_place(self._tree, self._key, lambda place: copy.install(self._tree, place, self._key))
            own.tell_placed(copy.now)
        except BaseException:
            own.close()
            raise
        self._replaced = True
        return own

    def _make_lasting(self, own: OwnRecord) -> None:
        """Make durable that the earlier writer's file and record are gone. The key is no longer locked."""
        if self._replaced:
            self._tree.sync_parent(self._key)
            with suppress(FencedError):  # by a writer that came next: ours finds out when it publishes
                own.tell_lasting()
                os.fdatasync(own.fd)  # a later file with the number of the former must not be taken for it
        if self._lasting:
            self._area.sync_records()


def _close(base: Published) -> None:
    """Close the file that is published by now, which may be a copy."""
    os.close(base.fd)


def _go_on_in(base: Published, copy: _Copy) -> None:
    before, base.fd, base.found = base.fd, os.dup(copy.span.fd), copy.now
    os.close(before)


class _Move:
    """One attempt to move an object; both keys are locked."""

    def __init__(
        self,
        tree: Tree,
        area: Area,
        source: str,
        target: str,
        version: str | None,
        copy: _Copy | None,
        opened: ExitStack,
    ) -> None:
        self._tree, self.area, self._source, self._target = tree, area, source, target
        self._version, self._copy, self._opened = version, copy, opened
        self.target = -1
        """The directory that the object was moved to; not durably yet, and ``opened`` closes it."""

    def run(self) -> None:
        """Move it, or raise that a copy is needed."""
        base = open_published(self._tree, self.area, self._source)
        with closing_fd(base.fd):
            self._check_version(base)
            self._tree.refuse_obstacles(self._target)
            disowned = disown(self._tree, self.area, self._source)
            if disowned is None:
                self._rename()
                return
            with disowned:
                # The record goes before the file is moved. A process that found a record and no file would make durable
                # that the source is gone, while the target might not be durable yet.
                if not disowned.see_again(base):
                    disowned.drop()
                    self._rename()
                elif disowned.can_cut(base.found):
                    self._check_version(base)
                    self._rename_cut(disowned, base)
                elif self._copy and self._copy.is_of(base):
                    self._install(self._copy)
                    disowned.drop()
                else:
                    raise _BusyError(base)

    def _check_version(self, base: Published) -> None:
        if self._version not in {None, base.version}:
            raise FencedError(self._source, "not at the version given")

    def _rename_cut(self, disowned: Disowned, base: Published) -> None:
        # Before the rename: killed in between, the writer must not go on appending to what is the target by then.
        with closing_fd(open_object(self._tree, self._source, os.O_RDWR)[0]) as fd:
            disowned.cut(Published(fd, base.found, base.seen))
        disowned.remove()
        self._rename()

    def _rename(self) -> None:
        with replacing(self._tree, self.area, self._target), self._tree.parent(self._source) as (directory, name):
            self._fill(lambda place: install(self._tree, directory, name, place, self._target))
            # A move cut off by a loss of power may leave one file under both names; rename then keeps both.
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)

    def _install(self, copy: _Copy) -> None:
        with replacing(self._tree, self.area, self._target), self._tree.parent(self._source) as (directory, name):
            self._fill(lambda place: copy.install(self._tree, place, self._target))
            sync_directory(self.target)  # before the source goes: no rename binds the two
            os.unlink(name, dir_fd=directory)

    def _fill(self, install: Callable[[Place], None]) -> None:
        def fill(place: Place) -> int:
            install(place)
            return os.dup(place.fd)

        self.target = self._opened.enter_context(closing_fd(in_place(self._tree, self._target, fill)))


def _move_locked(names: list[str], attempt: _Move) -> None:
    """Move when the locks that are left have been taken."""
    if not names:
        attempt.run()
        return
    with attempt.area.lock_named(names[0]) as lock, lock.held():
        _move_locked(names[1:], attempt)

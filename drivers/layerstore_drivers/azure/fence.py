"""Fencing: which writer may publish under a key, and how all others find out (clauses F1 to F4).

A writer holds a key by the ETag of its blob. Every operation that fences changes that ETag: opening a writer,
publishing, putting, moving, deleting. Each such request is conditional on the ETag (``If-Match``), and the service
compares and changes in one step. So of two writers that know the same ETag, one succeeds, and the other one's request
is refused, in any interleaving and in any process. That is the whole fence; it needs no clock.

Opening must change the ETag, and nothing that anybody sees. It writes the blob's metadata again: a new mark, and the
version and the time of the object as they were. ``stat`` and readers report these as long as nobody has changed the
bytes (``found``). Publishing notes no version: the version is the new ETag. If there is no blob, opening makes one of
no bytes, with a note that it is no object: ``stat``, readers and listings pass over it, and a later writer takes it
over like any other blob. (``If-None-Match: *`` alone would not do: a writer whose key was never touched could not be
distinguished from one whose key came and went.) The blob stays if its writer never returns; a delete of the key, or of
a prefix, removes it.

- Two writers open at once. Both have looked and know E0. One gets E1; the other is refused, looks again, and takes E1
  over. The last one has the key, and the first one's next request is refused.
- One writer opens while another publishes. If the opening comes first, the commit is refused. If the commit comes
  first, the opening is refused, looks again, and begins with the published bytes.
- A put over the key, a move onto it or away from it, or a delete leaves another ETag, or none. A blob that was deleted
  and made again never has an old ETag.
- A response is lost and the SDK asks again. The result of the first request makes the second one fail. Then the blob
  has the mark of that very request, and the request counts as a success. If somebody has changed the blob since, the
  mark is gone. The first request may have succeeded then, but the key is lost in either case.
- A commit gets no answer at all, and may have happened. Its mark is kept. If a later request of the writer meets the
  mark, the writer goes on from there.

A noted version is believed while the blob has the noted blocks. Block ids that another program chose prove nothing: the
SDK's own are numbers, the same ones for other bytes; and a blob that was put whole has none. So if no block has an id
of ours, opening stores one block again, with the same bytes, under an id that begins with a new nonce (:func:`seal`).
A blob of no bytes has no block: of that one, its time of creation is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from layerstore.errors import (
    BackendUnavailableError,
    DriverError,
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore_drivers.azure.blobs import ABSENT, ATTEMPTS
from layerstore_drivers.azure.blocks import BlockIDs, block_size
from layerstore_drivers.azure.found import (
    BLOCK,
    CONTENT,
    PAGE,
    SIZE,
    Found,
    Listed,
    content_of,
    new_mark,
    published,
    reserved,
)
from layerstore_drivers.azure.listing import make_way
from layerstore_drivers.azure.reader import read_range

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.blocks import Block


def take(blobs: Blobs, key: str, first: int) -> tuple[Found | None, str]:
    """Fence every writer of a key, and return the blob that was there, or None, and its ETag now.

    ``first`` is the size of a block at offset 0, in bytes.

    Raises:
        UnsupportedOperationError: it is a page blob, or a folder.
        BackendUnavailableError: others took it a hundred times in between.
    """
    for _ in range(ATTEMPTS):
        found, mark = blobs.look(key), new_mark()
        try:
            return _mark(blobs, key, found, mark, first)
        except (FencedError, PathNotFoundError):
            now = blobs.look(key)
            if now is not None and now.mark == mark:  # only the answer was lost
                return now, now.etag
    raise BackendUnavailableError(key, f"taken over {ATTEMPTS} times while it was opened")


def _mark(blobs: Blobs, key: str, found: Found | None, mark: str, first: int) -> tuple[Found | None, str]:
    if found is None:
        # By a list of no blocks, not as a body of no bytes: Azurite refuses the latter where blocks were staged.
        return None, blobs.commit(key, (), reserved(mark), ABSENT).etag
    if found.is_folder:
        raise UnsupportedOperationError(key, "a folder lies there: the account has a hierarchical namespace")
    if found.kind == PAGE:
        raise UnsupportedOperationError(key, "a page blob of another program's: it can be read, moved and deleted only")
    if found.size is not None and found.blob_size and found.kind == BLOCK:
        found = blobs.with_blocks(key, found)
        if not is_sealed(found):
            return seal(blobs, key, found, mark, first)
    return found, blobs.note(key, found.noted(mark), found.etag)


@dataclass(frozen=True, slots=True)
class _Commit:
    """A request to commit, and the state after it."""

    published: list[Block]
    blocks: list[Block]
    """All that the blob is made of."""
    is_published: bool
    """Whether the commit changes the object."""


class Hold:
    """One writer's hold on a key until it is fenced, and the places in the blob where its blocks can be read."""

    def __init__(self, blobs: Blobs, key: str, found: Found | None, etag: str) -> None:
        """Hold the result of :func:`take`."""
        self.blobs = blobs
        self.key = key
        self.etag = etag
        self.found = found if found and found.size is not None else None
        """The object when the key was taken; None if there was none."""
        self.version = self.found.version if self.found else None
        """The version of the object now; None if there is none."""
        self.now: Found | None = None
        """The blob with our ETag, once it is known from our last commit or check: a move need not look at it again."""
        self.published: list[Block] = []
        """The blocks of the object, once the writer has asked for them."""
        self._placed: list[Block] = []
        self._pending: dict[str, _Commit] = {}

    def check(self) -> None:
        """Make sure that the key is still held.

        Raises:
            FencedError: it is not.
        """
        self._held(self.blobs.find(self.key))

    def check_refused(self) -> None:
        """Make sure that the key is still held, although a request of ours was refused for what lies there.

        A new key is not lost to a folder, or to an object in the place of a folder above: these are only in the way.

        Raises:
            FencedError: it is not.
        """
        now = self.blobs.find(self.key)
        if self.version is not None or (now is not None and not now.is_folder):
            self._held(now)

    def _held(self, now: Found | None) -> Found:
        if now is None or (now.etag != self.etag and not self._recognise(now)):
            raise FencedError(self.key)
        if self.now is None and self.found is not None and self.found.listed is not None:
            self.now = replace(now.with_blocks(self.found.listed), listed=None)
        return now

    def regain(self) -> bool:
        """Reserve the key again if nothing is published and its reservation was removed; return whether that was so.

        With a hierarchical namespace a key that comes to lie below takes the reservation away (``listing``), and may be
        deleted. A writer that was opened and closed in between is then not known of.
        """
        if self.version is not None or not make_way(self.blobs, self.key):
            return False
        self.etag = self.blobs.commit(self.key, (), reserved(new_mark()), ABSENT).etag
        return True

    def blocks(self) -> Listed:
        """Return ids and bytes of the blocks that the blob was made of when the key was taken.

        Raises:
            UnsupportedOperationError: it is not made of blocks that can be written to.
        """
        if self.found is None:
            return ()
        if self.found.kind != BLOCK:
            detail = "an append blob, as another registry's unfinished upload is: it cannot be gone on with here"
            raise UnsupportedOperationError(self.key, f"{detail}, only finished or cancelled")
        return self.found.listed or ()

    def read(self, block: Block) -> bytes:
        """Read a committed block back.

        Raises:
            FencedError: the key is no longer held.
        """
        for _ in range(2):
            if block.at is None:
                break
            try:
                return read_range(self.blobs, self.key, block.at, block.at + block.size, self.etag)
            except (FencedError, PathNotFoundError):
                self.check()  # a commit that was thought to have failed may have moved the block
        raise BackendUnavailableError(self.key, "a block cannot be read back")

    def publish(self, blocks: Sequence[Block]) -> str:
        """Make an object of blocks, and return its version.

        Raises:
            FencedError: the key is no longer held.
        """
        mark, content = new_mark(), _content(blocks)
        self._commit(published(mark, content), mark, _Commit(list(blocks), list(blocks), is_published=True))
        return self.version or ""

    def keep_unseen(self, blocks: Sequence[Block]) -> None:
        """Commit blocks behind those that are published, which may be read back then, and change nothing to see.

        Raises:
            FencedError: the key is no longer held.
        """
        now, mark = self._held(self.blobs.look(self.key)), new_mark()
        every = [*self.published, *blocks]
        notes = now.noted(mark)
        if now.size is not None:
            notes |= {SIZE: str(now.size), CONTENT: _content(every)}
        self._commit(notes, mark, _Commit(self.published, every, is_published=False))

    def _commit(self, metadata: dict[str, str], mark: str, commit: _Commit) -> None:
        """Commit on condition of our ETag; repeat it if an earlier request of ours has happened after all."""
        names = [block.id for block in commit.blocks]
        self._pending[mark] = commit
        for _ in range(2):
            try:
                stored = self.blobs.commit(self.key, names, metadata, self.etag)
            except (FencedError, PathNotFoundError) as refusal:
                if self._is_done(mark, refusal):
                    return
            else:
                size = sum(block.size for block in commit.blocks)
                self._done(Found.read(stored.etag, size, stored.modified, metadata), commit)
                return
        raise FencedError(self.key)

    def _is_done(self, mark: str, refusal: DriverError) -> bool:
        now = self.blobs.find(self.key)
        if now is not None and now.etag == self.etag:
            raise BackendUnavailableError(self.key, f"blocks are gone: {refusal.detail}") from None
        if now is None or not self._recognise(now):
            raise FencedError(self.key) from None
        return now.mark == mark

    def _recognise(self, now: Found) -> bool:
        """Return whether one of our own requests left the blob as it is, and hold it so."""
        commit = self._pending.get(now.mark)
        if commit is not None:
            self._done(now, commit)
        return commit is not None

    def _done(self, now: Found, commit: _Commit) -> None:
        self.etag = now.etag
        self.now = replace(now.with_blocks([(block.id, block.size) for block in commit.blocks]), listed=None)
        if commit.is_published:
            self.version = self.now.version
        self.published = commit.published
        for block in self._placed:
            block.at = None
        place(commit.blocks)
        self._placed = commit.blocks
        self._pending = {}


def _content(blocks: Iterable[Block]) -> str:
    return content_of((block.id, block.size) for block in blocks)


def place(blocks: Iterable[Block]) -> None:
    """Note where blocks are that lie one after the other."""
    at = 0
    for block in blocks:
        block.at = at
        at += block.size


LEAST = 1 << 20
"""Bytes of a block that is stored again, at least, if there are as many: small blocks are for new bytes."""

_OURS = re.compile(r"[0-9a-f]{16}[0-9]+\Z")


def is_sealed(found: Found) -> bool:
    """Return whether a blob, whose blocks are known, has one with an id of ours."""
    believed = found.version != found.etag.strip('"')
    return believed or any(_OURS.match(name) for name, _ in found.listed or ())


def seal(blobs: Blobs, key: str, found: Found, mark: str, first: int) -> tuple[Found, str]:
    """Store one block again, or all bytes if there are no blocks; return the blob after that, and its ETag.

    ``first`` is the size of a block at offset 0, in bytes.

    Raises:
        FencedError, PathNotFoundError: the blob was changed, or is gone.
    """
    size = found.size or 0
    listed = list(found.listed or ()) if sum(length for _, length in found.listed or ()) == size else []
    ids = BlockIDs(frozenset(name for name, _ in listed))
    least = min(range(len(listed)), key=lambda number: listed[number][1], default=0)
    start = sum(length for _, length in listed[:least])
    stop = start + listed[least][1] if listed else size
    made: list[tuple[str, int]] = []
    for begin, end in _cut(start, stop, first):
        made.append((ids.new(), end - begin))
        blobs.stage(key, made[-1][0], read_range(blobs, key, begin, end, found.etag))
    listed[least : least + 1] = made
    done = replace(found, listed=listed, content=content_of(listed), blob_size=size)
    stored = blobs.commit(key, [name for name, _ in listed], done.noted(mark), found.etag, found.settings)
    return done, stored.etag


def _cut(start: int, stop: int, first: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        end = min(stop, start + max(LEAST, block_size(start, first)))
        yield start, end
        start = end

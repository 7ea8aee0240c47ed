"""Having a key: who may publish under it, and how everybody else is told (clauses F1 to F4).

Whoever has a key knows the ETag of its blob, and everything that has to do with fencing changes that ETag: opening a
writer, publishing, putting, moving, deleting. Each such request is conditional on the ETag (``If-Match``), and the
service compares and changes in one step. So of two that know the same ETag one gets through, and the other one learns
it from its refusal, whatever the interleaving and in whatever process. That is the whole fence; no clock is involved.

Opening must change the ETag and nothing that anybody sees. It writes the blob's metadata anew: a new mark, and beside
it the version and the time of the object as they were, which is what ``stat`` and readers tell from then on, as long as
nobody has changed the bytes (``found``, ``sealing``). Publishing notes no version: it is the new ETag. Where there is
no blob, opening makes one of no bytes, noted as being no object: ``stat``, readers and listings pass over it, and a
later writer takes it over as any other. (``If-None-Match: *`` alone would not do: a writer whose key was never touched
could not be told from one whose key came and went.) It stays if its writer is never heard of again; a
delete of the key, or of a prefix, takes it away as it takes everything.

- Two open at once: both have looked and know E0. One gets E1; the other is refused, looks again, and takes E1 over. The
  one that did so last has the key, and the first one's next request is refused.
- One opens while another publishes: if the opening comes first, the commit is refused. If the commit comes first, the
  opening is refused, looks again, and begins with what was published.
- A put over the key, a move onto it or away from it, a delete: all leave another ETag, or none. A blob deleted and made
  anew never has an old ETag again.
- A response is lost and the SDK asks again: what the first request did makes the second one fail. Then the blob has the
  mark of that very request, and it is taken for what it is, a success. If somebody else has changed it since, it has
  not; then the first one did happen, perhaps, but the key is lost either way.
- A commit fails for good (no answer, again and again) and may yet have happened: its mark is kept, and where the next
  request of the writer meets it, the writer goes on from there.
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
    """Fence every writer of a key, and return what is there, None if nothing, and the ETag that the blob has now.

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
            if now is not None and now.mark == mark:  # it is only the answer that was lost
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
    if found.size is not None and found.kind == BLOCK:
        found = blobs.with_blocks(key, found)
        if not is_sealed(found):
            return seal(blobs, key, found, mark, first)
    return found, blobs.note(key, found.noted(mark), found.etag)


@dataclass(frozen=True, slots=True)
class _Commit:
    """A request to commit, and what holds when it has happened."""

    published: list[Block]
    blocks: list[Block]
    """All that the blob is made of."""
    is_published: bool
    """The object is another one then; else it stays what it was."""


class Hold:
    """One writer's hold on a key, until it loses it; and where in the blob its blocks can be read."""

    def __init__(self, blobs: Blobs, key: str, found: Found | None, etag: str) -> None:
        """Hold what :func:`take` has returned."""
        self.blobs = blobs
        self.key = key
        self.etag = etag
        self.found = found if found and found.size is not None else None
        """What was published when the key was taken; None if nothing was."""
        self.version = self.found.version if self.found else None
        """Of what is published now; None if nothing is."""
        self.now: Found | None = None
        """The blob with our ETag, once it is known from our last commit or check: a move need not look at it again."""
        self.published: list[Block] = []
        """The blocks of what is published, once the writer has asked for them (``draft``)."""
        self._placed: list[Block] = []
        self._pending: dict[str, _Commit] = {}

    def check(self) -> None:
        """Make sure that the key is still held.

        Raises:
            FencedError: it is not.
        """
        self._held(self.blobs.find(self.key))

    def _held(self, now: Found | None) -> Found:
        if now is None or (now.etag != self.etag and not self._recognise(now)):
            raise FencedError(self.key)
        if self.now is None and self.found is not None and self.found.listed is not None:
            self.now = replace(now.with_blocks(self.found.listed), listed=None)
        return now

    def regain(self) -> bool:
        """Reserve the key anew, where nothing is published and something had come into its place; tell whether it was.

        With a hierarchical namespace a key that comes to lie below takes the reservation away (``folders``), and may be
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
        """Commit on condition of our ETag; once more if an earlier request of ours turns out to have happened."""
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
        """Tell whether the blob is as one of our own requests has left it, and hold that."""
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
"""Bytes of a piece stored again, where there are as many: small blocks are for what is written, which this is not."""

_OURS = re.compile(r"[0-9a-f]{16}[0-9]+\Z")


def is_sealed(found: Found) -> bool:
    """Tell whether a blob, whose blocks are known, has one with an id that only we choose, or no bytes at all."""
    believed = found.version != found.etag.strip('"')
    return believed or not found.blob_size or any(_OURS.match(name) for name, _ in found.listed or ())


def seal(blobs: Blobs, key: str, found: Found, mark: str, first: int) -> tuple[Found, str]:
    """Store one block again, or all bytes where there are no blocks; return what the blob is then, and its ETag.

    ``first`` is the size of a block at offset 0, in bytes.

    Raises:
        FencedError, PathNotFoundError: the blob is no longer what was found.
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

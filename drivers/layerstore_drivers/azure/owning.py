"""Having a key: who may publish under it, and how everybody else is told (clauses F1 to F4).

Whoever has a key knows the ETag of its blob, and everything that has to do with fencing changes that ETag: opening a
writer, publishing, putting, moving, deleting. Each such request is conditional on the ETag (``If-Match``), and the
service compares and changes in one step. So of two that know the same ETag one gets through, and the other one learns
it from its refusal, whatever the interleaving and in whatever process. That is the whole fence; no clock is involved.

Opening must change the ETag and nothing that anybody sees. It writes the blob's metadata anew: a new mark, and beside
it the version and the time of the object as they were (``found``), which is what ``stat`` and readers tell from then
on. Where there is no blob, opening makes one of no bytes, noted as being no object: ``stat``, readers and listings pass
over it, and a later writer takes it over as any other. (``If-None-Match: *`` alone would not do: a writer whose key was
never touched could not be told from one whose key came and went.) It stays if its writer is never heard of again; a
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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerstore.errors import BackendUnavailableError, DriverError, FencedError, PathNotFoundError
from layerstore_drivers.azure.blobs import ABSENT
from layerstore_drivers.azure.found import SIZE, Found, new_mark, published, reserved
from layerstore_drivers.azure.reader import read_range

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.blocks import Block

ATTEMPTS = 100
"""How often a key is tried to be taken: each refusal means that somebody else got it meanwhile."""


def take(blobs: Blobs, key: str) -> tuple[Found | None, str]:
    """Fence every writer of a key, and return what is there, None if nothing, and the ETag that the blob has now.

    Raises:
        BackendUnavailableError: others took it a hundred times in between.
    """
    for _ in range(ATTEMPTS):
        found, mark = blobs.find(key), new_mark()
        try:
            etag = _mark(blobs, key, found, mark)
        except (FencedError, PathNotFoundError):
            now = blobs.find(key)
            if now is None or now.mark != mark:
                continue
            etag = now.etag
        return found, etag
    raise BackendUnavailableError(key, f"taken over {ATTEMPTS} times while it was opened")


def _mark(blobs: Blobs, key: str, found: Found | None, mark: str) -> str:
    if found is None:
        # By a list of no blocks, not as a body of no bytes: Azurite refuses the latter where blocks were staged.
        return blobs.commit(key, (), reserved(mark), ABSENT)
    return blobs.note(key, found.noted(mark), found.etag)


@dataclass(frozen=True, slots=True)
class _Commit:
    """A request to commit, and what holds when it has happened."""

    version: str | None
    published: list[Block]
    blocks: list[Block]
    """All that the blob is made of."""


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
        self.published: list[Block] = []
        """The blocks of what is published, once the writer has asked for them (``draft``)."""
        self._placed: list[Block] = []
        self._pending: dict[str, _Commit] = {}

    def check(self) -> Found:
        """Make sure that the key is still held, and return what is there.

        Raises:
            FencedError: it is not.
        """
        now = self.blobs.find(self.key)
        if now is None or (now.etag != self.etag and not self._recognise(now)):
            raise FencedError(self.key)
        return now

    def blocks(self) -> list[tuple[str, int]]:
        """Return ids and bytes of the blocks that the blob was made of when the key was taken.

        Raises:
            FencedError: the blob is gone. If it is another one, the first commit will tell.
        """
        if self.found is None or not self.found.blob_size:
            return []
        try:
            return self.blobs.blocks(self.key)
        except PathNotFoundError:
            raise FencedError(self.key) from None

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
        mark = new_mark()
        self._commit(published(mark), mark, _Commit(mark, list(blocks), list(blocks)))
        return mark

    def keep_unseen(self, blocks: Sequence[Block]) -> None:
        """Commit blocks behind those that are published, which may be read back then, and change nothing to see.

        Raises:
            FencedError: the key is no longer held.
        """
        now, mark = self.check(), new_mark()
        notes = now.noted(mark) if now.size is None else {**now.noted(mark), SIZE: str(now.size)}
        self._commit(notes, mark, _Commit(self.version, self.published, [*self.published, *blocks]))

    def _commit(self, metadata: dict[str, str], mark: str, commit: _Commit) -> None:
        """Commit on condition of our ETag; once more if an earlier request of ours turns out to have happened."""
        names = [block.id for block in commit.blocks]
        self._pending[mark] = commit
        for _ in range(2):
            try:
                etag = self.blobs.commit(self.key, names, metadata, self.etag)
            except (FencedError, PathNotFoundError) as refusal:
                if self._is_done(mark, refusal):
                    return
            else:
                self._done(etag, commit)
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
            self._done(now.etag, commit)
        return commit is not None

    def _done(self, etag: str, commit: _Commit) -> None:
        self.etag = etag
        self.version = commit.version
        self.published = commit.published
        for block in self._placed:
            block.at = None
        place(commit.blocks)
        self._placed = commit.blocks
        self._pending = {}


def place(blocks: Iterable[Block]) -> None:
    """Note where blocks are that lie one after the other."""
    at = 0
    for block in blocks:
        block.at = at
        at += block.size

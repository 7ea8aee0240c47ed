"""Writing: into a draft, which a commit makes the object (clauses W1 to W9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from layerstore.driver import Writer
from layerstore.errors import UnsupportedOperationError
from layerstore_drivers.azure.draft import Draft
from layerstore_drivers.azure.staging import Pool, Stager

if TYPE_CHECKING:
    from layerstore_drivers.azure.owning import Hold

T = TypeVar("T")


class AzureWriter(Writer):
    """Stages blocks while it is written to, and commits them when it is flushed."""

    def __init__(self, hold: Hold, pool: Pool, block_size: int) -> None:
        """Write to the key that is held."""
        super().__init__(hold.key, (hold.found.size or 0) if hold.found else 0, hold.version)
        self._hold = hold
        self._block_size = block_size
        self._stager = Stager(pool, lambda name, data: hold.blobs.stage(hold.key, name, data))
        self._draft: Draft | None = None
        self._changed = hold.version is None

    def write_at(self, offset: int, data: memoryview) -> None:
        """Gather the bytes, and stage the blocks that are full."""
        self._persisting(lambda: self._write(offset, data))

    def publish(self) -> str:
        """Commit; if there is nothing new, see that nobody else has done anything.

        Raises:
            FencedError: somebody has.
        """
        return self._persisting(self._publish)

    def _persisting(self, act: Callable[[], T]) -> T:
        """Do something; once more, if another key was in the way and is gone."""
        try:
            return act()
        except UnsupportedOperationError:
            if not self._hold.regain():
                self._hold.check()  # fenced, if another program has put another kind of blob there
                raise
        return act()

    def _write(self, offset: int, data: memoryview) -> None:
        draft = self._drafted()
        self._changed = True
        draft.write(offset, data)

    def _publish(self) -> str:
        if not self._changed:
            self._hold.check()
        else:
            self._drafted().publish()
            self._changed = False
        return self._hold.version or ""

    def release(self) -> None:
        """Forget what was not published: the service drops blocks that nobody commits."""
        stager = getattr(self, "_stager", None)
        if stager:
            stager.forget()
        self._draft = None

    def _drafted(self) -> Draft:
        """Return the draft, as long as the writer; a write that failed half way may have left more."""
        if self._draft is None:
            self._draft = Draft(self._hold, self._stager, self._block_size)
        self._draft.cut(self.size)
        return self._draft

"""A driver of which a scan tells of keys that a writer has taken and never published, at whatever time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from layerstore.driver import Driver, Scanned, Unpublished, Writer
from layerstore_conformance.kit.keys import is_stored
from layerstore_conformance.kit.passing import PassingDriver


class TakingDriver(PassingDriver):
    """Any driver, with keys that are taken; several handles may share them."""

    def __init__(self, inner: Driver, taken: dict[str, datetime]) -> None:
        """Take the times by key; what is deleted is taken no longer, and what is opened is taken now."""
        super().__init__(inner)
        self.taken = taken

    def open_writer(self, key: str) -> Writer:
        """See :meth:`Driver.open_writer`."""
        writer = self.inner.open_writer(key)
        self.taken[key] = datetime.now(UTC)
        return writer

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        self.inner.move(source, target, version=version)
        self.taken.pop(source, None)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        self.inner.delete(key)
        for each in [each for each in self.taken if f"{each}/".startswith(f"{key}/")]:
            del self.taken[each]

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`; what the driver itself tells of taken keys is left out."""
        below, found = f"{prefix}/" if prefix else "", dict[str, Scanned]()
        for key, time in sorted(self.taken.items(), key=lambda each: each[1]):
            if key.startswith(below) and not is_stored(self.inner, key):
                child, slash, _ = key.removeprefix(below).partition("/")
                found[below + child + slash] = Unpublished(below + child + slash, time)
        for each in self.inner.scan(prefix):
            if not isinstance(each, Unpublished):
                found[each if isinstance(each, str) else each.name] = each
        yield from (found[name] for name in sorted(found))

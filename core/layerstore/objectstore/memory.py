"""A service in memory: what a service must do, in a few lines, for the tests of what stands on one."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice
from threading import RLock

from layerstore.errors import FencedError, PathNotFoundError, UnsupportedOperationError
from layerstore.objectstore.service import ABSENT, Got, Limits, Listed, Page, Part


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    metadata: Mapping[str, str]
    modified: datetime

    @property
    def etag(self) -> str:
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()


class MemoryService:
    """Objects in memory. Their ETag is the MD5 of their bytes, as with many a service."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Store nothing yet."""
        self.limits = limits or Limits()
        self.objects: dict[str, _Object] = {}
        self._lock = RLock()

    def get(self, name: str, start: int, stop: int, etag: str | None = None) -> Got:
        """See :meth:`Service.get`."""
        with self._lock:
            found = self._find(name, etag)
        stream = BytesIO(found.data[start:stop])
        return Got(found.etag, len(found.data), found.modified, found.metadata, stream)

    def put(self, name: str, data: bytes, metadata: Mapping[str, str], etag: str | None = None) -> str:
        """See :meth:`Service.put`."""
        with self._lock:
            self._check(name, etag)
            return self._store(name, data, metadata)

    def delete(self, name: str, etag: str | None = None) -> None:
        """See :meth:`Service.delete`."""
        with self._lock:
            self._check(name, etag)
            self.objects.pop(name, None)

    def delete_many(self, names: Sequence[str]) -> None:
        """See :meth:`Service.delete_many`."""
        with self._lock:
            for name in names:
                self.objects.pop(name, None)

    def list(self, prefix: str, after: str, most: int, *, deep: bool) -> Page:
        """See :meth:`Service.list`."""
        with self._lock:
            entries = list(islice(_entries(sorted(self.objects), prefix, after, deep=deep), most + 1))
            page = entries[:most]
            found = [Listed(name, len(each.data), each.modified) for name in page if (each := self.objects.get(name))]
        prefixes = [entry for entry in page if entry not in {each.name for each in found}]
        return Page(found, prefixes, page[-1] if len(entries) > most else "")

    def compose(self, name: str, parts: Sequence[Part], metadata: Mapping[str, str]) -> None:
        """See :meth:`Service.compose`.

        Raises:
            UnsupportedOperationError: too many parts, or one that is too small or too large.
        """
        sizes = [part.stop - part.start for part in parts]
        small = any(size < self.limits.least_part for size in sizes[:-1])
        if small or len(parts) > self.limits.most_parts or max(sizes) > self.limits.most_copied:
            raise UnsupportedOperationError(name, f"these are no parts: {sizes[:3]}, {len(sizes)} of them")
        with self._lock:
            self._store(name, b"".join(self._find(p.name, p.etag).data[p.start : p.stop] for p in parts), metadata)

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def _store(self, name: str, data: bytes, metadata: Mapping[str, str]) -> str:
        self.objects[name] = _Object(data, dict(metadata), datetime.now(UTC))
        return self.objects[name].etag

    def _find(self, name: str, etag: str | None) -> _Object:
        found = self.objects.get(name)
        if found is None:
            raise PathNotFoundError(name)
        self._check(name, etag)
        return found

    def _check(self, name: str, etag: str | None) -> None:
        found = self.objects.get(name)
        if etag is not None and etag != (found.etag if found else ABSENT):
            raise FencedError(name)


def _entries(names: list[str], prefix: str, after: str, *, deep: bool) -> Iterator[str]:
    """Yield the names and, unless ``deep``, in place of those that lie deeper their prefixes; each once, in order."""
    at, last = bisect_left(names, max(prefix, after)), after
    while at < len(names) and names[at].startswith(prefix):
        name = names[at]
        entry = name if deep else name[: name.find("/", len(prefix)) + 1] or name
        if entry > last:
            yield entry
            last = entry
        at = at + 1 if entry == name else bisect_left(names, f"{entry[:-1]}0", at)  # 0 follows the slash

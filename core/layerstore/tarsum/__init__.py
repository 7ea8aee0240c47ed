"""The tarsum of an archive, by which layers were named before they were named by their digest.

Version 1, label ``tarsum.v1+sha256``: each entry's header fields and content are hashed, the sums are sorted, and the
sorted sums, as hex, are hashed. The formula has changed, and the label has not. Both formulas are computed here, in one
pass:

* ``original`` is the one of Docker and its registry, until tarsums were given up in 2015 (Go 1.2 to 1.5);
* ``current`` is the one of moby since its a422774e59 (2018) and Go 1.11: without the values of uname and gname, with a
  typeflag of NUL taken for a regular file's or a directory's, and with device numbers on every entry that has them.

**A tarsum is no content digest.** Archives with the same tarsum may differ in the order of their entries, in times, in
bytes after the end marker, in the padding of the last file (which may be cut off), and in the place where the name of
an extended attribute ends and its value begins.

Archives are read as Go's archive/tar reads them: v7, ustar, star, GNU and PAX; names are bytes. An archive is refused
if versions of Go read it differently, since it has no tarsum on which all agree, or if they refuse it: global PAX
headers, sparse files, content on a link, device or directory, negative numbers, GNU headers with access times, an empty
PAX value for a field, extension headers that contradict each other, and, among more than six entries, a repeated path
whose sums descend. Hostile sizes are refused, too: more than 1 MiB of extension header, more than 1,000,000 entries.
Times are ignored.

Facts from moby's ``pkg/tarsum`` (tarsum.go, versioning.go, fileinfosums.go, tarsum_spec.md), at a422774e59 and before,
and from ``archive/tar`` (reader.go), as Docker vendored it in 2014 and as in Go 1.19.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from layerstore.errors import InvalidArchiveError
from layerstore.tarsum.tarentries import Entry, Readable, RefusalError, Source, entries

ENTRIES_LIMIT: Final = 1_000_000
"""The most entries that an archive may have; each takes 80 bytes until the end, and some 230 while they are sorted."""

_SUM: Final = 32  # bytes of a SHA-256
_INSERTION_LIMIT: Final = 6  # entries: Go before 1.6 sorts up to 7 by insertion, 1.6 to 1.18 up to 6, then up to 12
_NAME: Final = 16  # bytes of a keyed hash, to tell paths apart


class TarSums(NamedTuple):
    """The tarsums of one archive, each 64 hex digits in lower case."""

    current: str
    original: str


def tarsums(stream: Readable) -> TarSums:
    """Compute both tarsums of the archive that begins at the stream's position.

    The stream is read up to the archive's end marker and not closed; a stream without an entry has the tarsum of
    nothing. Memory is bounded: less than 1 MiB, at worst 16 MiB for extension headers, and that of ENTRIES_LIMIT.

    Raises:
        InvalidArchiveError: it is no tar archive, or a truncated one, or refused (see the module's documentation).
    """
    source = Source(stream)
    table = _Table()
    try:
        for entry in entries(source):
            table.add(entry, source.content(entry.size))
        return table.totals()
    except RefusalError as refusal:
        raise InvalidArchiveError(source.offset, str(refusal)) from None


class _Table:
    """The sums of all entries, in the order of the archive."""

    def __init__(self) -> None:
        self._current = bytearray()
        self._original = bytearray()
        self._names = bytearray()
        self._key = os.urandom(16)  # so that no archive can be made in which two paths look the same

    def add(self, entry: Entry, content: Iterator[bytes]) -> None:
        """Sum an entry by both formulas; if they hash the same bytes, only once."""
        if len(self._names) == _NAME * ENTRIES_LIMIT:
            raise RefusalError(f"more than {ENTRIES_LIMIT} entries")
        current, original = entry.current(), entry.original()
        hashers = [hashlib.sha256(head) for head in ((current,) if current == original else (current, original))]
        for chunk in content:
            for hasher in hashers:
                hasher.update(chunk)
        self._current += hashers[0].digest()
        self._original += hashers[-1].digest()
        self._names += hashlib.blake2b(_clean(entry.name), digest_size=_NAME, key=self._key).digest()

    def totals(self) -> TarSums:
        """Return the tarsums that the sums make."""
        repeated = self._repeated()
        return TarSums(_total(self._current, repeated), _total(self._original, repeated))

    def _repeated(self) -> list[list[int]]:
        """Return the positions of the entries of each path that has more than one, in order."""
        first: dict[bytes, int] = {}
        groups: dict[int, list[int]] = {}
        for position, name in enumerate(_split(self._names, _NAME)):
            leader = first.setdefault(name, position)
            if leader != position:
                groups.setdefault(leader, [leader]).append(position)
        return list(groups.values())


def _clean(name: bytes) -> bytes:
    """Return the path by which moby identifies entries: below the root, without empty, ``.`` and ``..`` segments."""
    path: list[bytes] = []
    for segment in name.split(b"/"):
        if segment == b"..":
            del path[-1:]
        elif segment not in (b"", b"."):
            path.append(segment)
    return b"/".join(path)


def _split(column: bytearray, size: int) -> Iterator[bytes]:
    return (bytes(column[at : at + size]) for at in range(0, len(column), size))


def _total(column: bytearray, repeated: Sequence[Sequence[int]]) -> str:
    total = hashlib.sha256()
    for digest in _sort(list(_split(column, _SUM)), repeated):
        total.update(digest.hex().encode())
    return total.hexdigest()


def _sort(sums: list[bytes], repeated: Sequence[Sequence[int]]) -> list[bytes]:
    """Sort as moby does: two entries of one path by position, any other two by their sums.

    If a path's sums descend and another path's sum lies between them, that defines no order. Go's result then depends
    on its version, except for up to six entries, which all versions sort by insertion.
    """
    if not any(sums[a] > sums[b] for group in repeated for a, b in pairwise(group)):
        return sorted(sums)
    if len(sums) > _INSERTION_LIMIT:
        raise RefusalError(f"a repeated path whose sums descend, among more than {_INSERTION_LIMIT} entries")
    return _insert(sums, repeated)


def _insert(sums: list[bytes], repeated: Sequence[Sequence[int]]) -> list[bytes]:
    path = {position: group[0] for group in repeated for position in group}
    order: list[int] = []
    for position in range(len(sums)):
        at = len(order)
        while at and path.get(position, -1) != path.get(order[at - 1]) and sums[position] < sums[order[at - 1]]:
            at -= 1
        order.insert(at, position)
    return [sums[position] for position in order]

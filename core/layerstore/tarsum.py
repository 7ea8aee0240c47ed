"""The tarsum of an archive: what layers were named by before they were named by their digest.

Version 1, label ``tarsum.v1+sha256``: each entry's header fields and content are hashed, the sums are sorted, and the
sorted sums, as hex, are hashed. The formula changed under its label. Both are computed here, in one pass:

* ``original`` is what Docker and its registry computed until tarsums were given up in 2015 (Go 1.2 to 1.5);
* ``current`` is what moby computes since its a422774e59 (2018) and Go 1.11: without the values of uname and gname, with
  a typeflag of NUL taken for a regular file's or a directory's, and with device numbers on whatever has them.

**A tarsum is no content digest.** Archives with the same tarsum may differ in the order of their entries, in times, in
what follows the end marker, in the padding of the last file (which may be cut off), and in where the name of an
extended attribute ends and its value begins.

Archives are read as Go's archive/tar reads them: v7, ustar, star, GNU and PAX; names are bytes. What Go's versions read
differently has no tarsum that all agree on, and is refused, as is what they refuse: global PAX headers, sparse files,
content on a link, device or directory, negative numbers, GNU headers with access times, an empty PAX value for a field,
extension headers that contradict each other, and, among more than six entries, a repeated path whose sums descend. So
are hostile sizes: more than 1 MiB of extension header, more than 1,000,000 entries. Times are not looked at.

Facts from moby's ``pkg/tarsum`` (tarsum.go, versioning.go, fileinfosums.go, tarsum_spec.md), at a422774e59 and before,
and from ``archive/tar`` (reader.go), as Docker vendored it in 2014 and as in Go 1.19.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

from layerstore.errors import InvalidArchiveError

EXTENSION_LIMIT: Final = 1 << 20
"""The most bytes that a PAX header or a GNU long name may have; Go's limit since 1.19."""

ENTRIES_LIMIT: Final = 1_000_000
"""The most entries that an archive may have; each takes 80 bytes until the end, and some 230 while they are sorted."""

_BLOCK: Final = 512  # bytes (POSIX ustar)
_ZEROS: Final = bytes(_BLOCK)
_CHUNK: Final = 256 * 1024  # bytes of content in memory at a time
_SUM: Final = 32  # bytes of a SHA-256
_INSERTION_LIMIT: Final = 6  # entries: Go before 1.6 sorts up to 7 by insertion, 1.6 to 1.18 up to 6, then up to 12
_NAME: Final = 16  # bytes of a keyed hash, to tell paths apart
_INT64_MAX: Final = (1 << 63) - 1

_OCTAL: Final = re.compile(rb"[0-7]*\Z")
_RECORD: Final = re.compile(rb"([0-9]{1,19}) ")
_DECIMAL: Final = re.compile(rb"[0-9]{1,19}\Z")
_XATTR: Final = b"SCHILY.xattr."


class Readable(Protocol):
    """A stream of bytes: ``read`` gives at most ``size`` bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes."""


class TarSums(NamedTuple):
    """The tarsums of one archive, each 64 hex digits in lower case."""

    current: str
    original: str


def tarsums(stream: Readable) -> TarSums:
    """Compute both tarsums of the archive that the stream holds from where it stands.

    The stream is read up to the archive's end marker and not closed; a stream without an entry has the tarsum of
    nothing. Memory is bounded: less than 1 MiB, at worst 16 MiB for extension headers, and what ENTRIES_LIMIT says.

    Raises:
        InvalidArchiveError: no tar archive, a truncated one, or one that is refused (see the module's documentation).
    """
    source = _Source(stream)
    table = _Table()
    try:
        for entry in _entries(source):
            table.add(entry, source.content(entry.size))
        return table.totals()
    except _RefusalError as refusal:
        raise InvalidArchiveError(source.offset, str(refusal)) from None


class _RefusalError(Exception):
    """Why an archive is refused; the offset is added on the way out."""


class _Source:
    """The stream, in the units of a tar archive."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.offset = 0

    def header(self) -> bytes | None:
        """Read a verified header block; None at the end, be it marked by two zero blocks, or one, or none."""
        block = self._up_to(_BLOCK)
        if block == _ZEROS:
            if self._up_to(_BLOCK) not in (b"", _ZEROS):
                raise _RefusalError("a single zero block before other data")
            return None
        if not block:
            return None
        if len(block) < _BLOCK:
            raise _RefusalError("truncated header")
        _verify(block)
        return block

    def extension(self, size: int) -> bytes:
        """Read what an extension header holds, and its padding."""
        if size > EXTENSION_LIMIT:
            raise _RefusalError(f"extension header of {size} bytes, at most {EXTENSION_LIMIT} are read")
        body = self._up_to(size)
        if len(body) < size:
            raise _RefusalError("truncated extension header")
        self._pad(size)
        return body

    def content(self, size: int) -> Iterator[bytes]:
        """Read an entry's content piece by piece, and its padding."""
        left = size
        while left:
            chunk = self._read(min(left, _CHUNK))
            if not chunk:
                raise _RefusalError(f"truncated content, {left} of {size} bytes are missing")
            left -= len(chunk)
            yield chunk
        self._pad(size)

    def _pad(self, size: int) -> None:
        self._up_to(-size % _BLOCK)  # may be cut off: Go takes an end there for the archive's

    def _up_to(self, size: int) -> bytes:
        """Read ``size`` bytes from a stream that may give fewer at a time; fewer only at its end."""
        data = bytearray()
        while len(data) < size and (more := self._read(size - len(data))):
            data += more
        return bytes(data)

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.offset += len(data)
        return data


@dataclass(slots=True)
class _Entry:
    """The fields that are summed; text as bytes, NUL for a typeflag of NUL."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    typeflag: bytes
    linkname: bytes
    uname: bytes
    gname: bytes
    devices: tuple[int, int]
    xattrs: dict[bytes, bytes]

    def current(self) -> bytes:
        """Return what the current formula hashes of the header."""
        return self._fields(self.modern_typeflag(), b"", b"", self.devices)

    def original(self) -> bytes:
        """Return what the original formula hashes of the header."""
        devices = self.devices if self.typeflag in b"34" else (0, 0)
        return self._fields(self.typeflag, self.uname, self.gname, devices)

    def modern_typeflag(self) -> bytes:
        if self.typeflag != b"\0":
            return self.typeflag
        return b"5" if self.name.endswith(b"/") else b"0"

    def _fields(self, typeflag: bytes, uname: bytes, gname: bytes, devices: tuple[int, int]) -> bytes:
        numbers = b"mode%duid%dgid%dsize%d" % (self.mode, self.uid, self.gid, self.size)
        fields = [b"name", self.name, numbers, b"typeflag", typeflag, b"linkname", self.linkname]
        fields += [b"uname", uname, b"gname", gname, b"devmajor%ddevminor%d" % devices]
        for key, value in sorted(self.xattrs.items()):
            fields += [key, value]
        return b"".join(fields)


def _entries(source: _Source) -> Iterator[_Entry]:
    """Read entry after entry; the caller takes an entry's content before it asks for the next."""
    pending: dict[bytes, bytes] = {}
    while block := source.header():
        typeflag = block[156:157]
        if typeflag in b"xLK":
            # Go's readers disagree on which of two wins, and on what a GNU header after a PAX one is.
            if typeflag in pending or b"x" in pending:
                raise _RefusalError("an extension header after one that it contradicts")
            pending[typeflag] = source.extension(_number(block[124:136]))
        elif typeflag == b"g":
            raise _RefusalError("a global PAX header")
        else:
            yield _entry(block, pending)
            pending = {}
    if pending:
        raise _RefusalError("an extension header without an entry")


def _entry(block: bytes, pending: dict[bytes, bytes]) -> _Entry:
    """Make an entry of its header and the extension headers before it."""
    typeflag = block[156:157]
    records = _records(pending.get(b"x", b""))
    if b"L" in pending:
        records[b"path"] = _text(pending[b"L"])
    if b"K" in pending:
        records[b"linkpath"] = _text(pending[b"K"])
    if typeflag == b"S" or any(key.startswith(b"GNU.sparse.") for key in records):
        raise _RefusalError("a sparse file")
    uname, gname, devices, prefix = _ustar(block)
    entry = _Entry(
        name=_field(records, b"path", prefix + _text(block[:100])),
        mode=_number(block[100:108]),
        uid=_decimal(records, b"uid", _number(block[108:116])),
        gid=_decimal(records, b"gid", _number(block[116:124])),
        size=_decimal(records, b"size", _number(block[124:136])),
        typeflag=typeflag,
        linkname=_field(records, b"linkpath", _text(block[157:257])),
        uname=_field(records, b"uname", uname),
        gname=_field(records, b"gname", gname),
        devices=devices,
        xattrs={key[len(_XATTR) :]: value for key, value in records.items() if key.startswith(_XATTR)},
    )
    if entry.size and entry.modern_typeflag() in b"123456":
        raise _RefusalError("content on a link, device, directory or fifo")
    return entry


def _ustar(block: bytes) -> tuple[bytes, bytes, tuple[int, int], bytes]:
    """Return the fields that v7 headers lack: uname, gname, device numbers, and the name's prefix with its slash."""
    posix, gnu = block[257:263] == b"ustar\0", block[257:265] == b"ustar  \0"
    if not posix and not gnu:
        return b"", b"", (0, 0), b""
    star = posix and block[508:512] == b"tar\0"
    prefix = _text(block[345:476] if star else block[345:500])
    if prefix and gnu:
        raise _RefusalError("a GNU header with access times, or with a prefix")
    devices = _number(block[329:337]), _number(block[337:345])
    return _text(block[265:297]), _text(block[297:329]), devices, prefix + b"/" if prefix else b""


def _verify(block: bytes) -> None:
    """Hold a header block to its checksum, with bytes taken as unsigned or, as some did, as signed."""
    given = _octal(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    if given != unsigned and given != unsigned - 256 * sum(byte > 127 for byte in rest):
        raise _RefusalError("a header with a wrong checksum")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Read a number field: octal, or binary where the first bit is set."""
    if not field[0] & 0x80:
        return _octal(field)
    value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:])
    if field[0] & 0x40 or value > _INT64_MAX:
        raise _RefusalError("a negative or huge number")
    return value


def _octal(field: bytes) -> int:
    digits = _text(field.strip(b" \0"))
    if not _OCTAL.match(digits):
        raise _RefusalError("a number that is not octal")
    return int(digits or b"0", 8)


def _records(body: bytes) -> dict[bytes, bytes]:
    """Read the records of a PAX header, each ``LENGTH KEY=VALUE`` and a newline; the last of a key counts."""
    records = {}
    start = 0
    while start < len(body):
        match = _RECORD.match(body, start)
        end = start + int(match[1]) if match else 0
        if not match or not match.end() < end <= len(body) or body[end - 1] != 0x0A:
            raise _RefusalError("a malformed PAX record")
        key, equals, value = body[match.end() : end - 1].partition(b"=")
        if not key or not equals or b"\0" in key:
            raise _RefusalError("a PAX record without a key")
        records[key] = value
        start = end
    return records


def _field(records: dict[bytes, bytes], key: bytes, default: bytes) -> bytes:
    value = records.get(key, default)
    if key in records and (not value or b"\0" in value):
        raise _RefusalError(f"an empty {key.decode()}, or one with a NUL, in an extension header")
    return value


def _decimal(records: dict[bytes, bytes], key: bytes, default: int) -> int:
    if key not in records:
        return default
    value = int(records[key]) if _DECIMAL.match(records[key]) else _INT64_MAX + 1
    if value > _INT64_MAX:
        raise _RefusalError(f"a PAX {key.decode()} that is no number, negative or huge")
    return value


class _Table:
    """The sums of all entries, in the order of the archive."""

    def __init__(self) -> None:
        self._current = bytearray()
        self._original = bytearray()
        self._names = bytearray()
        self._key = os.urandom(16)  # no archive can be made to have two paths taken for one

    def add(self, entry: _Entry, content: Iterator[bytes]) -> None:
        """Sum an entry under both formulas: at the price of one, where they hash the same."""
        if len(self._names) == _NAME * ENTRIES_LIMIT:
            raise _RefusalError(f"more than {ENTRIES_LIMIT} entries")
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
    """Return the path that moby tells entries apart by: below the root, without empty, ``.`` and ``..`` segments."""
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

    That is no order where a path's sums descend and another's lies between. What Go makes of it depends on its version,
    but for up to six entries, which all sort by insertion.
    """
    if not any(sums[a] > sums[b] for group in repeated for a, b in pairwise(group)):
        return sorted(sums)
    if len(sums) > _INSERTION_LIMIT:
        raise _RefusalError(f"a repeated path whose sums descend, among more than {_INSERTION_LIMIT} entries")
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

"""The entries of a tar archive, read in one pass and bounded memory, as Go's archive/tar reads them.

v7, ustar, star, GNU and PAX; names are bytes. Archives that versions of Go read differently, or refuse, are refused:
see :mod:`layerstore.tarsum`, which uses the entries.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

EXTENSION_LIMIT: Final = 1 << 20
"""The most bytes that a PAX header or a GNU long name may have; Go's limit since 1.19."""

_BLOCK: Final = 512  # bytes (POSIX ustar)
_ZEROS: Final = bytes(_BLOCK)
_CHUNK: Final = 256 * 1024  # bytes of content in memory at a time
_INT64_MAX: Final = (1 << 63) - 1

_OCTAL: Final = re.compile(rb"[0-7]*\Z")
_RECORD: Final = re.compile(rb"([0-9]{1,19}) ")
_DECIMAL: Final = re.compile(rb"[0-9]{1,19}\Z")
_XATTR: Final = b"SCHILY.xattr."


class Readable(Protocol):
    """A stream of bytes: ``read`` returns at most ``size`` bytes, and no bytes only at the end."""

    def read(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes."""


class RefusalError(Exception):
    """The reason why an archive is refused; the caller adds the offset."""


class Source:
    """The stream, in the units of a tar archive."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.offset = 0

    def header(self) -> bytes | None:
        """Read and verify a header block; None at the end, which two zero blocks may mark, or one, or none."""
        block = self._up_to(_BLOCK)
        if block == _ZEROS:
            if self._up_to(_BLOCK) not in (b"", _ZEROS):
                raise RefusalError("a single zero block before other data")
            return None
        if not block:
            return None
        if len(block) < _BLOCK:
            raise RefusalError("truncated header")
        _verify(block)
        return block

    def extension(self, size: int) -> bytes:
        """Read the body of an extension header, and its padding."""
        if size > EXTENSION_LIMIT:
            raise RefusalError(f"extension header of {size} bytes, at most {EXTENSION_LIMIT} are read")
        body = self._up_to(size)
        if len(body) < size:
            raise RefusalError("truncated extension header")
        self._pad(size)
        return body

    def content(self, size: int) -> Iterator[bytes]:
        """Read an entry's content piece by piece, and its padding."""
        left = size
        while left:
            chunk = self._read(min(left, _CHUNK))
            if not chunk:
                raise RefusalError(f"truncated content, {left} of {size} bytes are missing")
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
class Entry:
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
        """Return the bytes of the header that the current formula hashes."""
        return self._fields(self.modern_typeflag(), b"", b"", self.devices)

    def original(self) -> bytes:
        """Return the bytes of the header that the original formula hashes."""
        devices = self.devices if self.typeflag in b"34" else (0, 0)
        return self._fields(self.typeflag, self.uname, self.gname, devices)

    def modern_typeflag(self) -> bytes:
        """Return the typeflag with NUL taken for a directory's or a regular file's."""
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


def entries(source: Source) -> Iterator[Entry]:
    """Read entry after entry; the caller takes an entry's content before it asks for the next."""
    pending: dict[bytes, bytes] = {}
    while block := source.header():
        typeflag = block[156:157]
        if typeflag in b"xLK":
            # Go's readers disagree on which of two wins, and on what a GNU header after a PAX one is.
            if typeflag in pending or b"x" in pending:
                raise RefusalError("an extension header after one that it contradicts")
            pending[typeflag] = source.extension(_number(block[124:136]))
        elif typeflag == b"g":
            raise RefusalError("a global PAX header")
        else:
            yield _entry(block, pending)
            pending = {}
    if pending:
        raise RefusalError("an extension header without an entry")


def _entry(block: bytes, pending: dict[bytes, bytes]) -> Entry:
    """Make an entry from its header and the extension headers before it."""
    typeflag = block[156:157]
    records = _records(pending.get(b"x", b""))
    if b"L" in pending:
        records[b"path"] = _text(pending[b"L"])
    if b"K" in pending:
        records[b"linkpath"] = _text(pending[b"K"])
    if typeflag == b"S" or any(key.startswith(b"GNU.sparse.") for key in records):
        raise RefusalError("a sparse file")
    uname, gname, devices, prefix = _ustar(block)
    entry = Entry(
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
        raise RefusalError("content on a link, device, directory or fifo")
    return entry


def _ustar(block: bytes) -> tuple[bytes, bytes, tuple[int, int], bytes]:
    """Return the fields that v7 headers lack: uname, gname, device numbers, and the name's prefix with its slash."""
    posix, gnu = block[257:263] == b"ustar\0", block[257:265] == b"ustar  \0"
    if not posix and not gnu:
        return b"", b"", (0, 0), b""
    star = posix and block[508:512] == b"tar\0"
    prefix = _text(block[345:476] if star else block[345:500])
    if prefix and gnu:
        raise RefusalError("a GNU header with access times, or with a prefix")
    devices = _number(block[329:337]), _number(block[337:345])
    return _text(block[265:297]), _text(block[297:329]), devices, prefix + b"/" if prefix else b""


def _verify(block: bytes) -> None:
    """Check the checksum of a header block, with bytes as unsigned or, as some programs wrote it, as signed."""
    given = _octal(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    if given != unsigned and given != unsigned - 256 * sum(byte > 127 for byte in rest):
        raise RefusalError("a header with a wrong checksum")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Read a number field: octal, or binary if the first bit is set."""
    if not field[0] & 0x80:
        return _octal(field)
    value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:])
    if field[0] & 0x40 or value > _INT64_MAX:
        raise RefusalError("a negative or huge number")
    return value


def _octal(field: bytes) -> int:
    digits = _text(field.strip(b" \0"))
    if not _OCTAL.match(digits):
        raise RefusalError("a number that is not octal")
    return int(digits or b"0", 8)


def _records(body: bytes) -> dict[bytes, bytes]:
    """Read the records of a PAX header, each ``LENGTH KEY=VALUE`` and a newline; the last of a key counts."""
    records = {}
    start = 0
    while start < len(body):
        match = _RECORD.match(body, start)
        end = start + int(match[1]) if match else 0
        if not match or not match.end() < end <= len(body) or body[end - 1] != 0x0A:
            raise RefusalError("a malformed PAX record")
        key, equals, value = body[match.end() : end - 1].partition(b"=")
        if not key or not equals or b"\0" in key:
            raise RefusalError("a PAX record without a key")
        records[key] = value
        start = end
    return records


def _field(records: dict[bytes, bytes], key: bytes, default: bytes) -> bytes:
    value = records.get(key, default)
    if key in records and (not value or b"\0" in value):
        raise RefusalError(f"an empty {key.decode()}, or one with a NUL, in an extension header")
    return value


def _decimal(records: dict[bytes, bytes], key: bytes, default: int) -> int:
    if key not in records:
        return default
    value = int(records[key]) if _DECIMAL.match(records[key]) else _INT64_MAX + 1
    if value > _INT64_MAX:
        raise RefusalError(f"a PAX {key.decode()} that is no number, negative or huge")
    return value

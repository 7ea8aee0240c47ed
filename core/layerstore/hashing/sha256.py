"""SHA-256 with a state that can be exported, stored, and used to go on hashing in another process.

:mod:`hashlib` does not export its state. ``SHA256_Init``, ``SHA256_Update`` and ``SHA256_Final`` of libcrypto keep
theirs in a public struct; called through :mod:`ctypes` they are as fast, and release the GIL. If no libcrypto is found,
or the one found fails its self-test, :mod:`hashlib` does the hashing, and no state can be exported: :func:`exportable`
returns False. The environment variable ``LAYERSTORE_HASH`` selects: ``auto`` (the default), ``libcrypto`` or
``hashlib``. It is read when the first hasher is made.

An exported state is 108 bytes in the form of ``MarshalBinary`` of Go's ``crypto/sha256``, so a registry written in Go
can go on from a state of layerstore's, and layerstore from its:

====== ====== =====================================================================================
offset bytes  what
====== ====== =====================================================================================
0      4      ``sha`` and the byte 3
4      32     the chaining value: eight 32-bit words, big-endian; the initial one before 64 bytes
36     64     the bytes since the last whole block (length modulo 64 of them), then zeros
100    8      the length hashed so far, in bytes, big-endian
====== ====== =====================================================================================

>>> hasher = new()
>>> hasher.update(b"a layer, ")
>>> if exportable():
...     hasher = restore(hasher.export())
>>> hasher.update(b"in two parts")
>>> hasher.hexdigest() == hashlib.sha256(b"a layer, in two parts").hexdigest()
True
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, Self

if TYPE_CHECKING:
    import ctypes

    from typing_extensions import Buffer

CHOICES: Final = ("auto", "libcrypto", "hashlib")
"""The values that ``LAYERSTORE_HASH`` may have."""

_MAGIC: Final = b"sha\x03"
_STATE: Final = struct.Struct(">4s8I64sQ")
_INITIAL: Final = (  # FIPS 180-4, section 5.3.3
    *(0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A),
    *(0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19),
)
_LENGTH_LIMIT: Final = 1 << 61  # bytes: SHA-256 counts 2**64 bits (FIPS 180-4, section 1)

# SHA256_CTX of OpenSSL's public sha.h: h[8], Nl and Nh (the length in bits), data[64], num (bytes in data), md_len.
# The same in LibreSSL, BoringSSL and AWS-LC.
_CONTEXT: Final = struct.Struct("=8I2I64s2I")

# Py_buffer, in words the size of a pointer: buf is the first, len the third (stable ABI since 3.11). It takes eleven
# words where a pointer has four bytes, and ten where it has eight.
_PY_BUFFER_WORDS: Final = 11
_PYBUF_SIMPLE: Final = 0  # readable, contiguous, as plain bytes

_COPIED: Final = 16 * 1024  # bytes: asking ctypes where a buffer lies costs 2 us, copying so many less than 1 us

# Versioned names only: macOS kills a process that loads an unversioned libcrypto.dylib. Nor is the name asked of
# ctypes.util.find_library, which answers with just that one there, and on Linux runs ldconfig and a compiler.
_SONAMES: Final = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.3.dylib", "libcrypto.1.1.dylib")

# Errors of loading, or of the self-test, with a library that is missing, old, foreign or wrong; and PyPy's pythonapi.
_UNUSABLE: Final = (ImportError, OSError, AttributeError, TypeError, ValueError)


class Hasher(Protocol):
    """An unfinished SHA-256. One thread at a time may use it; after a fork, each side has its own copy."""

    @property
    def exportable(self) -> bool:
        """Whether :meth:`export` works."""

    def update(self, data: Buffer) -> None:
        """Hash the bytes of any C-contiguous buffer.

        A large one is hashed in place, with the GIL released.

        Raises:
            TypeError: ``data`` is no buffer.
            BufferError: ``data`` is not C-contiguous.
        """

    def copy(self) -> Self:
        """Return an independent hasher with the same state."""

    def digest(self) -> bytes:
        """Return the 32-byte digest of the bytes hashed so far; the hasher can go on."""

    def hexdigest(self) -> str:
        """Return the digest as 64 hex digits in lower case; the hasher can go on."""

    def export(self) -> bytes:
        """Return the state, 108 bytes in the form of this module's documentation; the hasher can go on.

        Raises:
            RuntimeError: this hasher is not exportable.
        """


def new() -> Hasher:
    """Make a hasher that has hashed nothing.

    Raises:
        ValueError: ``LAYERSTORE_HASH`` has an invalid value.
        RuntimeError: ``LAYERSTORE_HASH`` is ``libcrypto``, and no libcrypto is usable.
    """
    return _backend().new()


def restore(state: bytes) -> Hasher:
    """Make a hasher that goes on from an exported state.

    Raises:
        ValueError: the state is damaged, or no state at all; and as :func:`new`.
        RuntimeError: hashers are not exportable here (see :func:`exportable`); and as :func:`new`.
    """
    words, block, length = _parse(state)
    return _backend().restore(words, block, length)


def exportable() -> bool:
    """Return whether hashers in this process are exportable; raises as :func:`new` does."""
    return _backend().exportable


def _parse(state: bytes) -> tuple[tuple[int, ...], bytes, int]:
    """Return a state's words, block and length; refuse a state that no hasher exports."""
    if len(state) != _STATE.size:
        raise ValueError(f"not a SHA-256 state: {len(state)} bytes instead of {_STATE.size}")
    magic, *words, block, length = _STATE.unpack(state)
    if magic != _MAGIC:
        raise ValueError(f"not a SHA-256 state: it begins with {magic!r} instead of {_MAGIC!r}")
    if length >= _LENGTH_LIMIT:
        raise ValueError(f"damaged SHA-256 state: {length} bytes are more than SHA-256 counts")
    if any(block[length % 64 :]):
        raise ValueError("damaged SHA-256 state: bytes after the end of the last block")
    if length < 64 and tuple(words) != _INITIAL:
        raise ValueError("damaged SHA-256 state: a chaining value before the first whole block")
    return tuple(words), block, length


class _LibcryptoHasher:
    """A context of libcrypto's, in memory of our own."""

    __slots__ = ("_at", "_context", "_library")

    exportable: ClassVar[bool] = True

    def __init__(self, library: _Libcrypto, context: ctypes.Array[ctypes.c_uint32]) -> None:
        self._library = library
        self._context = context
        self._at = library.byref(context)

    def update(self, data: Buffer) -> None:
        if type(data) is not bytes:  # a subclass's len() may lie
            view = memoryview(data)
            if view.nbytes > _COPIED or not view.c_contiguous:
                self._library.update_from(self._at, data)
                return
            data = view.tobytes()
        self._library.update(self._at, data, len(data))

    def copy(self) -> Self:
        return type(self)(self._library, self._library.context_type.from_buffer_copy(self._context))

    def digest(self) -> bytes:
        return self._library.digest(self._context)

    def hexdigest(self) -> str:
        return self.digest().hex()

    def export(self) -> bytes:
        *words, low, high, block, filled, _ = _CONTEXT.unpack(self._context)
        # OpenSSL zeroes the rest of the block, but promises it nowhere: a state with old bytes there would be refused.
        return _STATE.pack(_MAGIC, *words, block[:filled], (high << 32 | low) >> 3)


class _Libcrypto:
    """The three functions, out of one library that is loaded into this process."""

    exportable: ClassVar[bool] = True

    def __init__(self, name: str | None) -> None:
        import ctypes  # late: a Python built without libffi has none, and hashlib does

        library = ctypes.CDLL(name)  # a CDLL's functions run without the GIL, a PyDLL's with it
        self.byref = ctypes.byref
        self.context_type = ctypes.c_uint32 * (_CONTEXT.size // 4)
        self._view_type = ctypes.c_size_t * _PY_BUFFER_WORDS
        self._digest_type = ctypes.c_char * 32
        self._init = library.SHA256_Init
        self._init.argtypes = (ctypes.c_void_p,)
        self.update = library.SHA256_Update
        self.update.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        self.update.restype = None  # always 1
        self._final = library.SHA256_Final
        self._final.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        self._get_buffer = ctypes.pythonapi.PyObject_GetBuffer
        self._get_buffer.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
        self._release = ctypes.pythonapi.PyBuffer_Release
        self._release.argtypes = (ctypes.c_void_p,)
        self._release.restype = None

    def new(self) -> _LibcryptoHasher:
        context = self.context_type()
        self._init(self.byref(context))
        return _LibcryptoHasher(self, context)

    def restore(self, words: tuple[int, ...], block: bytes, length: int) -> _LibcryptoHasher:
        bits = length << 3
        packed = _CONTEXT.pack(*words, bits & 0xFFFFFFFF, bits >> 32, block, length % 64, 32)
        return _LibcryptoHasher(self, self.context_type.from_buffer_copy(packed))

    def update_from(self, at: object, data: Buffer) -> None:
        """Hash a buffer in place, writable or not: ctypes' own from_buffer takes only writable ones."""
        view = self._view_type()
        self._get_buffer(data, self.byref(view), _PYBUF_SIMPLE)  # raises what hashlib raises
        try:
            self.update(at, view[0], view[2])
        finally:
            self._release(self.byref(view))

    def digest(self, context: ctypes.Array[ctypes.c_uint32]) -> bytes:
        """Finish a copy: a finished context cannot go on."""
        digest = self._digest_type()
        self._final(digest, self.context_type.from_buffer_copy(context))
        return digest.raw


class _HashlibHasher:
    """A hasher of hashlib's; its state cannot be exported."""

    __slots__ = ("_hash",)

    exportable: ClassVar[bool] = False

    def __init__(self, inner: hashlib._Hash) -> None:
        self._hash = inner

    def update(self, data: Buffer) -> None:
        view = memoryview(data)
        # hashlib refuses buffers of more than one dimension, which libcrypto takes: here they are copied.
        self._hash.update(view.tobytes() if view.ndim > 1 and view.c_contiguous else view)

    def copy(self) -> Self:
        return type(self)(self._hash.copy())

    def digest(self) -> bytes:
        return self._hash.digest()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def export(self) -> bytes:
        raise RuntimeError("hashlib does not give out its state: ask exportable() first")


class _Hashlib:
    """Hashing by hashlib, without a usable libcrypto."""

    exportable: ClassVar[bool] = False

    def new(self) -> _HashlibHasher:
        return _HashlibHasher(hashlib.sha256())

    def restore(self, words: tuple[int, ...], block: bytes, length: int) -> _HashlibHasher:
        raise RuntimeError("hashlib does not take a state: ask exportable() first")


@functools.cache  # an error is not cached: a corrected environment variable takes effect
def _backend() -> _Libcrypto | _Hashlib:
    choice = os.environ.get("LAYERSTORE_HASH") or "auto"
    if choice not in CHOICES:
        raise ValueError(f"LAYERSTORE_HASH is {choice!r}: expected one of {', '.join(CHOICES)}")
    if choice == "hashlib":
        return _Hashlib()
    try:
        return _load()
    except RuntimeError:
        if choice == "libcrypto":
            raise
        return _Hashlib()


def _load() -> _Libcrypto:
    """Return the first library that can be loaded and passes the self-test."""
    reasons = []
    for name in _candidates():
        try:
            library = _Libcrypto(name)
            _prove(library)
        except _UNUSABLE as error:
            reasons.append(f"{name or 'this program itself'}: {error}")
        else:
            return library
    raise RuntimeError(f"LAYERSTORE_HASH=libcrypto, but no libcrypto is usable ({'; '.join(reasons)})")


def _candidates() -> Iterator[str | None]:
    """Yield the names of libraries to load, best first: the one that hashlib is linked with, by hashlib's extension.

    A lookup of a function in a library also searches the libraries on which it depends. An extension that is built into
    the program has no file; None stands for the program.
    """
    try:
        import _hashlib
    except ImportError:  # a Python built without OpenSSL
        pass
    else:
        yield getattr(_hashlib, "__file__", None)
    yield from _SONAMES


def _prove(library: _Libcrypto) -> None:
    """Compare a library with hashlib before it is used: for whole messages, in pieces, and through its state.

    Raises:
        ValueError: a digest differs.
    """
    message = bytes(range(256)) * 3 + b"abc"
    for cut in (0, 1, 3, 55, 56, 63, 64, 65, 119, 128, len(message)):
        hasher = library.new()
        hasher.update(message[:cut])
        restored = library.restore(*_parse(hasher.export()))
        restored.update(memoryview(message)[cut:])
        for ours, data in ((hasher, message[:cut]), (restored, message)):
            if ours.digest() != hashlib.sha256(data).digest():
                raise ValueError(f"its SHA-256 is wrong (self-test at byte {cut})")

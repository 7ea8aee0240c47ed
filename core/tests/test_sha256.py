"""SHA-256 with a state to take out: the same digests as hashlib's, the same states as Go's, and a safe way back."""

from __future__ import annotations

import array
import ctypes
import functools
import hashlib
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerstore.hashing import sha256

if TYPE_CHECKING:
    from typing_extensions import Buffer

BACKENDS = ("libcrypto", "hashlib")
MESSAGE = bytes(range(256)) * 3
LARGE = bytes(range(256)) * 300  # not copied to be hashed
INITIAL = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")
STATE = b"sha\x03" + INITIAL + b"abc".ljust(64, b"\0") + (3).to_bytes(8)
FIPS = (  # the examples of FIPS 180-4 and NIST's SHA_All.pdf
    (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ),
    (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
)


@functools.cache
def backend(name: str) -> sha256._Libcrypto | sha256._Hashlib:
    """Return a backend of the module's, by its name."""
    return sha256._load() if name == "libcrypto" else sha256._Hashlib()


def compress(words: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    """Do one round of FIPS 180-4, section 6.2.2, from its text; the constants are roots of primes."""
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))]
    constants = [icbrt(p << 96) & 0xFFFFFFFF for p in primes]
    w = list(struct.unpack(">16I", block))
    for t in range(16, 64):
        s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3
        s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10
        w.append(w[t - 16] + s0 + w[t - 7] + s1 & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = words
    for t in range(64):
        t1 = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (e & f ^ ~e & g) + constants[t] + w[t]
        t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = t1 + t2 & 0xFFFFFFFF, a, b, c, d + t1 & 0xFFFFFFFF, e, f, g
    return tuple(x + y & 0xFFFFFFFF for x, y in zip(words, (a, b, c, d, e, f, g, h), strict=True))


def rotr(word: int, by: int) -> int:
    """Rotate a 32-bit word to the right."""
    return (word >> by | word << 32 - by) & 0xFFFFFFFF


def icbrt(n: int) -> int:
    """Return the whole part of a cube root."""
    low, high = 0, 1 << 64
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= n else (low, middle)
    return low


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("message", "expected"), FIPS)
def test_digests_are_those_of_fips_180(name: str, message: bytes, expected: str) -> None:
    """The standard's examples come out, in both forms."""
    hasher = backend(name).new()
    hasher.update(message)
    assert hasher.hexdigest() == expected
    assert hasher.digest() == bytes.fromhex(expected)


@pytest.mark.parametrize("name", BACKENDS)
@settings(deadline=None, max_examples=150)
@given(pieces=st.lists(st.binary(max_size=300), max_size=12), cast=st.sampled_from([bytes, bytearray, memoryview]))
def test_any_split_hashes_like_hashlib(name: str, pieces: list[bytes], cast: Callable[[bytes], Buffer]) -> None:
    """However the bytes are cut, the digest after each piece is that of all before it."""
    hasher = backend(name).new()
    for count, piece in enumerate(pieces, 1):
        hasher.update(cast(piece))
        assert hasher.digest() == hashlib.sha256(b"".join(pieces[:count])).digest()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_copy_goes_its_own_way(name: str) -> None:
    """Bytes hashed later by a copy are not hashed by its original, and the other way round."""
    hasher = backend(name).new()
    hasher.update(b"both, ")
    copy = hasher.copy()
    hasher.update(b"one")
    copy.update(b"other")
    assert hasher.digest() == hashlib.sha256(b"both, one").digest()
    assert copy.digest() == hashlib.sha256(b"both, other").digest()


@pytest.mark.parametrize("cut", range(131))
def test_hashing_goes_on_from_an_exported_state(cut: int) -> None:
    """At any offset in and around a block, export, restore and the rest make the whole's digest."""
    hasher = backend("libcrypto").new()
    hasher.update(MESSAGE[:cut])
    restored = sha256.restore(hasher.export())
    restored.update(MESSAGE[cut:])
    hasher.update(b"goes on")
    assert restored.digest() == hashlib.sha256(MESSAGE).digest()
    assert hasher.digest() == hashlib.sha256(MESSAGE[:cut] + b"goes on").digest()


@pytest.mark.parametrize("cut", range(131))
def test_a_restored_state_exports_itself(cut: int) -> None:
    """A state is canonical: it holds nothing of what went before, and comes out as it went in."""
    hasher = backend("libcrypto").new()
    for _ in range(cut):  # by way of the block that is filled
        hasher.update(b"\xff")
    state = hasher.export()
    assert sha256.restore(state).export() == state
    assert state[36:100] == (b"\xff" * (cut % 64)).ljust(64, b"\0")


def test_a_state_before_the_first_block_is_gos() -> None:
    """After "abc": the initial words, the bytes, zeros, and three; and so taken in."""
    hasher = backend("libcrypto").new()
    hasher.update(b"abc")
    assert hasher.export() == STATE
    assert sha256.restore(STATE).hexdigest() == FIPS[1][1]


def test_a_state_after_whole_blocks_is_gos() -> None:
    """After 64 and 128 bytes: the words that FIPS 180-4's own arithmetic makes, an empty block, and the length."""
    words = struct.unpack(">8I", INITIAL)
    hasher = backend("libcrypto").new()
    for length in (64, 128):
        words = compress(words, MESSAGE[length - 64 : length])
        hasher.update(MESSAGE[length - 64 : length])
        assert hasher.export() == b"sha\x03" + struct.pack(">8I64xQ", *words, length)


def test_a_length_beyond_32_bits_is_kept() -> None:
    """The count of bytes has 61 bits, in both of libcrypto's words and in the digest's padding."""
    length = (1 << 61) - 64
    state = b"sha\x03" + struct.pack(">8I64xQ", *range(8), length)
    assert sha256.restore(state).export() == state
    padding = b"\x80" + bytes(55) + (length * 8).to_bytes(8)
    assert sha256.restore(state).digest() == struct.pack(">8I", *compress(tuple(range(8)), padding))


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (b"", "0 bytes"),
        (STATE[:-1], "107 bytes"),
        (STATE + b"\0", "109 bytes"),
        (b"sha\x02" + STATE[4:], "begins with"),
        (STATE[:39] + b"\x01" + STATE[40:], "after the end"),
        (STATE[:99] + b"\x01" + STATE[100:], "after the end"),
        (STATE[:4] + b"\0" + STATE[5:], "before the first whole block"),
        (STATE[:100] + (1 << 61).to_bytes(8), "more than SHA-256 counts"),
    ],
)
def test_a_damaged_state_is_refused(state: bytes, why: str) -> None:
    """A state that no hasher exports is a ValueError, and says what is wrong with it."""
    with pytest.raises(ValueError, match=why):
        sha256.restore(state)


class Lying(bytes):
    """Bytes that claim to be longer than they are."""

    __slots__ = ()

    def __len__(self) -> int:
        return 1 << 20


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytearray(),
        memoryview(b""),
        bytearray(MESSAGE),
        memoryview(MESSAGE),
        memoryview(MESSAGE)[3:700],
        memoryview(bytearray(MESSAGE))[3:700],
        memoryview(MESSAGE).cast("B", (3, 256)),
        memoryview(MESSAGE).cast("I"),
        bytearray(LARGE),
        memoryview(LARGE),
        memoryview(LARGE)[3:-4],
        memoryview(LARGE).cast("B", (300, 256)),
        array.array("I", range(99)),
        array.array("I", range(9999)),
        (ctypes.c_uint32 * 5)(1, 2, 3, 4, 5),
        Lying(b"short"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_any_contiguous_buffer_is_hashed(name: str, data: Buffer) -> None:
    """Read-only or writable, of any item size and shape: its bytes are hashed, and it is let go of."""
    hasher = backend(name).new()
    hasher.update(data)
    assert hasher.digest() == hashlib.sha256(memoryview(data).tobytes()).digest()
    if isinstance(data, bytearray):
        data.append(0)  # a BufferError, if the buffer were still held


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("step", [2, -1])
@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
def test_a_buffer_with_gaps_is_refused(name: str, message: bytes, step: int) -> None:
    """A buffer that is not contiguous is an error, not hashed otherwise than it reads, and not held."""
    hasher, data = backend(name).new(), memoryview(message)[::step]
    with pytest.raises(BufferError):
        hasher.update(data)
    assert hasher.digest() == hashlib.sha256(b"").digest()
    data.release()  # a BufferError, if it were still held


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("data", ["text", 5, None, [1]])
def test_what_is_no_buffer_is_refused(name: str, data: object) -> None:
    """A number is not taken for an address, nor a text for bytes."""
    with pytest.raises(TypeError):
        backend(name).new().update(data)  # type: ignore[arg-type]  # that is the test


def test_other_threads_run_while_a_large_buffer_is_hashed() -> None:
    """update() lets go of the GIL; nothing else here does, once the interpreter is told not to switch by itself."""
    ticks, done, data = [0], threading.Event(), bytes(32 << 20)

    def tick() -> None:
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0)

    hasher, interval = backend("libcrypto").new(), sys.getswitchinterval()
    ticker = threading.Thread(target=tick)
    sys.setswitchinterval(1000)  # seconds
    ticker.start()
    try:
        progress = False
        for _ in range(100):  # one is enough, but on a machine too busy to run the other thread
            before = ticks[0]
            hasher.update(data)
            if progress := ticks[0] > before:
                break
    finally:
        done.set()
        sys.setswitchinterval(interval)
        ticker.join()
    assert progress


@pytest.mark.parametrize(("value", "expected"), [("auto", True), ("libcrypto", True), ("", True), ("hashlib", False)])
def test_the_environment_chooses(choose: Callable[[str], None], value: str, expected: bool) -> None:
    """``LAYERSTORE_HASH`` decides, and every hasher says what it is."""
    choose(value)
    assert sha256.exportable() is expected
    assert sha256.new().exportable is expected


def test_an_unknown_choice_is_refused_until_corrected(choose: Callable[[str], None]) -> None:
    """A wrong ``LAYERSTORE_HASH`` is a ValueError that names the choices, each time; a right one then works."""
    choose("md5")
    for call in (sha256.new, sha256.exportable, lambda: sha256.restore(STATE)):
        with pytest.raises(ValueError, match="'md5': expected one of auto, libcrypto, hashlib"):
            call()
    choose("auto")
    assert sha256.exportable()


def test_the_environment_is_read_at_first_use() -> None:
    """An import reads no environment and loads no ctypes; the first hasher does."""
    script = (
        "import sys, os; from layerstore.hashing import sha256; assert 'ctypes' not in sys.modules;"
        "os.environ['LAYERSTORE_HASH'] = 'hashlib'; assert not sha256.exportable();"
        "os.environ['LAYERSTORE_HASH'] = 'nonsense'; sha256.new()"
    )
    environment = os.environ | {"LAYERSTORE_HASH": "wrong", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def test_hashlib_gives_and_takes_no_state(choose: Callable[[str], None]) -> None:
    """Without libcrypto export and restore are a RuntimeError; a damaged state is still a ValueError."""
    choose("hashlib")
    with pytest.raises(RuntimeError, match="exportable"):
        sha256.new().export()
    with pytest.raises(RuntimeError, match="exportable"):
        sha256.restore(STATE)
    with pytest.raises(ValueError, match="not a SHA-256 state"):
        sha256.restore(b"")


@pytest.mark.parametrize("names", [(), ("no-such-library.so",), (None,)], ids=str)
def test_without_libcrypto_hashlib_serves(
    choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, names: tuple[str | None, ...]
) -> None:
    """No library, none of that name, none with the functions: auto falls back, libcrypto says so."""
    monkeypatch.setattr(sha256, "_candidates", lambda: names)
    choose("auto")
    assert not sha256.exportable()
    choose("libcrypto")
    with pytest.raises(RuntimeError, match="no libcrypto is usable"):
        sha256.new()


def test_a_library_that_hashes_wrongly_is_not_used(
    choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The self-test holds the digests against hashlib's."""
    monkeypatch.setattr(sha256._Libcrypto, "digest", lambda *_: bytes(32))
    choose("auto")
    assert not sha256.exportable()
    assert sha256.new().digest() == hashlib.sha256(b"").digest()
    choose("libcrypto")
    with pytest.raises(RuntimeError, match="its SHA-256 is wrong"):
        sha256.new()


def test_a_library_that_restores_wrongly_is_not_used(
    choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The self-test goes by way of a state, too."""
    restore = sha256._Libcrypto.restore
    monkeypatch.setattr(
        sha256._Libcrypto, "restore", lambda self, words, block, length: restore(self, words, bytes(64), length)
    )
    choose("auto")
    assert not sha256.exportable()


def test_the_library_of_hashlib_is_the_first_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the file of hashlib's extension; by the program, where it is built in; not at all, where there is none."""
    extension = pytest.importorskip("_hashlib")
    assert next(sha256._candidates()) == getattr(extension, "__file__", None)
    monkeypatch.delattr(extension, "__file__", raising=False)
    assert next(sha256._candidates()) is None
    monkeypatch.setitem(sys.modules, "_hashlib", None)
    assert list(sha256._candidates()) == list(sha256._SONAMES)


def test_a_hasher_survives_a_fork() -> None:
    """Parent and child go on from the same state, each by itself; in a process of its own, without threads."""
    script = """if True:
        import hashlib, os
        from layerstore.hashing import sha256
        hasher = sha256.new()
        hasher.update(b"before, ")
        child = os.fork()
        name = b"parent" if child else b"child"
        hasher.update(name)
        good = hasher.digest() == hashlib.sha256(b"before, " + name).digest()
        if child:
            good = good and os.waitpid(child, 0)[1] == 0
        os._exit(0 if good else 1)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)

"""Rewinds: the hash of an upload that goes back, fails half way, or goes on from a state is that of its bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, LayerInvalidDigestError, layout
from layerstore.hashing import sha256, uploadstate
from layerstore.hashing.cursor import MARKS, RECENT
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.layers import begin
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_gone, expect_layer
from layerstore_conformance.steps.points import KIB, MIB
from layerstore_conformance.steps.watching import Trap, fail, watched

if TYPE_CHECKING:
    from layerstore import LayerService, LayerUpload
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.observed import Call

GROUP = "verify"

CHUNKS = (1000, 63, 70_001, 300_000, MIB, 1)
"""Bytes that are written and flushed one after the other: at each border a state may be kept."""

BORDERS = Axis("border", {str(number): sum(CHUNKS[:number]) for number in range(1, len(CHUNKS) + 1)})
"""Bytes before the end of a chunk."""

BACK = Axis("back", {"64 KiB": 64 * KIB, "1,000": 1000, "64": 64, "2": 2, "1": 1, "0": 0})
"""Bytes from a border back to where the upload goes on."""

REWRITTEN = Axis("rewritten", {"1 byte": 1, "65 bytes": 65, "to 10 bytes over the border": -10, "1 MiB": MIB})
RESUMED = Axis("resumed", {"not": 0, "once": 1, "twice": 2})
FIRST = Axis("first", {"right digest": "right", "stale digest": "stale"})


@scenario(
    *("W5", "S2", "M4"),
    kills=("state-kept-too-far", "cursor-not-cut-on-rewrite"),
    rows=(142, 159),
    axes=(BORDERS, BACK, REWRITTEN, RESUMED, FIRST),
)
def an_upload_rewound_to_any_byte_has_the_digest_of_its_bytes(
    ctx: Context,
    border: int,
    back: int,
    rewritten: int,
    resumed: int,
    first: str,
) -> None:
    """An upload that goes back to any byte near a kept state, and writes others, has the digest of what it holds.

    A state kept one byte too far lets a finish accept a digest that the bytes do not have.
    """
    data = bulk("rewound", sum(CHUNKS), ctx.seed)
    at = max(0, border - back)
    length = rewritten if rewritten > 0 else back - rewritten
    new = bytes(each ^ 0xFF for each in bulk("rewound", at + length, ctx.seed)[at:])
    upload, start = ctx.service().upload("a"), 0
    for size in CHUNKS:
        upload.write(data[start : start + size])
        upload.flush()
        start += size
    for _ in range(resumed):
        upload.close()
        upload = ctx.service().resume("a", upload.uuid)
    upload.seek(at)
    upload.write(new)
    _finished(ctx, upload, data[:at] + new + data[at + length :], stale=data if first == "stale" else None)


def _finished(ctx: Context, upload: LayerUpload, data: bytes, *, stale: bytes | None = None) -> None:
    """Finish by the digest of these bytes, perhaps after one that is refused."""
    if stale is not None:
        with refused(LayerInvalidDigestError):
            upload.finish(digest(stale))
    upload.finish(digest(data), len(data)).close()
    expect_layer(ctx, "a", data)
    expect_gone(ctx, "a", upload.uuid)


PIECE = 97
"""Bytes between two flushes: a state is kept at each of them."""

TO_PIECE = Axis(
    "piece",
    {
        "the beginning": 0,
        "within the first": 1,
        "the first": PIECE,
        "the second": 2 * PIECE,
        "mid-range": 30 * PIECE + 5,
        "the last that is old": -(RECENT + 1) * PIECE,
        "the first that is recent": -RECENT * PIECE,
        "within a recent one": -3 * PIECE + 1,
        "the last": -PIECE,
    },
)
"""Bytes from the beginning or, if negative, from the end."""


@scenario(
    *("W5", "S2", "M4"),
    kills=("cursor-loses-its-first-mark", "cursor-not-cut-on-rewrite"),
    rows=(142, 159),
    axes=(TO_PIECE, Axis("resumed", {"not": False, "once": True})),
)
def an_upload_flushed_many_times_is_rewound_to_any_of_them(ctx: Context, piece: int, resumed: bool) -> None:  # noqa: FBT001  (a point)
    """An upload that was flushed more often than states are kept goes back to any flush, or to the beginning.

    Of many states some are dropped. Going back to before the first that is left must hash from the beginning.
    """
    flushes = MARKS + 5
    data = bulk("many-flushes", flushes * PIECE, ctx.seed)
    upload = ctx.service().upload("a")
    for number in range(flushes):
        upload.write(data[number * PIECE : (number + 1) * PIECE])
        upload.flush()
    if resumed:
        upload.close()
        upload = ctx.service().resume("a", upload.uuid, offset=len(data))
    at = piece if piece >= 0 else len(data) + piece
    upload.seek(at)
    upload.write(b"rewritten")
    _finished(ctx, upload, data[:at] + b"rewritten" + data[at + 9 :])


LENGTHS = Axis(
    "length", {"700 KB": 700_000, "1 MiB": MIB, "2 MiB + 5": 2 * MIB + 5, "4 MiB": 4 * MIB, "6 MiB + 1": 6 * MIB + 1}
)
FAILING = Axis("failing", {"first": 0, "second": 1, "third": 2, "fifth": 4})
SIDES = Axis("side", {"before": "before", "after": "after"})
BEGUN = Axis("begun", {"nothing": 0, "700": 700, "1 MiB + 3": MIB + 3})


@scenario(
    *("W2", "E4", "W8"),
    kills=("position-stays-after-a-failure",),
    rows=(162, 164),
    axes=(LENGTHS, FAILING, SIDES, BEGUN),
)
def a_write_that_failed_half_way_is_repeated(ctx: Context, length: int, failing: int, side: str, begun: int) -> None:
    """If one of a write's calls of the driver fails, the position is as before, and the same write may be repeated.

    A client that repeats it at another position makes a layer with some of its bytes doubled.
    """
    trap = Trap(side)  # type: ignore[arg-type]  # the two sides are the points
    data = bulk("failing", begun + length, ctx.seed)
    upload = watched(ctx, trap).upload("a")
    upload.write(data[:begun])
    trap.set(_nth("write_at", failing), fail)
    try:
        upload.write(data[begun:])
    except BackendUnavailableError:
        assert upload.tell() == begun, f"at {upload.tell()} after a write at {begun} that failed"
        trap.set(_never, fail)
        upload.write(data[begun:])
    assert (upload.tell(), upload.size) == (len(data), len(data)), f"at {upload.tell()} of {upload.size} bytes"
    trap.set(_never, fail)
    _finished(ctx, upload, data)


@scenario(
    *("W2", "E4", "W6"),
    kills=("short-blocks-of-a-stream-lost",),
    rows=(164,),
    axes=(LENGTHS, FAILING, SIDES),
)
def a_stream_whose_storing_failed_goes_on_at_the_position(ctx: Context, length: int, failing: int, side: str) -> None:
    """If storing a stream fails half way, the position says how much was stored, and the rest may follow from there."""
    trap = Trap(side)  # type: ignore[arg-type]  # the two sides are the points
    data = bulk("failing", length, ctx.seed)
    upload = watched(ctx, trap).upload("a")
    trap.set(_nth("write_at", failing), fail)
    try:
        upload.read_from(io.BytesIO(data))
    except BackendUnavailableError:
        trap.set(_never, fail)
        upload.read_from(io.BytesIO(data[upload.tell() :]))
    assert (upload.tell(), upload.size) == (length, length), f"at {upload.tell()} of {upload.size} bytes"
    trap.set(_never, fail)
    _finished(ctx, upload, data)


def _nth(method: str, number: int) -> Callable[[int, Call], bool]:
    seen = -1

    def is_it(_: int, call: Call) -> bool:
        nonlocal seen
        seen += call.method == method
        return seen == number and call.method == method

    return is_it


def _never(number: int, call: Call) -> bool:
    del number, call
    return False


class _Stuttering(io.RawIOBase):
    """A non-blocking stream: before each piece that it gives it has nothing for a moment, if ``idle`` says so."""

    def __init__(self, data: bytes, piece: int, idle: Callable[[int], bool]) -> None:
        super().__init__()
        self._data = io.BytesIO(data)
        self._piece, self._idle, self._turn = piece, idle, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int | None:
        self._turn += 1
        if self._idle(self._turn):
            return None
        view = memoryview(buffer)  # type: ignore[arg-type]  # a buffer
        return self._data.readinto(view[: self._piece])


class _Reading:
    """The same, for those who have ``read`` only."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes | None:
        return self._stream.read(size)


IDLE: dict[str, Callable[[int], bool]] = {
    "at first": lambda turn: turn == 1,
    "after the first piece": lambda turn: turn == 2,
    "every other time": lambda turn: turn % 2 == 1,
    "twice in a row": lambda turn: turn % 5 in (3, 4),
}
PIECES = Axis("piece", {"10": 10, "5,000": 5000, "64 KiB": 64 * KIB, "1 MiB": MIB})
METHODS: dict[str, Callable[[io.RawIOBase], object]] = {"readinto": lambda stream: stream, "read": _Reading}


@scenario(
    *("W6", "W2"),
    kills=("none-is-the-end", "short-blocks-of-a-stream-lost"),
    rows=(50, 141),
    axes=(Axis("idle", IDLE), PIECES, Axis("method", METHODS)),
)
def a_stream_that_has_nothing_now_has_not_ended(
    ctx: Context, idle: Callable[[int], bool], piece: int, method: Callable[[io.RawIOBase], object]
) -> None:
    """A non-blocking stream's None raises BlockingIOError after everything before was written, and is not the end."""
    data = bulk("stutters", min(40 * piece + 7, 2 * MIB + 7), ctx.seed)
    upload, raised, before = ctx.service().upload("a"), 0, -1
    stream = method(_Stuttering(data, piece, idle))
    while True:
        try:
            upload.read_from(stream)  # type: ignore[arg-type]  # it has one of the two methods
        except BlockingIOError:
            raised += 1
            assert upload.tell() >= before, f"at {upload.tell()} after {before}"
            before = upload.tell()
            continue
        break
    assert raised, "a stream that had nothing for a moment was taken for one that has ended"
    assert upload.size == len(data), f"{upload.size} of {len(data)} bytes"
    _finished(ctx, upload, data)


REST = b"the rest"

STATES = Axis(
    "zeros",
    {
        f"2^{power}": (1 << power, words, wanted)
        for power, words, wanted in (
            (
                28,
                "5960f5609c830d66013ef44c7b49ed1dd00987e02c41d494ca26580bd2f84dc7",
                "157921db620edc3a4b8308b3f4e331b83f8778b807be3853eefc32611bdd134b",
            ),
            (
                29,
                "c19453160ed03e104e1064e92f8b0652e52774ad065ea229c9c3c2460e0cc072",
                "4b1386518b4027c715638099e91e635759b9d99d2b582a3e1d9232c1604b87a7",
            ),
            (
                30,
                "93c8183787de705ad0476e09c0f7cccd521fcf628d62099ae9d721b9cdedb746",
                "14e678dff13ae28b4dbbb958eaa882ec4f86d2ddb28e73b1f4548ecf7798c4e1",
            ),
            (
                31,
                "d1be4f536151d5c1ef573060576d9cf8d3c9f93a724ece2e51720f4901eaecb2",
                "aefa42ec2cc695d415dfecc3ba077b5d769cd0c385537c291d1af7aec27f850e",
            ),
            (
                32,
                "8ffe48e8fe68159506d4999ee2b1ac4c3e5b953cd5f8bb95e8082d4e8df5e99a",
                "372fa30509fd2c7a254ea6af58e2137f3c5f149d413dbfcf3a7391741cf6a6ad",
            ),
        )
    },
)
"""So many zeros, the chaining value after them, and the SHA-256 of them and :data:`REST`."""


def _state(count: int, words: str) -> bytes:
    return b"sha\x03" + bytes.fromhex(words) + bytes(64) + count.to_bytes(8, "big")


@scenario(
    *("S2", "W1"),
    kills=("state-of-many-bits-cut",),
    rows=(159,),
    needs=("hash_state",),
    axes=(STATES,),
)
def a_hash_goes_on_from_a_state_of_any_length(ctx: Context, zeros: tuple[int, str, str]) -> None:
    """A hash restored from a state after 512 MiB and more, whose bits no 32-bit counter counts, is right."""
    count, words, wanted = zeros
    hasher = sha256.restore(_state(count, words))
    hasher.update(REST)
    found = hasher.hexdigest()
    assert found == wanted, f"{count} zeros and {REST!r} have {wanted}, not {found}"
    again = sha256.restore(hasher.export())
    assert again.hexdigest() == wanted, "the exported state is another one"
    ctx.step(f"restored after {count} bytes")


@scenario(
    *("S2", "W1", "M1"),
    kills=("state-of-many-bits-cut",),
    rows=(159, 33),
    needs=("hash_state", "holes"),
    axes=(STATES,),
)
def a_large_upload_is_finished_from_its_state(ctx: Context, zeros: tuple[int, str, str]) -> None:
    """An upload of 512 MiB and more goes on from its saved state in a fresh service, and is finished by its digest."""
    count, words, wanted = zeros
    uuid = begin(ctx.service(), "a", b"")
    keys = layout.UploadKeys("a", uuid)
    with ctx.driver.open_writer(keys.data) as writer:
        writer.seek(count - 1)
        writer.write(b"\0")
        writer.flush()
        version = writer.version
    ctx.driver.put(keys.state, uploadstate.dump(version or "", [(count, _state(count, words))]))
    service: LayerService = ctx.service()
    upload = service.resume("a", uuid, offset=count)
    upload.write(REST)
    upload.finish(f"sha256:{wanted}", count + len(REST)).close()
    with ctx.service().fetch("a", f"sha256:{wanted}") as layer:
        layer.seek(count - 5)
        ctx.same(layer.read(), bytes(5) + REST, "the end of the layer")
    expect_gone(ctx, "a", uuid)

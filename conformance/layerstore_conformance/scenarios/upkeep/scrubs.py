"""What is asked of a scrub: which blobs it reads and which not, in which order, and what it counts."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    FencedError,
    InvalidDigestError,
    InvalidNameError,
    LayerService,
    PathNotFoundError,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import BLOBS, blob, link, store
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.ages import SMALL
from layerstore_conformance.steps.watching import Trap, of, watched
from layerstore_conformance.steps.watching import number as at_call

if TYPE_CHECKING:
    from layerstore.upkeep.scrub import ScrubReport
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.observed import Call

GROUP = "upkeep"

PATIENCE = 5.0
"""Seconds to wait for another thread at most: it comes at once, or never."""

SLOW = 0.2
"""Seconds that a slow blob takes: nothing tells how long others would have had to wait."""

LARGE = 4 << 20
"""Bytes of a blob that takes several reads."""

AHEAD = 16
"""Blobs of which a scrub has few in hand."""


class _Reads:
    """An observer of the blobs that are opened, in whichever thread; may hold those up, and listings."""

    def __init__(self, hold: Callable[[str], object] = bool, hold_listing: Callable[[str], object] = bool) -> None:
        self.begun: list[str] = []
        self._hold, self._hold_listing = hold, hold_listing

    def before(self, call: Call) -> None:
        if call.method == "open_reader" and call.key.startswith(BLOBS):
            self.begun.append(call.key)
            self._hold(call.key)
        if call.method == "list":
            self._hold_listing(call.key)

    def after(self, call: Call, result: object) -> None:
        del call, result


def _stored(ctx: Context, name: str, *labels: str) -> list[bytes]:
    """Store layers, and return their bytes in the order of a scrub."""
    found = [ctx.payload(label).read(SMALL + number) for number, label in enumerate(labels)]
    for each in found:
        store(ctx.service(), name, each)
    return sorted(found, key=blob)


def _put_later(driver: CheckedDriver, key: str, data: bytes, moment: datetime) -> bool:
    """Put an object until it is not older than a moment, for clocks may be coarse; return False if they differ."""
    for _ in range(2000):
        driver.put(key, data)
        if driver.stat(key).modified >= moment:
            return True
    return False


@scenario("L1", "K3", kills=("scrub-of-one-reads-all", "areas-below-a-repository-are-its-own"))
def a_scrub_of_one_repository_reads_its_blobs_only(ctx: Context) -> None:
    """A scrub of a repository reads and reports what it links, and nothing of those whose names begin alike."""
    data = {name: _stored(ctx, name, f"of-{number}") for number, name in enumerate(("a", "a/b", "ab", "b"))}
    for (each,) in data.values():
        ctx.open().put(blob(each), b"damaged")
    reads = _Reads()
    found = [(each.kind, each.key) for each in watched(ctx, reads).scrub(name="a")]
    assert found == [("damaged", blob(data["a"][0]))], f"found in repository a: {found}"
    assert reads.begun == [blob(data["a"][0])], f"read for repository a: {reads.begun}"


@scenario("S1", kills=("scrub-ignores-since", "scrub-knows-only-what-it-reads"))
def blobs_stored_before_since_are_not_read(ctx: Context) -> None:
    """A scrub with ``since`` reads the blobs stored then or later, and says of all whether they are linked.

    An operator who scrubs every night reads only what came since the last night.
    """
    driver, service = ctx.open(), ctx.service()
    older, newer = (ctx.payload(label).read(SMALL) for label in ("older", "newer"))
    for each in (older, newer):
        store(service, "a", each)
        service.unlink("a", digest(each))
    driver.put(blob(older), b"damaged")
    _put_later(driver, blob(newer), b"damaged", driver.stat(blob(older)).modified + timedelta(microseconds=1))
    moments = [driver.stat(blob(each)).modified for each in (older, newer)]
    unlinked = {("unlinked", blob(older)), ("unlinked", blob(newer))}
    for since, wanted in (
        (moments[0], {older, newer}),
        (moments[1], {newer}),
        (moments[1] + timedelta(microseconds=1), set()),
    ):
        reads = _Reads()
        found = {(each.kind, each.key) for each in watched(ctx, reads).scrub(since=since)}
        keys = {blob(each) for each in wanted}
        assert set(reads.begun) == keys, f"since {since}, of blobs of {moments}, it read {reads.begun}"
        assert found == unlinked | {("damaged", key) for key in keys}, f"since {since}: {found}"


@scenario("L4", "S1", kills=("scrub-calls-young-blobs-unlinked",))
def a_blob_stored_during_a_scrub_is_not_called_unlinked(ctx: Context) -> None:
    """A scrub does not say of a blob that was stored since it began that nothing links it: its link may be coming."""
    driver, trap = ctx.open(), Trap()
    young, old = ctx.payload("young").read(SMALL), ctx.payload("old").read(SMALL)
    driver.put(blob(old), old)
    trap.set(of("list", "/repositories"), lambda: _put_later(driver, blob(young), young, datetime.now(UTC)))
    found = [(each.kind, each.key) for each in watched(ctx, trap).scrub() if each.kind != "ok"]
    assert trap.sprung
    assert ("unlinked", blob(old)) in found, f"found: {found}"
    if driver.stat(blob(young)).modified > driver.stat(blob(old)).modified:
        assert ("unlinked", blob(young)) not in found, f"found: {found}"


@scenario("L1", "S1", kills=("scrub-looks-for-a-blob-once",))
def a_layer_that_is_removed_and_comes_back_during_a_scrub_is_never_called_missing(ctx: Context) -> None:
    """If a layer is removed before any call of a scrub, and is stored again before the next one, nothing is missing."""
    data = _stored(ctx, "a", "first", "second")[1]
    driver = ctx.driver
    key, wanted = link("a", digest(data)), digest(data).encode()

    def removed() -> None:
        driver.delete(key)
        driver.delete(blob(data))

    def restored() -> None:
        driver.put(blob(data), data)
        driver.put(key, wanted)

    for index in itertools.count():
        gone, back = Trap(), Trap()
        gone.set(at_call(index), removed)
        back.set(at_call(index + 1), restored)
        seen = CheckedDriver(ObservedDriver(ObservedDriver(ctx.open(), gone), back), driver.scheme)
        told = [each.kind for each in LayerService(seen).scrub(jobs=1)]
        if not back.sprung:
            restored()
        assert {*told} <= {"ok", "unlinked"}, f"a scrub tells {told}; the layer was away between calls {index} and next"
        if not gone.sprung:
            break
        ctx.count("moments")


@scenario("R1", "R5", kills=("scrub-tells-no-progress",))
def a_scrub_tells_how_many_bytes_it_has_read(ctx: Context) -> None:
    """The numbers that ``progress`` is called with are, together, the bytes of the blobs that were read."""
    data = [*_stored(ctx, "a", "one", "two", "three"), bytes((1 << 20) + 5)]
    store(ctx.service(), "a", data[-1])
    ctx.open().put(blob(data[0]), b"damaged")
    for jobs in (1, 3):
        counts: list[int] = []
        report = ctx.service().scrub(jobs=jobs, progress=counts.append)
        assert len(list(report)) == len(data)
        total = sum(map(len, data[1:])) + len(b"damaged")
        assert (sum(counts), min(counts) > 0) == (total, True), f"{counts} of {total} bytes, with {jobs} jobs"


@scenario("T4", "T6", kills=("scrub-goes-on-when-given-up",))
def a_scrub_that_is_given_up_begins_no_other_blob(ctx: Context) -> None:
    """After ``close`` of a scrub's report the threads begin no other blob, and end."""
    gate, data = Event(), _stored(ctx, "a", *map(str, range(8)))
    reads = _Reads(lambda key: key == blob(data[0]) or gate.wait(PATIENCE))
    report = watched(ctx, reads).scrub(jobs=2)
    assert next(report).key == blob(data[0])
    _give_up(report, gate)
    assert len(reads.begun) <= 3, f"given up after the first blob, and 2 others at work, it read {len(reads.begun)}"
    assert list(report) == [], "a scrub that was given up goes on"


class _LargeReads(_Reads):
    """Counts the bytes that are read of blobs, too."""

    read = 0

    def after(self, call: Call, result: object) -> None:
        if call.method == "read_at" and BLOBS in call.key and isinstance(result, int):
            self.read += result


@scenario("T4", "T6", kills=("scrub-reads-to-the-end-when-given-up",))
def a_scrub_that_is_given_up_reads_no_blob_to_its_end(ctx: Context) -> None:
    """After ``close`` of a scrub's report, of blobs that are being read some more bytes are read, and not all.

    A blob may have gigabytes, and who gives up waits for the threads.
    """
    gate, large = Event(), [ctx.payload(f"large {number}").read(LARGE) for number in range(2)]
    others = (ctx.payload(f"small {number}").read(SMALL) for number in itertools.count())
    small = next(each for each in others if blob(each) < min(map(blob, large)))
    for each in (small, *large):
        ctx.driver.put(blob(each), each)
    reads = _LargeReads(lambda key: key == blob(small) or gate.wait(PATIENCE))
    report = watched(ctx, reads).scrub(jobs=2)
    assert next(report).key == blob(small)
    _until(lambda: len(reads.begun) == 1 + len(large))
    _give_up(report, gate)
    assert reads.read <= SMALL + LARGE, f"given up at the beginning of two blobs of {LARGE} bytes, it read {reads.read}"


def _give_up(report: ScrubReport, gate: Event) -> None:
    """Close a scrub's report, and let the threads, which a gate holds up, go on as soon as it waits for them."""
    closing = Thread(target=report.close)
    closing.start()
    _until(lambda: _is_joining(closing) or not closing.is_alive())
    gate.set()
    closing.join()


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE / 0.001)):
        if condition():
            return
        Event().wait(0.001)


def _is_joining(thread: Thread) -> bool:
    """Return whether a thread waits for others to end."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_name == "join" and frame.f_globals.get("__name__") == "threading":
            return True
        frame = frame.f_back
    return False


@scenario("L2", kills=("scrub-yields-what-is-done-first",))
def findings_come_in_order_though_the_first_blob_is_slow(ctx: Context) -> None:
    """With several jobs and a first blob that takes long, findings come in the order of the digests, each once.

    Otherwise a scrub that goes on after the last finding passes over the slow blob.
    """
    data, many, found = _stored(ctx, "a", *map(str, range(12))), Event(), Event()

    def hold(key: str) -> None:
        if len(reads.begun) > jobs:  # so one that was begun has ended
            many.set()
        if key == blob(data[0]):
            found.wait(SLOW)

    ninth = blob(data[8]).removesuffix("/data")
    jobs, reads = 4, _Reads(hold, lambda prefix: prefix != ninth or many.wait(PATIENCE))
    first = next(report := watched(ctx, reads).scrub(jobs=jobs))
    found.set()
    keys = [first.key, *(each.key for each in report)]
    assert keys == [blob(each) for each in data], "not each blob once, in order"


@scenario("L2", kills=("scrub-counts-what-was-not-taken",))
def a_finding_is_counted_once_the_next_is_asked_for(ctx: Context) -> None:
    """A scrub's totals and ``last`` have each finding once the next one is asked for, and not before.

    A reader that is cut off between two findings goes on after ``last``, and must not miss the one it had.
    """
    data = _stored(ctx, "a", "one", "two", "three")
    ctx.open().put(blob(data[1]), b"damaged")
    report, counted = ctx.service().scrub(), 0
    for number in range(3):
        next(report)
        counts = (report.ok, len(report.findings), report.ok_bytes, report.last)
        ok = [data[index] for index in range(number) if index != 1]
        last = digest(data[number - 1])[7:] if number else ""
        assert counts == (len(ok), number - len(ok), sum(map(len, ok)), last), f"after finding {number + 1}: {counts}"
        counted += 1
    assert list(report) == []
    assert (report.ok, len(report.harm), report.last) == (counted - 1, 1, digest(data[2])[7:])


@scenario("T4", "T6", kills=("scrub-reads-ahead-of-its-reader",))
def a_scrub_goes_on_while_it_is_read(ctx: Context) -> None:
    """Until its next finding is asked for, a scrub looks for few blobs beyond the one that it has told of.

    A store has millions of blobs. Whoever looks at the first finding must not wait for the last, nor hold them all.
    """
    for number in range(AHEAD):
        data = ctx.payload(f"ahead-{number}").read(SMALL)
        ctx.driver.put(blob(data), data)
    for jobs in (1, 2):
        listed = list[str]()
        reads = _Reads(hold_listing=listed.append)
        report = watched(ctx, reads).scrub(jobs=jobs)
        for taken in range(1, 4):
            next(report)
            met = {
                key for key in listed if key.startswith(BLOBS) and len(key.rpartition("/")[2]) == len(digest(b"")[7:])
            }
            told = f"after finding {taken}, by {jobs} jobs, it has looked for {len(met)} blobs, and read {reads.begun}"
            assert max(len(met), len(reads.begun)) <= taken + 2 * jobs + 2, told
        report.close()


class _Own(Exception):  # noqa: N818  (it is no error)
    """What a caller's own function raises."""


@scenario("E1", "T4", kills=("progress-that-fails-is-a-damage",))
def what_progress_raises_is_raised_by_the_scrub(ctx: Context) -> None:
    """An exception of the caller's ``progress``, of any kind and at any call, ends the scrub, and is raised as it is.

    It says nothing of the blob that was read. No thread is left, and no finding comes afterwards.
    """
    data = _stored(ctx, "a", "one", "two", "three")
    kinds = (_Own, OSError, ValueError, KeyboardInterrupt, BackendUnavailableError, PathNotFoundError, FencedError)
    for index, kind in enumerate(kinds):
        for jobs in (1, 3):
            own, calls = kind("the caller's own"), list[int]()

            def progress(count: int, own: BaseException = own, calls: list[int] = calls, last: int = index % 3) -> None:
                calls.append(count)
                if len(calls) > last:
                    raise own

            report, raised = ctx.service().scrub(jobs=jobs, progress=progress), None
            try:
                found = [each.kind for each in report]
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (whatever it is)
                raised, found = error, [each.kind for each in report.findings]
            told = f"{own!r} at call {len(calls)}, by {jobs} jobs, of {len(data)} blobs"
            assert raised is own, f"{told}: raised is {raised!r}, and found {found}"
            assert (found, list(report)) == ([], []), f"{told}: found {found}"
            left = [each.name for each in enumerate_threads() if each.name.startswith("layerstore-scrub")]
            assert left == [], f"{told}: {left} go on"


@scenario("M1", "K3", kills=("quarantine-by-the-second",))
def a_blob_that_is_damaged_again_is_kept_again(ctx: Context) -> None:
    """Each damaged version of a blob is kept in quarantine, under a key of its own, however fast they follow."""
    data, kept = ctx.payload("again").read(SMALL), {}
    for number in range(5):
        store(ctx.service(), "a", data)
        bad = f"damaged for time {number}".encode()
        ctx.open().put(blob(data), bad)
        (finding,) = ctx.service().scrub(quarantine=True)
        kept[finding.quarantined] = bad
    assert len(kept) == 5, f"5 damaged versions are under {sorted(kept)}"
    for key, bad in kept.items():
        ctx.expect(key, bad)


@scenario("K1", kills=("scrub-takes-any-time",))
def a_scrub_that_makes_no_sense_is_refused(ctx: Context) -> None:
    """A scrub with no job, with a moment that has no time zone, or with what is no name or digest is refused."""
    service = ctx.service()
    store(service, "a", b"there")
    before = ctx.stored()
    with refused(ValueError):
        service.scrub(jobs=0)
    with refused(ValueError):
        service.scrub(since=datetime(2015, 1, 27))  # noqa: DTZ001  (that is what is refused)
    for after in ("", "g" * 64, "0" * 63, f"sha256:{'0' * 64}"):
        with refused(InvalidDigestError):
            service.scrub(after=after)
    with refused(InvalidNameError):
        list(service.scrub(name="No Name"))
    with refused(ValueError):
        service.purge(timedelta(microseconds=-1))
    assert ctx.stored() == before

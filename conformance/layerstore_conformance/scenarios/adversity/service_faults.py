"""Every method of the service, while any one call of the driver fails: it tells, or its answer is the right one."""

from __future__ import annotations

import errno
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from layerstore import (
    DriverError,
    FencedError,
    LayerService,
    MarkingIncompleteError,
    PathNotFoundError,
    layout,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.images import Images
from layerstore_conformance.kit.layers import begin, link, store
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.remembered import RememberedDriver
from layerstore_conformance.steps.ages import SMALL, WEEK, later
from layerstore_conformance.steps.moved import moved_only

if TYPE_CHECKING:
    from layerstore.driver import Driver, Scanned
    from layerstore_conformance.engine.context import Context

GROUP = "faults"

ERRORS = (errno.EIO, errno.EACCES, errno.ETIMEDOUT)
"""By which calls fail, in turn. None of them says that nothing is there."""

_NAMED = re.compile(r"(?<=/repositories/).+?/(?=_)|/[0-9a-f]{2}(?=/)|/[0-9a-f-]{32,}(?=/|\Z)")
"""What is of one repository, layer or upload only in a key."""


class _Fault(NamedTuple):
    """Calls that fail: those of a method and key, after so many earlier ones; a listing may fail at its end."""

    call: Call
    earlier: int = 0
    at_end: bool = False

    def __str__(self) -> str:
        when = ", at its end" if self.at_end else ""
        return f"{self.call.method} of {self.call.key}, for time {self.earlier + 1}{when}"


class _FaultyDriver(ObservedDriver):
    """Any driver, of which some calls fail as the operating system does; it keeps them all."""

    def __init__(self, driver: Driver, fault: _Fault | None = None, number: int = errno.EIO) -> None:
        """Fail by an error of this number."""
        super().__init__(driver, self)
        self.calls: list[Call] = []
        self._fault, self._number, self._seen = fault, number, 0

    def before(self, call: Call) -> None:
        """Keep a call; let it fail, unless it is to fail at its end."""
        self.calls.append(call)
        fault = self._fault
        if fault is not None and self._fails(call):
            self._seen += 1
            if self._seen > fault.earlier and not fault.at_end:
                self._fail()

    def after(self, call: Call, result: object) -> None:
        """Do nothing more."""

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        return self._ended(prefix, super().list(prefix))

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`."""
        return self._ended(prefix, super().scan(prefix))

    def _ended(self, prefix: str, children: Iterator[Any]) -> Iterator[Any]:
        fault = self._fault
        ends = fault is not None and fault.at_end and self._fails(Call("list", prefix)) and self._seen > fault.earlier
        return self._then_fail(children) if ends else children

    def _then_fail(self, children: Iterator[Any]) -> Iterator[Any]:
        yield from children
        self._fail()

    def _fails(self, call: Call) -> bool:
        return self._fault is not None and call[:2] == self._fault.call[:2]

    def _fail(self) -> None:
        raise OSError(self._number, "made to fail by the scenario")


def _faulty(driver: Driver, fault: _Fault | None = None, number: int = errno.EIO) -> tuple[LayerService, list[Call]]:
    """Make a service of which some calls fail, and return it with the list of its calls."""
    faulty = _FaultyDriver(driver, fault, number)
    return LayerService(CheckedDriver(faulty)), faulty.calls


def _each_failing(ctx: Context, driver: Driver, calls: list[Call]) -> Iterator[tuple[LayerService, _Fault]]:
    """Yield a service of which one of these calls fails, and those like it from then on; then of which another does.

    Of calls on keys that differ by a name or a digest only, one fails: the last of them.
    """
    seen, faults = Counter[tuple[str, str]](), dict[tuple[str, str, bool], _Fault]()
    for call in calls:
        shape = _NAMED.sub("/", call.key)
        for at_end in (False, True) if call.method == "list" else (False,):
            faults[call.method, shape, at_end] = _Fault(call, seen[call[:2]], at_end)
        seen[call[:2]] += 1
    for index, fault in enumerate(faults.values()):
        ctx.count("failures")
        yield _faulty(driver, fault, ERRORS[index % len(ERRORS)])[0], fault


class _Asked(NamedTuple):
    """Something that is asked of a service, and how its answer may say that it is not whole."""

    of: Callable[[LayerService], Any]
    told: Callable[[Any, Any], object] = lambda answer, whole: False
    """Takes an answer, and that of a healthy store."""


def _answered(asked: _Asked, service: LayerService) -> Any:  # noqa: ANN401  (the answer)
    """Return the answer, or the error by which the service says that the backend has failed."""
    try:
        return asked.of(service)
    except (PathNotFoundError, FencedError):
        raise  # the backend has said nothing of the kind
    except (DriverError, MarkingIncompleteError) as error:
        return error


def _read(service: LayerService, name: str, wanted: str) -> bytes:
    with service.fetch(name, wanted) as layer:
        return layer.read()


def _resumed(service: LayerService, uuid: str) -> tuple[int, str]:
    with closing(service.resume("a", uuid)) as upload:
        return upload.tell(), str(upload.started_at)


def _unlinked(ctx: Context, service: LayerService, wanted: str) -> bool:
    key = link("c", wanted)
    ctx.driver.put(key, wanted.encode())
    service.unlink("c", wanted)
    return ctx.driver.find(key) is None


def _cancelled(ctx: Context, service: LayerService) -> bool:
    keys = layout.UploadKeys("c", f"{1:08}-0000-0000-0000-{0:012}")
    ctx.driver.put(keys.started_at, b"2015-01-27T00:00:00Z")
    service.cancel("c", keys.uuid)
    return ctx.driver.find(keys.started_at) is None


def _told_unreadable(found: Any, whole: Any) -> bool:  # noqa: ANN401  (findings of a scrub)
    unreadable = {each for each in found if each.kind == "unreadable"}
    return bool(unreadable) and set(found) - unreadable <= set(whole)


def _told_failed(report: Any, whole: Any) -> bool:  # noqa: ANN401  (the report of a purge or a collection)
    return bool(report.failed) and all(
        each in [*whole.removed, *whole.kept] for each in [*report.removed, *report.kept]
    )


def _asked(ctx: Context) -> dict[str, _Asked]:
    """Store one of everything, and return what is asked about it."""
    service, data = ctx.service(), archive("in", "a", "layer")
    wanted = store(service, "a", data)
    names = [wanted, f"sha512:{hashlib.sha512(data).hexdigest()}", tarsum_of(data)]
    for name in names[1:]:
        service.driver.put(link("a", name), wanted.encode())
    images = Images(service, "b/c")
    for label in ("used", "idle"):
        images.layer(label)
    images.image("image", "used")
    images.tag("latest", "image")
    uuids = [begin(service, "a", b"begun"), moved_only(ctx, ctx.payload("moved").read(SMALL)).uuid]
    ctx.driver.put(link("a", digest(b"gone")), digest(b"gone").encode())
    now = later()
    return {
        "exists": _Asked(lambda service: [service.exists("a", name) for name in names]),
        "renew": _Asked(lambda service: [service.renew("a", name) for name in names]),
        "fetch": _Asked(lambda service: [_read(service, "a", name) for name in names]),
        "redirect_url": _Asked(lambda service: service.redirect_url("a", wanted) is None),
        "status": _Asked(lambda service: [service.status("a", uuid) for uuid in uuids]),
        "resume": _Asked(lambda service: [_resumed(service, uuid) for uuid in uuids]),
        "mount": _Asked(lambda service: service.mount("d", wanted, source="a").read()),
        "unlink": _Asked(lambda service: _unlinked(ctx, service, wanted)),
        "cancel": _Asked(lambda service: _cancelled(ctx, service)),
        "repositories": _Asked(lambda service: list(service.repositories())),
        "layers": _Asked(lambda service: list(service.layers())),
        "layers of one": _Asked(lambda service: list(service.layers("a"))),
        "uploads": _Asked(lambda service: list(service.uploads())),
        "uploads of one": _Asked(lambda service: list(service.uploads("a"))),
        "scrub": _Asked(lambda service: list(service.scrub()), _told_unreadable),
        "purge": _Asked(lambda service: service.purge(WEEK, dry_run=True, now=now), _told_failed),
        "collect": _Asked(lambda service: service.collect(dry_run=True, now=now), _told_failed),
    }


@scenario(
    *("E1", "L1", "S3"),
    kills=(
        "listed-if-it-can-be-opened",
        "listed-if-its-state-is-known",
        "what-cannot-be-asked-is-not-there",
        "unlinked-for-all-it-saw",
    ),
    rows=(164,),
    profile="default",
)
def a_failing_call_is_never_an_answer(ctx: Context) -> None:
    """If any call of the driver fails, a method of the service raises that, or its answer is that of a healthy store.

    A scrub, a purge or a collection may report it instead. A client that hears that a layer is not there uploads it
    once more; an operator who sees a short list deletes what is not on it.
    """
    questions, driver = _asked(ctx), RememberedDriver(ctx.open())
    for name, asked in questions.items():
        service, calls = _faulty(driver)
        whole = asked.of(service)
        for failing, fault in _each_failing(ctx, driver, list(calls)):
            answer = _answered(asked, failing)
            told = isinstance(answer, Exception) or answer == whole or asked.told(answer, whole)
            assert told, f"{name}: {fault} failed, and the answer is {answer}, not {whole}"


@scenario("E1", "L3", "M4", kills=("drops-before-it-marks",), rows=(119, 164))
def a_collection_that_cannot_mark_drops_no_link(ctx: Context) -> None:
    """If anything in any repository cannot be listed or read, no link of any repository is dropped.

    Links that are dropped before that free nothing, and cannot be put back.
    """
    data, now = ctx.payload("idle").read(SMALL), later()
    for name in ("a", "b"):
        store(ctx.service(), name, data)
    driver = RememberedDriver(ctx.open())
    service, calls = _faulty(driver)
    service.collect(dry_run=True, now=now)
    before = ctx.stored()
    marks = [call for call in calls if call.key.startswith(layout.REPOSITORIES)]
    for failing, fault in _each_failing(ctx, driver, marks):
        with refused(MarkingIncompleteError):
            failing.collect(now=now, unreferenced=True)
        assert ctx.stored() == before, f"{fault} failed, and a link is dropped"
    for name in ("a", "b"):
        ctx.expect(link(name, digest(data)), digest(data).encode())


@scenario("E1", "L3", "M4", kills=("unread-manifests-refer-to-nothing",), rows=(120, 164))
def a_repository_that_cannot_be_read_stays_whole(ctx: Context) -> None:
    """If a manifest, a tag or a link of a repository cannot be read, none of its links is dropped, and that is told.

    A manifest that cannot be read at this moment refers to layers all the same.
    """
    images = Images(ctx.service(), "a")
    for label in ("config", "layer", "idle"):
        images.layer(label)
    images.image("image", "config", "layer")
    images.tag("latest", "image")
    driver, now = RememberedDriver(ctx.open()), later()

    def dropped(service: LayerService) -> list[str]:
        found = service.collect(dry_run=True, now=now, unreferenced=True, untagged=True).dropped
        return ["skipped"] if found.skipped else [str(each.digest) for each in found.removed]

    service, calls = _faulty(driver)
    assert dropped(service) == [str(images.digests["idle"])]
    read = [call for call in calls if "/_" in call.key or call.method in ("open_reader", "read_at")]
    for failing, fault in _each_failing(ctx, driver, read):
        answer = _answered(_Asked(dropped), failing)
        told = isinstance(answer, Exception) or answer in (["skipped"], [str(images.digests["idle"])])
        assert told, f"{fault} failed, and dropped are {answer}"

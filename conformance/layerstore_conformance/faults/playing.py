"""Lifecycles and other tasks under fault plans: how they go on after a failure, and which plans are tried."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from layerstore import LayerService, LayerStoreError, UnknownLayerError, UnknownUploadError, layout
from layerstore.checked import CheckedDriver
from layerstore.uploads.front import FRONT
from layerstore_conformance.faults.enduring import (
    FAILURES,
    NAME,
    Enduring,
    Yielding,
    collect,
    insist,
    purge,
    service_on,
)
from layerstore_conformance.faults.faulty import FaultyDriver
from layerstore_conformance.faults.plan import FaultPlan
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import begin, blob, link, store
from layerstore_conformance.kit.payloads import Payload, digest, expect_same
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.promises import lifecycles, theorem
from layerstore_conformance.promises.lifecycles import CHUNK, LIFECYCLES, TrackedUpload
from layerstore_conformance.steps.again import script

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

SAMPLES: Final = MappingProxyType({"quick": 1, "default": 3})
"""Plans of each lifecycle, beside those that are always tried; the full profile tries every plan in every way."""

DEALT: Final = MappingProxyType({"quick": 2, "default": 12, "full": 2000})
"""Plans of a scenario that deals them."""

LARGE: Final = FRONT
"""Bytes of a chunk that goes to the driver as it is, while a second thread hashes it."""

T = TypeVar("T")

Lifecycle = Callable[[TrackedUpload], None]


class Stage(NamedTuple):
    """A store of its own, and a driver on it that fails by a plan."""

    faulty: FaultyDriver
    beside: CheckedDriver
    seed: int
    chunk: int

    def insist(self, step: Callable[[], T]) -> T:
        """Repeat a step until it succeeds."""
        return insist(step, self.faulty)

    def insist_gone(self, step: Callable[[], object]) -> None:
        """Remove something, and repeat until it is gone; it may be gone after a step that failed."""
        self.insist(lambda: _unless_gone(step))


def _unless_gone(step: Callable[[], object]) -> None:
    with suppress(UnknownLayerError, UnknownUploadError):
        step()


def endured(stage: Stage, lifecycle: Lifecycle) -> None:
    """Repeat every step until it succeeds, and check that it has ended as if nothing had failed."""
    tracked = Enduring(stage.faulty, stage.beside, seed=stage.seed, chunk=stage.chunk)
    lifecycle(tracked)
    tracked.check()


def yielded(stage: Stage, lifecycle: Lifecycle) -> None:
    """Give up every write that fails, and finish with the stored bytes."""
    tracked = Yielding(stage.faulty, stage.beside, seed=stage.seed, chunk=stage.chunk)
    lifecycle(tracked)
    tracked.check()


def finished_anew(stage: Stage, lifecycle: Lifecycle) -> None:
    """Give up at the first failure; another one, on a driver that works, resumes the upload and finishes it."""
    _given_up(stage, lifecycle, theorem.finish_again)


def cancelled_anew(stage: Stage, lifecycle: Lifecycle) -> None:
    """Give up at the first failure; another one, on a driver that works, cancels the upload."""
    _given_up(stage, lifecycle, theorem.cancel_again)


def _given_up(stage: Stage, lifecycle: Lifecycle, ending: theorem.Ending) -> None:
    tracked = TrackedUpload(service_on(stage.faulty), NAME, seed=stage.seed, chunk=stage.chunk)
    try:
        lifecycle(tracked)
    except FAILURES as error:
        error.__traceback__ = None  # it holds the open handles
    except AssertionError:
        if not tracked.purging:  # a purge does not raise its errors, it reports them
            raise
    tracked.abandon()
    assert not stage.faulty.open_handles, f"{stage.faulty.open_handles} readers and writers are left open"
    theorem.check_cut_off(LayerService(stage.beside), tracked, ending)


def named_otherwise(stage: Stage) -> None:
    """Finish by a sha512, and again by a tarsum: each is a link of its own, to one blob."""
    data = archive("a", "b")
    names = [f"sha512:{hashlib.sha512(data).hexdigest()}", tarsum_of(data)]
    service = service_on(stage.faulty)
    for wanted in names:
        _finish_by(stage, service, data, wanted)
    keys = {blob(data), *(link(NAME, wanted) for wanted in [*names, digest(data)])}
    found = set(keys_below(stage.beside, ""))
    assert {key for key in found if not key.endswith("/startedat")} == keys, f"there are {sorted(found)}"
    theorem.check_store(stage.beside)
    assert not stage.faulty.open_handles, f"{stage.faulty.open_handles} readers and writers are left open"


def _finish_by(stage: Stage, service: LayerService, data: bytes, wanted: str) -> None:
    upload = stage.insist(lambda: service.upload(NAME))
    stage.insist(lambda: upload.write(data))
    stage.insist(lambda: upload.finish(wanted)).close()


def read(stage: Stage) -> None:
    """Read a layer in pieces, and repeat each until it succeeds."""
    data = Payload("read", stage.seed).read(12_000)
    store(LayerService(stage.beside), NAME, data)
    service = service_on(stage.faulty)
    layer = stage.insist(lambda: service.fetch(NAME, digest(data)))
    pieces = [stage.insist(lambda: layer.read(3000)) for _ in range(4)]
    expect_same(b"".join(pieces), data, "a layer that was read in pieces")
    layer.close()
    assert not stage.faulty.open_handles, f"{stage.faulty.open_handles} readers are left open"


def kept_house(stage: Stage) -> None:
    """Mount, unlink, cancel, list, purge and collect, and repeat each until it succeeds."""
    one, two = (Payload(label, stage.seed).read(4000) for label in ("one", "two"))
    service = service_on(stage.faulty)
    for data in (one, two):
        stage.insist(lambda: store(service, "house/a", data))  # noqa: B023  (called at once)
    stage.insist(lambda: service.mount("house/b", digest(one), source="house/a"))
    stage.insist_gone(lambda: service.unlink("house/a", digest(one)))
    stage.insist_gone(lambda: service.unlink("house/a", digest(two)))
    gone, kept = (stage.insist(lambda: begin(service, "house/b", b"bytes")) for _ in range(2))
    stage.insist_gone(lambda: service.cancel("house/b", gone))
    layers = stage.insist(lambda: [(info.name, str(info.digest)) for info in service.layers()])
    assert layers == [("house/b", digest(one))], f"the layers are said to be {layers}"
    uploads = stage.insist(lambda: [info.uuid for info in service.uploads() if info.offset])
    assert kept in uploads, f"the uploads are said to be {uploads}"
    assert gone not in uploads, f"an upload that is gone is listed: {gone}"
    later = datetime.now(UTC) + timedelta(days=2)
    stage.insist(lambda: purge(service, later))
    for removed in stage.insist(lambda: collect(service, later)):
        assert stage.beside.find(layout.blob(removed)) is None, f"said to be collected, and there: {removed}"
    collect(LayerService(stage.beside), later)  # a stale listing, or a failure half way, may keep a blob
    found = set(keys_below(stage.beside, ""))
    assert found == {blob(one), link("house/b", digest(one))}, f"kept: {sorted(found)}"
    theorem.check_store(stage.beside)


WAYS: Final[Mapping[str, Callable[[Stage, Lifecycle], None]]] = MappingProxyType(
    {each.__name__: each for each in (endured, finished_anew, yielded, cancelled_anew)}
)
"""How an upload goes on after a failure."""

TASKS: Final[Mapping[str, Callable[[Stage], None]]] = MappingProxyType(
    {each.__name__: each for each in (named_otherwise, read, kept_house)}
)
"""Tasks that are no lifecycles; every step is repeated until it succeeds."""


def play(ctx: Context, work: str, plan: str, way: str = "endured", *, chunk: int = CHUNK) -> FaultyDriver:
    """Run a lifecycle or a task under a plan, and check its end.

    Raises:
        AssertionError: the check failed; the message has a script that does it again.
    """
    place = f"plan-{ctx.counts['fault plans']}"
    ctx.count("fault plans")
    ctx.step(f"{work}, {way}, under the plan: {plan}")
    with ctx.handles():
        faulty = FaultyDriver(PrefixedDriver(ctx.open(), place), FaultPlan.parse(plan))
        stage = Stage(faulty, CheckedDriver(PrefixedDriver(ctx.open(), place), "beside"), ctx.seed, chunk)
        try:
            if work in TASKS:
                TASKS[work](stage)
            else:
                WAYS[way](stage, getattr(lifecycles, work))
        except (AssertionError, LayerStoreError) as error:
            call = f"play(ctx, {work!r}, {plan!r}, {way!r}, chunk={chunk})"
            raise AssertionError(_message(ctx, faulty, call, error)) from error
    return faulty


def _message(ctx: Context, faulty: FaultyDriver, call: str, error: Exception) -> str:
    said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    struck = "; ".join(faulty.struck[-3:]) or "nothing yet"
    again = script(ctx, "from layerstore_conformance.faults.playing import play", [call])
    return f"{said}\nunder the plan: {faulty.plan}\nstruck last: {struck}\nagain, in Python:\n{again}"


def under_each(ctx: Context, work: str, *always: tuple[str, str], chunk: int = CHUNK) -> None:
    """Run it under each plan of one fault that the profile has, and under those of ``always``, with their ways."""
    calls = play(ctx, work, "", chunk=chunk).counted()
    for plan, way in [*always, *_chosen(ctx, work, list(FaultPlan.singles(calls)))]:
        play(ctx, work, plan, way, chunk=chunk)


def _chosen(ctx: Context, work: str, plans: list[FaultPlan]) -> Iterator[tuple[str, str]]:
    ways = ["endured"] if work in TASKS else list(WAYS)
    if ctx.profile == "full":
        yield from ((str(plan), way) for plan in plans for way in ways)
        return
    for turn, plan in enumerate(ctx.random.sample(plans, min(len(plans), ctx.size(SAMPLES[ctx.profile])))):
        yield str(plan), ways[turn % len(ways)]


def dealt(ctx: Context, deal: Callable[[int], str]) -> None:
    """Run a random lifecycle in a random way under each of some plans, which are dealt by a number."""
    for turn in range(ctx.size(DEALT[ctx.profile])):
        number = ctx.seed * 100_000 + turn
        choose = random.Random(number)
        play(ctx, choose.choice(LIFECYCLES).__name__, deal(number), choose.choice(list(WAYS)))

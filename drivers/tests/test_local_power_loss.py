"""Power lost at any moment of an upload's life: what was not synced is gone, or there, or half there (C4).

The calls that change files are recorded as the driver makes them. For every moment between two of them, trees are
rebuilt that a disk may show after it, and on each a fresh service must find that the theorem holds. That is a sample by
seed; ``LAYERSTORE_EXHAUSTIVE=1`` has every moment with every kind of loss, and more mixtures.
"""

import copy
import gc
import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore import LayerService, LayerStoreError, layout
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.powerloss.losses import LOSSES, Loss, all_lost, rebuild, some_lost
from layerstore_conformance.powerloss.recorder import Killed, Recorder
from layerstore_conformance.promises import theorem
from layerstore_conformance.promises.lifecycles import LIFECYCLES, TrackedUpload
from layerstore_conformance.promises.promise import Promise
from layerstore_conformance.promises.theorem import Ending
from layerstore_drivers.local import LocalDriver, system

if TYPE_CHECKING:
    from tests.local_area import left_over
    from tests.local_rebuilt import end_renames, renumber
else:
    from local_area import left_over
    from local_rebuilt import end_renames, renumber

pytestmark = pytest.mark.once

EXHAUSTIVE = "LAYERSTORE_EXHAUSTIVE" in os.environ
SEED = 4
NAME = "library/power"
MIXTURES = 20 if EXHAUSTIVE else 3
"""Random losses for each moment, beside one of each other kind."""


def tangled(life: TrackedUpload) -> None:
    """Append and do not flush, go back instead; and again, with more each time, so that old numbers come back."""
    life.begin()
    for step in range(1, 5):
        life.write()
        life.flush()
        life.write()
        life.seek(step * life.chunk // 2)
        life.write(4 * life.chunk, Payload("again", step))
        life.flush()
        life.seek(step)
        life.write(6 * life.chunk, Payload("again", step))
        life.flush()
        life.seek(len(life.content))
    life.close()
    life.resume()
    life.finish()


def _so_far(life: TrackedUpload) -> Promise:
    """Return what is promised by now, and stays so."""
    promise = copy.copy(life)
    promise.content, promise.possible = bytearray(life.content), set(life.possible)
    promise.steps, promise.kept = list(life.steps), list(life.kept)
    promise.abandon()
    del promise.service
    return promise


@contextmanager
def _recording(recorder: Recorder) -> Iterator[None]:
    """Record, and what is opened by openat2, too."""
    openat2 = system._openat2()

    def noted(directory: int, path: str, flags: int) -> int:
        assert openat2 is not None
        fd = openat2(directory, path, flags)
        recorder.opened(fd, path, directory)
        return fd

    with recorder.recording(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "_openat2", lambda: openat2 and noted)
        yield
    recorder.probe = dict  # a life has a driver, whose descriptors' finalizers have the recorder: none would go


def _record(root: Path, lifecycle: Callable[[TrackedUpload], None], *, reuse: bool) -> Recorder:
    """Record a life."""
    root.mkdir()
    life = TrackedUpload(LayerService(LocalDriver(root)), NAME)
    recorder = Recorder(root, lambda: _so_far(life), reuse=reuse)
    with _recording(recorder):
        lifecycle(life)
        life.abandon()
        life.service.close()
    return recorder


def _record_two(root: Path, lifecycle: Callable[[TrackedUpload], None], dies_at: int, ending: Ending) -> Recorder:
    """Record a life that is killed at a call, and how another process ends it."""
    root.mkdir()
    life = TrackedUpload(LayerService(LocalDriver(root)), NAME)
    recorder = Recorder(root, lambda: _so_far(life), reuse=True)
    recorder.dies_at = dies_at
    with _recording(recorder):
        try:
            lifecycle(life)
        except (Killed, LayerStoreError, OSError, AssertionError):
            assert recorder.dead
        life.abandon()
        life.service = LayerService(LocalDriver(root))
        gc.collect()
        assert recorder.dead
        recorder.dead, recorder.dies_at = False, None
        if theorem.check_upload(life.service, life):
            ending(life.service, life)
    return recorder


def _finish(service: LayerService, promise: Promise) -> None:
    """Finish what was cut off."""
    promise.finishing = True
    theorem.finish_again(service, promise)
    promise.finished = True


def _cancel(service: LayerService, promise: Promise) -> None:
    """Cancel what was cut off."""
    promise.cancelling, promise.finishing = True, False
    theorem.cancel_again(service, promise)
    promise.cancelled = True


def _close(service: LayerService, promise: Promise) -> None:
    """Resume and close what was cut off."""
    assert promise.uuid is not None
    found = theorem.stored(service.driver, promise)
    service.resume(promise.name, promise.uuid, offset=len(found)).close()
    promise.promised, promise.possible = found, {found}


def _go_on(service: LayerService, promise: Promise) -> None:
    """Write more than there was, if it can still be written, and finish with that."""
    assert promise.uuid is not None
    if service.driver.find(layout.UploadKeys(promise.name, promise.uuid).data) is None:
        theorem.finish_again(service, promise)
        return
    content = theorem.stored(service.driver, promise) + b"and more"
    upload = service.resume(promise.name, promise.uuid)
    upload.write(b"and more")
    assert upload.finish(digest(content)).read() == content
    theorem.check_nothing_left(service.driver, promise)


ENDINGS: tuple[Ending, ...] = (theorem.finish_again, theorem.cancel_again, _go_on)


def _check(top: Path, promise: Promise, ending: Ending) -> None:
    """Check a rebuilt tree as a fresh service finds it, and again when that has brought all uploads to an end."""
    end_renames(top)
    service = LayerService(LocalDriver(top))
    theorem.check_cut_off(service, promise, ending)
    service.driver.put("any", b"")
    assert left_over(top) == [], "left in the private area"


class Disks:
    """Trees rebuilt and checked, and how many."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.checked = 0
        self._numbers = itertools.count()

    def new(self) -> Path:
        """Name another directory."""
        return self.where / str(next(self._numbers))

    def check(self, recorder: Recorder, time: int, loss: Loss, what: object) -> None:
        """Check what is left after a loss of power."""
        top = self.new()
        numbers = rebuild(recorder, loss(recorder, time), top)
        if numbers is None:
            return
        self.checked += 1
        renumber(top, numbers)
        try:
            _check(top, copy.copy(recorder.moments[time]), ENDINGS[self.checked % len(ENDINGS)])
        except (AssertionError, LayerStoreError) as error:
            error.add_note(f"tree {self.checked}, {what} after {recorder.moments[time]}")
            raise


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Disks]:
    """Check trees, without a sync, and report how many there were."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)
    monkeypatch.setattr("layerstore_drivers.local.area._STRIPES", 2)  # nothing is in a lock, and 64 are much to rebuild
    disks = Disks(tmp_path)
    yield disks
    request.node.user_properties.append(("trees", disks.checked))  # as record_property, which warns in xunit2


every_life = pytest.mark.parametrize("lifecycle", [*LIFECYCLES, tangled], ids=lambda lifecycle: lifecycle.__name__)


@every_life
@pytest.mark.parametrize("reuse", [True, False], ids=["numbers reused", "numbers new"])
def test_power_may_be_lost_at_any_moment(disks: Disks, lifecycle: Callable[[TrackedUpload], None], reuse: bool) -> None:
    """Whatever is lost of what was not synced: the promised is there, all else is old or new, and all goes on (C4)."""
    recorder = _record(disks.new(), lifecycle, reuse=reuse)
    chance = random.Random(SEED)
    plans = [(time, name) for time in range(recorder.time + 1) for name in (*LOSSES, *["mixture"] * MIXTURES)]
    for time, name in plans if EXHAUSTIVE else chance.sample(plans, 40):
        seed = chance.randrange(1 << 32)
        disks.check(recorder, time, LOSSES.get(name) or some_lost(seed), f"{name} of call {time}, seed {seed}")


@every_life
def test_power_may_be_lost_after_another_process_was_killed(
    disks: Disks, lifecycle: Callable[[TrackedUpload], None]
) -> None:
    """Who was killed may not have synced what is seen: whoever builds on it does, before anything is promised (C4)."""
    chance = random.Random(SEED)
    losses = LOSSES if EXHAUSTIVE else {"all lost": all_lost}
    calls = (
        _record(disks.new(), lifecycle, reuse=True).time - 1
    )  # the last one ends the session, when that is collected
    for dies_at, ending in _deaths(calls, chance):
        recorder = _record_two(disks.new(), lifecycle, dies_at, ending)
        for name, loss in {**losses, "mixture": some_lost(dies_at)}.items():
            disks.check(recorder, recorder.time, loss, f"{name}, {ending.__name__} after a kill at call {dies_at}")


def _deaths(calls: int, chance: random.Random) -> list[tuple[int, Ending]]:
    """Return at which calls to die, and what another process is to do then."""
    endings: tuple[Ending, ...] = (_finish, _cancel, _close)
    if EXHAUSTIVE:
        return list(itertools.product(range(calls), endings))
    return [(dies_at, chance.choice(endings)) for dies_at in chance.sample(range(calls), 36)]

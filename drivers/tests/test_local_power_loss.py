"""Power lost at any moment of an upload's life: what was not synced is gone, or there, or half there (C4).

The calls that change files are recorded as the driver makes them. For every moment between two of them, trees are
rebuilt that a disk may show after it, and on each a fresh service must find that the theorem holds. That is a sample by
seed; ``LAYERSTORE_EXHAUSTIVE=1`` has every moment with every kind of loss, and more mixtures.

A rebuilt file has another inode number and another time of its last change than the driver saw. The records and saved
hash states that name them are written with the new ones, and the records as those of an earlier run of the system, so
that the driver believes exactly what it would after a real loss of power.
"""

import copy
import gc
import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore import LayerService, LayerStoreError, layout
from layerstore.hashing import uploadstate
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.powerloss.losses import LOSSES, Loss, Rebuilt, all_lost, rebuild, some_lost
from layerstore_conformance.powerloss.recorder import Killed, Recorder
from layerstore_conformance.promises import theorem
from layerstore_conformance.promises.lifecycles import LIFECYCLES, TrackedUpload
from layerstore_conformance.promises.promise import Promise
from layerstore_conformance.promises.theorem import Ending
from layerstore_drivers.local import LocalDriver, record, system

if TYPE_CHECKING:
    from tests.local_area import left_over
else:
    from local_area import left_over

pytestmark = pytest.mark.once

EXHAUSTIVE = "LAYERSTORE_EXHAUSTIVE" in os.environ
SEED = 4
NAME = "library/power"
MIXTURES = 20 if EXHAUSTIVE else 3
"""Random losses for each moment, beside one of each other kind."""
GONE = 1 << 60
"""Added to the number of a file that the loss has taken: no other may have it."""


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


def _renumber(top: Path, numbers: dict[int, Rebuilt]) -> None:
    """Write the new numbers of files where the driver has noted the old ones."""
    for path in (top / ".layerstore" / "writers").glob("*"):
        _rewrite(path, _renumbered_record(path.read_bytes(), numbers))
    for path in (top / layout.REPOSITORIES).glob("**/_uploads/*/state"):
        _rewrite(path, _renumbered_state(path.read_bytes(), numbers))


def _rewrite(path: Path, content: bytes) -> None:
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _renumbered_record(content: bytes, numbers: dict[int, Rebuilt]) -> bytes:
    changed = bytearray(content)
    for at in (0, record.BLOCK):
        state = record._decode(content[at : at + record._SLOT.size])
        if state and state.now.inode:
            version, now = _renumbered(state.version, numbers), _renumbered(state.now, numbers)
            former = _renumbered(record.NOTHING._replace(inode=state.former), numbers).inode if state.former else 0
            new = state._replace(version=version, now=now, former=former, boot=b"an earlier run..")
            changed[at : at + record._SLOT.size] = record._encode(new)
    return bytes(changed)


def _renumbered(identity: record.Identity, numbers: dict[int, Rebuilt]) -> record.Identity:
    new = numbers.get(identity.inode)
    if new is None:
        return identity._replace(inode=GONE + identity.inode)
    ctime_ns = new.ctime_ns if identity.ctime_ns == new.kept_ctime_ns else identity.ctime_ns
    return identity._replace(inode=new.number, ctime_ns=ctime_ns)


def _renumbered_state(content: bytes, numbers: dict[int, Rebuilt]) -> bytes:
    try:
        body = json.loads(content)
        checksum = body.pop("checksum")
    except ValueError:
        return content
    assert checksum == uploadstate._checksum(body), "a state that was put is whole"
    version = record.Identity(*(int(number, 16) for number in body["version"].split("-")))
    body["version"] = str(_renumbered(version, numbers))
    return json.dumps(body | {"checksum": uploadstate._checksum(body)}).encode("ascii")


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


def _end_renames(top: Path) -> None:
    """Remove the temporary names that objects have kept, as the first write of a driver does.

    That changes the version of such an object, once: a purge under way passes over it, and the next one does not.
    """
    for path in (top / ".layerstore" / "tmp").glob("*"):
        if path.stat().st_nlink > 1:
            path.unlink()


def _check(top: Path, promise: Promise, ending: Ending) -> None:
    """Check a rebuilt tree as a fresh service finds it, and again when that has brought all uploads to an end."""
    _end_renames(top)
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
        _renumber(top, numbers)
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

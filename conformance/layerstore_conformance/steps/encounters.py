"""Encounters: calls on one object, and what another handle does in the middle of them; what each has found of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import BackendUnavailableError, PathNotFoundError, Writer
from layerstore_conformance.kit.keys import keys_below

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Scanned, Stat

WHOLE = 1 << 40
"""More bytes than an object has."""


AROUND: Final = ("a", "z")
"""Names of objects beside the one that calls change, where they list."""


class Seen(NamedTuple):
    """What a look has found of an object; None for what it does not tell."""

    size: int
    version: str | None
    modified: datetime | None = None
    data: bytes | None = None


class Listed(NamedTuple):
    """What a listing and a scan have yielded."""

    listing: list[str]
    scan: list[Scanned]


class Stage:
    """Some keys of one store, and two handles on it: ours, whose call is disturbed, and theirs."""

    def __init__(self, ours: CheckedDriver, theirs: CheckedDriver, below: str, size: int) -> None:
        """Store the object that both use."""
        self.ours, self.theirs, self.size = ours, theirs, size
        self.below, self.folder = below, f"{below}/in"
        self.key = f"{self.folder}/key"
        self.our_writer: Writer | None = None
        self.their_writer: Writer | None = None
        self.before: Stat | None = None
        """The object's properties before the two calls, if there is one; and its bytes, if one of them looks."""
        self._bytes = b""
        ours.put(self.key, self.data("old"))

    def prepare(self, *works: Work) -> None:
        """Do what comes before calls, and look at the object."""
        for each in works:
            each.prepare(self)
        with suppress(PathNotFoundError):
            self.before = self.ours.stat(self.key)
            if any(each.looks for each in works):
                self._bytes = self.ours.get(self.key, WHOLE)

    def data(self, label: str) -> bytes:
        """Return bytes that are told apart by their label, of about the stage's size; their number tells it, too."""
        text = label.encode()
        return (text * (self.size // len(text) + 2))[: self.size + len(text)]

    def contents(self) -> dict[str, str]:
        """Return a short description of every object."""
        keys = [key.removeprefix(f"{self.below}/") for key in keys_below(self.theirs, self.below)]
        return {key: self._described(key) for key in keys}

    def _described(self, key: str) -> str:
        data = self.theirs.get(f"{self.below}/{key}", WHOLE)
        step = max(1, self.size)
        runs = [bytes(data[at : at + step]) for at in range(0, len(data), step)]
        return f"{len(data)} bytes: " + ", ".join(dict.fromkeys(run[:12].decode("ascii", "replace") for run in runs))

    def named(self, seen: object) -> object:
        """Return which object a look has found, if it was one: that of before, or the one that is there now."""
        if isinstance(seen, Listed):
            return "a listing" if self._lists(seen.listing) and self._lists(seen.scan) else f"{seen}"
        if not isinstance(seen, Seen):
            return seen
        objects = {"the old object": (self.before, self._bytes)}
        with suppress(PathNotFoundError):
            objects["the new object"] = self.theirs.stat(self.key), self.theirs.get(self.key, WHOLE)
        known = {name: each for name, each in objects.items() if each[0] and each[0].version == seen.version}
        for name, (stat, data) in (known or objects).items():  # one that is going may have a version of its own
            at_its_time = not known or seen.modified in {None, stat and stat.modified}
            if seen.size == len(data) and data.startswith(seen.data or b"") and at_its_time:
                return name
        return f"neither object: {seen}"

    def _lists(self, found: Sequence[Scanned]) -> bool:
        """Return whether a listing has what is there, in order; the object that changes may be missing (L2, L4)."""
        always = {child for child in self.theirs.list(self.folder) if child != self.key}
        known = sorted({*(f"{self.folder}/{name}" for name in AROUND), self.key})
        return [child for child in known if child in found] == found and always <= {*found}

    def discard(self) -> None:
        """Discard what is open."""
        for writer in (self.our_writer, self.their_writer):
            if writer is not None:
                writer.discard()


Step = Callable[[Stage], object]


def _nothing(stage: Stage) -> None:
    """Prepare nothing."""


class Work(NamedTuple):
    """A call, with the steps before it."""

    act: Step
    prepare: Step = _nothing
    looks: bool = False
    """Whether it changes nothing, and takes the key from nobody."""


def _open(stage: Stage) -> None:
    stage.our_writer = stage.ours.open_writer(stage.key)
    stage.our_writer.write(stage.data("our first"))


def _delete(stage: Stage) -> None:
    stage.ours.delete(stage.key)


def _open_new(stage: Stage) -> None:
    _delete(stage)
    _open(stage)


def _open_only(stage: Stage) -> None:
    stage.our_writer = stage.ours.open_writer(stage.key)


def _open_new_only(stage: Stage) -> None:
    _delete(stage)
    _open_only(stage)


def _rewrite(stage: Stage) -> None:
    stage.our_writer = stage.ours.open_writer(stage.key)
    stage.our_writer.seek(1)
    stage.our_writer.write(b"our rewrite")


def _flush_once(stage: Stage) -> None:
    _open(stage)
    _flush(stage)
    assert stage.our_writer is not None
    stage.our_writer.write(stage.data("our second"))


def _flush(stage: Stage) -> None:
    assert stage.our_writer is not None
    stage.our_writer.flush()


def _reopen(stage: Stage) -> int:
    _open_only(stage)
    assert stage.our_writer is not None
    return stage.our_writer.size


def _version(stage: Stage) -> str:
    return "none" if stage.before is None else stage.before.version


def _put(stage: Stage) -> None:
    stage.ours.put(stage.key, stage.data("our put"))


def _put_beside(stage: Stage) -> None:
    stage.ours.put(f"{stage.below}/source", stage.data("our source"))


def _put_beside_only(stage: Stage) -> None:
    _put_beside(stage)
    _delete(stage)


def _move_over(stage: Stage) -> None:
    stage.ours.move(f"{stage.below}/source", stage.key)


def _move_version(stage: Stage) -> None:
    stage.ours.move(stage.key, f"{stage.below}/away", version=_version(stage))


WORKS: dict[str, Work] = {
    "a put": Work(_put),
    "a flush": Work(_flush, _open),
    "a flush of a new object": Work(_flush, _open_new),
    "a second flush": Work(_flush, _flush_once),
    "an opening": Work(_reopen),
    "a move over it": Work(_move_over, _put_beside),
    "a move away": Work(lambda stage: stage.ours.move(stage.key, f"{stage.below}/away")),
    "a move of a version": Work(_move_version),
    "a delete": Work(_delete),
}
"""Calls that are disturbed."""


def _stat(driver: CheckedDriver, key: str) -> Seen:
    found = driver.stat(key)
    return Seen(found.size, found.version, found.modified)


def _read(driver: CheckedDriver, key: str) -> Seen:
    """Read to the end, or until the version is gone (R4)."""
    data = b""
    with driver.open_reader(key) as reader:
        with suppress(BackendUnavailableError):
            data = reader.readall()
            assert len(data) == reader.size, f"a reader of {reader.size} bytes ends after {len(data)}"
        return Seen(reader.size, reader.version, data=data)


def _put_around(stage: Stage) -> None:
    for name in AROUND:
        stage.ours.put(f"{stage.folder}/{name}", b"always there")


def _list(stage: Stage) -> Listed:
    return Listed([*stage.ours.list(stage.folder)], [*stage.ours.scan(stage.folder)])


MORE_WORKS: dict[str, Work] = {
    "a flush of a rewrite": Work(_flush, _rewrite),
    "a flush of nothing": Work(_flush, _open_only),
    "a flush of nothing, of a new object": Work(_flush, _open_new_only),
    "a put of a new object": Work(_put, _delete),
    "an opening of a new object": Work(_reopen, _delete),
    "a move to a new key": Work(_move_over, _put_beside_only),
    "a delete of the prefix": Work(lambda stage: stage.ours.delete(stage.folder), _put_around),
    "a stat": Work(lambda stage: _stat(stage.ours, stage.key), looks=True),
    "a reading": Work(lambda stage: _read(stage.ours, stage.key), looks=True),
    "a listing": Work(_list, _put_around, looks=True),
}
"""Others, for drivers on which it costs little to disturb them."""


def _their_flush(stage: Stage) -> None:
    stage.their_writer = stage.theirs.open_writer(stage.key)
    stage.their_writer.seek(0)
    stage.their_writer.write(stage.data("their flush"))
    stage.their_writer.flush()


def _their_move(stage: Stage) -> None:
    stage.theirs.move(f"{stage.below}/theirs", stage.key)


def _put_theirs(stage: Stage) -> None:
    stage.theirs.put(f"{stage.below}/theirs", stage.data("their source"))


def _their_opening(stage: Stage) -> int:
    stage.their_writer = stage.theirs.open_writer(stage.key)
    return stage.their_writer.size


def _open_theirs(stage: Stage) -> None:
    _their_opening(stage)
    assert stage.their_writer is not None
    stage.their_writer.write(stage.data("their first"))


def _flush_theirs(stage: Stage) -> None:
    assert stage.their_writer is not None
    stage.their_writer.flush()


RIVALS: dict[str, Work] = {
    "a put": Work(lambda stage: stage.theirs.put(stage.key, stage.data("their put"))),
    "a flush": Work(_their_flush),
    "an opening": Work(_their_opening),
    "a move over it": Work(_their_move, _put_theirs),
    "a move away": Work(lambda stage: stage.theirs.move(stage.key, f"{stage.below}/gone")),
    "a delete": Work(lambda stage: stage.theirs.delete(stage.key)),
    "a reading": Work(lambda stage: _read(stage.theirs, stage.key), looks=True),
}
"""What another handle does in the meantime."""

MORE_RIVALS: dict[str, Work] = {
    "a flush of an earlier writer": Work(_flush_theirs, _open_theirs),
    "a flush of nothing, of an earlier writer": Work(_flush_theirs, _their_opening),
    "a move of a version": Work(
        lambda stage: stage.theirs.move(stage.key, f"{stage.below}/gone", version=_version(stage))
    ),
    "a delete of the prefix": Work(lambda stage: stage.theirs.delete(stage.folder)),
    "a stat": Work(lambda stage: _stat(stage.theirs, stage.key), looks=True),
}
"""Others, as of :data:`MORE_WORKS`."""

ALL_WORKS: Final = WORKS | MORE_WORKS
ALL_RIVALS: Final = {name: rival for name, rival in (RIVALS | MORE_RIVALS).items() if rival.act is not _their_flush}
"""Single calls: in the middle of an opening and its flush, the call that is disturbed may come in turn."""

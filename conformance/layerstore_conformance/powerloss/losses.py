"""The trees that a disk may show after a loss of power, rebuilt from the recorded calls before it.

Every directory and every file is independent: it has its last synced state, or any state since. The bytes of a file may
be a mixture of blocks of different age. Only a rename is never half done the bad way: a name that is gone from one
directory is in the other.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from layerstore_conformance.powerloss.recording import Data, Node, Recording

if TYPE_CHECKING:
    from pathlib import Path

Loss = Callable[[Recording, int], dict[Node, Any]]
"""Returns the state of each file and directory after a loss of power, by the number of calls before it."""


class Rebuilt(NamedTuple):
    """The attributes of a kept file that no program can choose: its inode number, and its time of change."""

    number: int
    kept_ctime_ns: int
    ctime_ns: int


def nothing_lost(recording: Recording, time: int) -> dict[Node, Any]:
    """Keep everything, as when only the process is killed."""
    return {node: node.may_be(time)[-1][1] for node in _existing(recording, time)}


def all_lost(recording: Recording, time: int) -> dict[Node, Any]:
    """Keep only synced states."""
    return {node: node.may_be(time)[0][1] for node in _existing(recording, time)}


def bytes_lost(recording: Recording, time: int) -> dict[Node, Any]:
    """Keep all names, but only the synced bytes of files."""
    return _mixed(recording, time, lambda node, versions: versions[-1 if node.is_directory else 0][1])


def bytes_zeroed(recording: Recording, time: int) -> dict[Node, Any]:
    """Keep all names, sizes and times, with zeros for bytes that were not synced."""
    return _mixed(recording, time, lambda node, versions: versions[-1][1] if node.is_directory else _zeroed(versions))


def names_lost(recording: Recording, time: int) -> dict[Node, Any]:
    """Keep all bytes, but only synced names."""
    return _mixed(recording, time, lambda node, versions: versions[0 if node.is_directory else -1][1])


def some_lost(seed: int) -> Loss:
    """Keep random states, with files torn between blocks of 512 or 4,096 bytes."""

    def lose(recording: Recording, time: int) -> dict[Node, Any]:
        chance = random.Random(f"{seed} {time}")
        nodes = _existing(recording, time)
        kept = {node: chance.choice(node.may_be(time)) for node in nodes if node.is_directory}
        _complete_renames(recording, time, kept)
        torn = {node: _torn(node.may_be(time), chance) for node in nodes if not node.is_directory}
        return {node: version[1] for node, version in kept.items()} | torn

    return lose


def of_one(recording: Recording, time: int, since: int = 0) -> Iterator[tuple[str, dict[Node, Any]]]:
    """Yield what is kept if one file or directory is at an earlier state and all others at their newest; and reverse.

    The one is each in turn that has changed since another time.
    Whatever depends on the order of two syncs shows in one of these: a name and its bytes, a note and what it is about.
    """
    nodes = {node: node.may_be(time) for node in _existing(recording, time)}
    changed = {node: versions for node, versions in nodes.items() if versions[-1][0] >= since}
    for number, (node, versions) in enumerate(changed.items()):
        kind = f"{'directory' if node.is_directory else 'file'} {number}"
        for age, version in _earlier(node, versions):
            kept = {each: version if each is node else newest[-1] for each, newest in nodes.items()}
            _undo_renames(recording, time, kept)
            yield f"{kind} {age} states behind", _completed(recording, time, kept)
        if len(versions) > 1:
            kept = {each: versions[-1] if each is node else oldest[0] for each, oldest in nodes.items()}
            yield f"all but {kind} lost", _completed(recording, time, kept)


def _earlier(node: Node, versions: list[tuple[int, Any]]) -> Iterator[tuple[int, tuple[int, Any]]]:
    """Yield the oldest state, and the last two others, that differ from the newest in more than times."""
    told = [each[1] if node.is_directory else each[1].content for each in versions]
    differing = [at for at in range(len(told) - 1) if told[at] not in (told[at + 1], told[-1])]
    for at in sorted({*differing[:1], *differing[-2:]}):
        yield len(versions) - 1 - at, versions[at]


def _undo_renames(recording: Recording, time: int, kept: dict[Node, tuple[int, Any]]) -> None:
    """Put every file whose new name is lost under its old one, if that directory was not synced since."""
    for when, source, target in reversed(recording.renames):
        if when <= time and kept[source][0] >= when > kept[target][0]:
            before = [version for version in source.may_be(time) if version[0] < when]
            kept[source] = before[-1] if before else kept[source]


def _completed(recording: Recording, time: int, kept: dict[Node, tuple[int, Any]]) -> dict[Node, Any]:
    directories = {node: version for node, version in kept.items() if node.is_directory}
    _complete_renames(recording, time, directories)
    return {node: version[1] for node, version in {**kept, **directories}.items()}


LOSSES: dict[str, Loss] = {
    "nothing lost": nothing_lost,
    "all lost": all_lost,
    "bytes lost": bytes_lost,
    "bytes zeroed": bytes_zeroed,
    "names lost": names_lost,
}
"""All losses but the random ones."""


def rebuild(recording: Recording, kept: dict[Node, Any], top: Path) -> dict[int, Rebuilt] | None:
    """Make a tree of the kept states, and return the new attributes of each file, by its old inode number.

    A file that was kept under two names has both. Return None if two kept files have had the same number, one after the
    other: no disk keeps both.
    """
    places: dict[Node, Path] = {}
    _rebuild_directory(recording.root, kept, top, places)
    files = [node for node in places if not node.is_directory]
    if len({node.number for node in files}) < len(files):
        return None
    for node in files:
        places[node].write_bytes(kept[node].content)
        os.utime(places[node], ns=(kept[node].mtime_ns, kept[node].mtime_ns))
    return {node.number: _rebuilt(places[node].stat(), kept[node]) for node in files}


def _rebuilt(status: os.stat_result, kept: Data) -> Rebuilt:
    return Rebuilt(status.st_ino, kept.ctime_ns, status.st_ctime_ns)


def _rebuild_directory(directory: Node, kept: dict[Node, Any], path: Path, places: dict[Node, Path]) -> None:
    path.mkdir()
    for name, node in kept[directory].items():
        if node.is_directory:
            _rebuild_directory(node, kept, path / name, places)
        elif node in places:
            (path / name).hardlink_to(places[node])
        else:
            (path / name).touch()
            places[node] = path / name


def _existing(recording: Recording, time: int) -> list[Node]:
    return [node for node in recording.nodes if node.versions[0][0] <= time]


def _mixed(recording: Recording, time: int, keep: Callable[[Node, list[tuple[int, Any]]], Any]) -> dict[Node, Any]:
    return {node: keep(node, node.may_be(time)) for node in _existing(recording, time)}


def _zeroed(versions: list[tuple[int, Data]]) -> Data:
    old, new = versions[0][1], versions[-1][1]
    return new._replace(content=old.content[: len(new.content)].ljust(len(new.content), b"\0"))


def _torn(versions: list[tuple[int, Data]], chance: random.Random) -> Data:
    """Take size and time from one version, and each block of bytes from any."""
    size = len((whole := chance.choice(versions)[1]).content)
    block = chance.choice((512, 4096))
    parts = [chance.choice(versions)[1].content[at : at + block].ljust(block, b"\0") for at in range(0, size, block)]
    return Data(b"".join(parts)[:size], whole.mtime_ns, whole.ctime_ns)


def _complete_renames(recording: Recording, time: int, kept: dict[Node, tuple[int, Any]]) -> None:
    """Put every file whose old name is gone under its new one."""
    done = False
    while not done:
        done = True
        for when, source, target in recording.renames:
            if when <= time and kept[source][0] >= when > kept[target][0]:
                kept[target] = next(version for version in target.may_be(time) if version[0] >= when)
                done = False

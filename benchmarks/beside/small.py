"""Small writes, small layers, memory, and how cost grows: targets 6 to 8."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from findings import Finding
from floors import hash_alone, make, small_layer, write_small
from interleaved import Way, ratio
from outside import import_milliseconds, memory_growth
from work import GIB, KIB, MIB, REPOSITORY, Machine, at_least, at_most, pieces_of, upload

import layerstore
from layerstore import Digest, LayerService, layout
from layerstore_conformance.kit.payloads import Payload, digest

LAYERS = 400
"""Small layers, of a machine whose large ones have a GiB."""


def small_writes(machine: Machine) -> Iterator[Finding]:
    """6. Small writes, beside as many of a plain file and a hash."""
    count = 16_384
    pieces = pieces_of(count * 4 * KIB, 4 * KIB)
    with machine.directory() as folder:
        store = layerstore.open(f"local:{folder}/store")

        def ours() -> layerstore.LayerUpload:
            handle = store.upload(REPOSITORY)
            for piece in pieces():
                handle.write(piece)
            return handle

        ways = {
            "layerstore": Way(ours, clean=partial(store.driver.delete, "docker")),
            "pwrite and hashlib": Way(partial(write_small, pieces, folder / "plain"), clean=(folder / "plain").unlink),
        }
        seconds = machine.interleave(ways)
    pairs = zip(seconds["layerstore"], seconds["pwrite and hashlib"], strict=True)
    more = statistics.median((a - b) / count * 1e6 for a, b in pairs)
    yield at_most("6. a write of 4 KiB, over pwrite and hashlib, in us", 4.0, more, seconds)


def small_layers(machine: Machine) -> Iterator[Finding]:
    """6. Small layers on the disk, durable: beside the floor that syncs as often, and several in flight."""
    count = max(100, LAYERS * machine.size // GIB)
    contents = [Payload(f"small-{number}").read(4 * KIB) for number in range(count)]
    digests = [digest(each) for each in contents]
    with machine.directory() as folder:
        stores: list[LayerService] = []
        plain: list[Path] = []

        def open_new() -> None:
            stores.append(layerstore.open(f"local:{folder}/store-{len(stores)}"))

        def one(number: int) -> None:
            upload(stores[-1], lambda: iter((contents[number],)), digests[number])

        def prepare() -> None:
            plain.append(make(folder, f"plain-{len(plain)}"))
            for name in ("blobs", "layers"):
                make(plain[-1], name)

        def floor() -> None:
            for content in contents:
                small_layer(content, plain[-1])

        def in_turn() -> None:
            for number in range(count):
                one(number)

        def in_flight() -> None:
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(one, range(count)))

        # In a new place each time, and nothing is deleted before the end: whenever ext4 makes a file it passes over the
        # numbers of all that were deleted in the last minutes, one by one, which may take longer than a sync.
        ways = {
            "one at a time": Way(in_turn, open_new),
            "eight in flight": Way(in_flight, open_new),
            "floor": Way(floor, prepare),
        }
        seconds = machine.interleave(ways)
    rate, gained = ratio(seconds, "floor", "one at a time"), ratio(seconds, "one at a time", "eight in flight")
    yield at_least("6. layers of 4 KiB, of the floor's rate", machine.bound(0.7, tmpfs=0.35), rate, seconds)
    bound = machine.bound(2.0, tmpfs=1.0)
    yield at_least("6. layers of 4 KiB, eight in flight, of one at a time", bound, gained, seconds)


def memory(machine: Machine) -> Iterator[Finding]:
    """7. Memory that an upload and its reading back take, and what importing takes."""
    with machine.directory() as folder:
        for verify in ("resume", "reread"):
            with machine.recorder.listening():  # a small one: the large is stored by another process
                upload(layerstore.open(f"local:{folder}/{verify}", verify=verify), lambda: iter((b"",)), digest(b""))
            grown = memory_growth(f"local:{folder}/{verify}", verify, 4 * machine.size) / MIB
            yield at_most(f"7. growth in MiB, a layer of {4 * machine.size // MIB} MiB, {verify}", 32.0, grown, {})
    taken = import_milliseconds()
    seconds = {"import": [each / 1000 for each in taken]}
    yield at_most("7. import layerstore, in ms", 100.0, statistics.median(taken), seconds)


def size_and_number(machine: Machine) -> Iterator[Finding]:
    """8. Time over size, and over the number of layers that are stored already."""
    pieces, half = pieces_of(machine.size, MIB), pieces_of(machine.size // 2, MIB)
    digests = {name: f"sha256:{hash_alone(each)}" for name, each in (("whole", pieces), ("half", half))}
    with machine.directory() as folder:
        store = layerstore.open(f"local:{folder}/store")
        clean = partial(store.driver.delete, "docker")
        ways = {
            "whole": Way(partial(upload, store, pieces, digests["whole"]), clean=clean),
            "half": Way(partial(upload, store, half, digests["half"]), clean=clean),
        }
        seconds = machine.interleave(ways)
        yield at_most("8. local, a layer over one of half the size", 2.2, ratio(seconds, "whole", "half"), seconds)
        yield from _many(machine, folder, max(1000, 100_000 * machine.size // GIB))


def _many(machine: Machine, folder: Path, count: int) -> Iterator[Finding]:
    """Compare a store of ten links with one of many; the links are made as files, for what they hold is no matter."""
    stores = {
        "few": (layerstore.open(f"local:{folder}/few"), 10),
        "many": (layerstore.open(f"local:{folder}/many"), count),
    }
    data = Payload("many").read(4 * KIB)
    for name, (store, links) in stores.items():
        upload(store, lambda: iter((data,)), digest(data))
        for number in range(links):
            path = folder / name / layout.link(REPOSITORY, Digest("sha256", f"{number:064x}"))
            path.parent.mkdir(parents=True)
            path.write_text(digest(data), encoding="ascii")
    acts: dict[str, tuple[int, Callable[[LayerService], None]]] = {
        "fetch": (200, lambda store: store.fetch(REPOSITORY, digest(data)).close()),
        "exists": (200, lambda store: _assert(store.exists(REPOSITORY, digest(data)))),
        "upload": (20, lambda store: store.upload(REPOSITORY).cancel()),
    }
    ways = {
        f"{act}, {name}": Way(partial(_often, times, do, store))
        for act, (times, do) in acts.items()
        for name, (store, _) in stores.items()
    }
    seconds = machine.interleave(ways)
    for act in acts:
        found = ratio(seconds, f"{act}, many", f"{act}, few")
        yield at_most(f"8. {act}, {count} links stored over 10", 1.3, found, seconds)


def _often(times: int, act: Callable[[LayerService], None], store: LayerService) -> None:
    for _ in range(times):
        act(store)


def _assert(holds: bool) -> None:  # noqa: FBT001  (it is what is asserted)
    assert holds

"""Large layers: targets 1 to 5."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from findings import Finding
from floors import Pieces, hash_alone, make, read_file, store_durably
from interleaved import Way, ratio
from peers import PEERS
from work import MIB, REPOSITORY, Machine, at_least, at_most, begun, emptied, pieces_of, upload

import layerstore
from layerstore import LayerService, layout


def large_on_disk(machine: Machine) -> Iterator[Finding]:
    """1. A large layer on the disk, verified and durable: beside the floor, and ahead of every peer."""
    pieces = pieces_of(machine.size, MIB)
    wanted = f"sha256:{hash_alone(pieces)}"
    with machine.directory() as folder:
        rooms = {name: make(folder, name) for name in ("layerstore", "floor", *PEERS)}
        store = layerstore.open(f"local:{rooms['layerstore']}")
        ways = {"layerstore": Way(partial(upload, store, pieces, wanted), clean=emptied(rooms["layerstore"]))}
        for name, way in {"floor": store_durably, **PEERS}.items():
            ways[name] = Way(partial(way, pieces, rooms[name]), clean=emptied(rooms[name]))
        seconds = machine.interleave(ways)
    yield at_most("1. local, over the floor", 1.10, ratio(seconds, "layerstore", "floor"), seconds)
    for name in PEERS:
        yield at_most(f"1. local, over {name}", 1.0, ratio(seconds, "layerstore", name), seconds)


def large_in_memory(machine: Machine) -> Iterator[Finding]:
    """2. A large layer in memory, verified: beside hashing alone."""
    pieces = pieces_of(machine.size, MIB)
    wanted = f"sha256:{hash_alone(pieces)}"
    store = layerstore.open("memory:")
    ways = {
        "layerstore": Way(partial(upload, store, pieces, wanted), clean=partial(store.driver.delete, "docker")),
        "hash": Way(partial(hash_alone, pieces)),
    }
    seconds = machine.interleave(ways)
    yield at_most("2. memory, over hashing alone", 1.15, ratio(seconds, "layerstore", "hash"), seconds)


def finishing(machine: Machine) -> Iterator[Finding]:
    """3. ``finish`` of a large layer beside that of a small one, straight and resumed."""
    large, small = pieces_of(machine.size, MIB), pieces_of(MIB, MIB)
    digests = {name: f"sha256:{hash_alone(pieces)}" for name, pieces in (("large", large), ("small", small))}
    with machine.directory() as folder:
        for url in (f"local:{folder}/store", "memory:"):
            store = layerstore.open(url)
            ways: dict[str, Way] = {}
            for name, pieces in (("large", large), ("small", small)):
                ways[name] = _finish(store, pieces, digests[name])
                ways[f"{name}, resumed"] = _finish(store, pieces, digests[name], resumed=True)
            seconds = machine.interleave(ways)
            scheme = url.partition(":")[0]
            for how in ("", ", resumed"):
                found = ratio(seconds, f"large{how}", f"small{how}")
                yield at_most(f"3. {scheme}, finish of a large layer{how}, over a small one", 1.5, found, seconds)


def _finish(store: LayerService, pieces: Pieces, wanted: str, *, resumed: bool = False) -> Way:
    waiting: list[layerstore.LayerUpload] = []

    def prepare() -> None:
        handle = begun(store, pieces)
        if resumed:
            handle.close()
            handle = store.resume(REPOSITORY, handle.uuid)
        waiting.append(handle)

    return Way(lambda: waiting.pop().finish(wanted).close(), prepare, partial(store.driver.delete, "docker"))


def rereading(machine: Machine) -> Iterator[Finding]:
    """4. Reading back to verify: warm beside hashing alone, cold beside reading alone."""
    pieces = pieces_of(machine.size, MIB)
    wanted = f"sha256:{hash_alone(pieces)}"
    with machine.directory() as folder:
        store = layerstore.open(f"local:{folder}/store", verify="reread")
        plain = folder / "plain"
        ways = {"re-read": _finish(store, pieces, wanted), "hash": Way(partial(hash_alone, pieces))}
        if machine.filesystem != "tmpfs":  # which has nothing to read from
            ways["re-read cold"] = _cold(store, pieces, wanted)
            ways["read cold"] = Way(partial(read_file, plain), partial(_write_cold, plain, pieces), plain.unlink)
        seconds = machine.interleave(ways)
    yield at_most("4. re-read, warm, over hashing alone", 1.15, ratio(seconds, "re-read", "hash"), seconds)
    if "read cold" in seconds:
        found = ratio(seconds, "read cold", "re-read cold")
        yield at_least("4. re-read, cold: of a plain reading's speed", 0.9, found, seconds)


def _write_cold(path: Path, pieces: Pieces) -> None:
    """Write a plain file, and have the system forget it, as the driver has it forget its own."""
    with path.open("wb") as file:
        file.writelines(pieces())
    if not layerstore.open_driver(f"local:{path.parent}").drop_cache(path.name):
        raise RuntimeError("the disk's cache cannot be dropped")


def _cold(store: LayerService, pieces: Pieces, wanted: str) -> Way:
    waiting: list[layerstore.LayerUpload] = []

    def prepare() -> None:
        waiting.append(begun(store, pieces))
        if not store.driver.drop_cache(layout.UploadKeys(REPOSITORY, waiting[0].uuid).data):
            raise RuntimeError("the disk's cache cannot be dropped")

    return Way(lambda: waiting.pop().finish(wanted).close(), prepare, partial(store.driver.delete, "docker"))


def two_at_once(machine: Machine) -> Iterator[Finding]:
    """5. Two uploads at once, in memory: how many times the bytes of one in its time."""
    pieces = pieces_of(machine.size // 2, MIB)
    wanted = f"sha256:{hash_alone(pieces)}"
    store, threads = layerstore.open("memory:"), ThreadPoolExecutor(2)

    def both() -> None:
        list(threads.map(lambda name: upload(store, pieces, wanted, name), ("one", "other")))

    clean = partial(store.driver.delete, "docker")
    ways = {"one": Way(partial(upload, store, pieces, wanted), clean=clean), "two": Way(both, clean=clean)}
    seconds = machine.interleave(ways)
    yield at_least(
        "5. memory, two uploads at once, of one's throughput", 1.8, 2 / ratio(seconds, "two", "one"), seconds
    )

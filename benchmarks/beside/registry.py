"""``layerstore serve`` beside docker-registry: ratios of the same round, the median over the rounds.

    python benchmarks/beside/registry.py FOLDER [--size MIB] [--count N] [--rounds N] [--workers N] [--json FILE]

Both serve at once, each a directory of its own in ``FOLDER``, and are asked in turn by one client, over the loopback.
It needs docker-registry (Debian's package) and the extra ``serve``. Nothing that was stored is deleted before the end:
that takes, per round, three times ``--size``; and once ``--memory-size`` sixteen times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from findings import Finding, Group, keep, line
from floors import Pieces, hash_alone
from interleaved import Seconds, Way, ratio
from servers import Client, Server, docker_registry, layerstore_serve
from work import KIB, MIB, Machine, at_least, at_most, pieces_of, touch

import layerstore
from layerstore_benchmarks.document import environment
from layerstore_conformance.kit.payloads import Payload

NAME = "bench/app"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
CONNECTIONS = 8
CHUNKS = 16
UPLOADS = 16
"""Uploads at once, of which the memory is measured."""

SMALL = 10 * KIB
OURS, PEER = "layerstore", "docker-registry"

fresh = count()
"""Numbers that make contents differ: none is stored twice."""


def large(size: int) -> tuple[Pieces, str]:
    """Return the pieces of a new blob, and its digest."""
    first, rest = f"{next(fresh):032}".encode().ljust(MIB, b"-"), pieces_of(size - MIB, MIB)

    def pieces() -> Iterator[bytes]:
        yield first
        yield from rest()

    return pieces, f"sha256:{hash_alone(pieces)}"


def small(number: int) -> list[tuple[bytes, str]]:
    """Return new small blobs, and their digests."""
    base = Payload("small").read(SMALL)
    made = [f"{next(fresh):032}".encode() + base[32:] for _ in range(number)]
    return [(each, f"sha256:{hashlib.sha256(each).hexdigest()}") for each in made]


class Bench:
    """Both servers, and what is asked of them."""

    def __init__(self, machine: Machine, servers: list[Server], number: int) -> None:
        """Ask for ``number`` small blobs at a time."""
        self.machine = machine
        self.servers = servers
        self.number = number
        self.clients = {server.name: [Client(server.port) for _ in range(CONNECTIONS)] for server in servers}
        self.cpu: dict[str, list[float]] = {server.name: [] for server in servers}

    def timed(self, act: Callable[[str, list[Any]], None], made: Callable[[], object]) -> Seconds:
        """Have both do something, with what is made for each anew before the clock runs."""
        self.cpu = {server.name: [] for server in self.servers}
        waiting: list[Any] = []

        def prepare() -> None:
            waiting.append(made())
            touch(2 * self.machine.size)

        return self.machine.interleave(
            {server.name: Way(partial(self._watched, server, act, waiting), prepare) for server in self.servers}
        )

    def _watched(self, server: Server, act: Callable[[str, list[Any]], None], waiting: list[Any]) -> None:
        before = server.cpu()
        act(server.name, waiting.pop())
        self.cpu[server.name].append(server.cpu() - before)

    def cpu_ratio(self) -> float:
        """Return the median of how much more CPU ours takes than the peer; the first round is not counted."""
        pairs = zip(self.cpu[OURS][1:], self.cpu[PEER][1:], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs if theirs)

    def spread(self, name: str, items: list[Any], act: Callable[[Client, Any], object]) -> None:
        """Do something with each of many, over all connections at once."""

        def some(number: int) -> None:
            for item in items[number::CONNECTIONS]:
                act(self.clients[name][number], item)

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            list(threads.map(some, range(CONNECTIONS)))


def put_large(bench: Bench) -> Iterator[Finding]:
    """POST and PUT of a large blob."""
    size = bench.machine.size

    def act(name: str, made: Any) -> None:  # noqa: ANN401  (what large made)
        bench.clients[name][0].upload(NAME, [(made[0](), size)], made[1])

    seconds = bench.timed(act, lambda: large(size))
    yield at_least(f"registry: PUT of a blob of {size // MIB} MiB, of {PEER}'s rate", 2.0, _rate(seconds), seconds)


def put_small(bench: Bench) -> Iterator[Finding]:
    """POST and PUT of many small blobs, over several connections."""

    def act(name: str, made: Any) -> None:  # noqa: ANN401  (what small made)
        bench.spread(name, made, lambda link, blob: link.upload(NAME, [((blob[0],), SMALL)], blob[1]))

    seconds = bench.timed(act, lambda: small(bench.number))
    what = f"registry: POST and PUT of {bench.number} blobs of 10 KiB, {CONNECTIONS} connections"
    yield at_least(f"{what}, of {PEER}'s rate", 1.5, _rate(seconds), seconds)
    yield at_most(f"{what}, over {PEER}'s CPU", 1.0, bench.cpu_ratio(), bench.cpu)


def put_chunks(bench: Bench) -> Iterator[Finding]:
    """POST, a PATCH for each chunk, and PUT."""
    size = max(CHUNKS * MIB, bench.machine.size // 2)
    chunk = size // CHUNKS

    def act(name: str, made: Any) -> None:  # noqa: ANN401  (what large made)
        pieces = made[0]()
        parts = [([next(pieces) for _ in range(chunk // MIB)], chunk) for _ in range(CHUNKS)]
        bench.clients[name][0].upload(NAME, [*parts, ((), 0)], made[1])

    seconds = bench.timed(act, lambda: large(size))
    what = f"registry: POST, {CHUNKS} PATCH and PUT of {size // MIB} MiB"
    yield at_least(f"{what}, of {PEER}'s rate", 1.5, _rate(seconds), seconds)


def get_large(bench: Bench) -> Iterator[Finding]:
    """GET of a large blob."""
    size = bench.machine.size
    pieces, digest = large(size)
    for clients in bench.clients.values():
        clients[0].upload(NAME, [(pieces(), size)], digest)

    def act(name: str, made: object) -> None:
        del made
        if bench.clients[name][0].fetch(f"/v2/{NAME}/blobs/{digest}") != size:
            raise RuntimeError("cut off")

    seconds = bench.timed(act, lambda: None)
    yield at_least(f"registry: GET of a blob of {size // MIB} MiB, of {PEER}'s rate", 1.0, _rate(seconds), seconds)


def get_small(bench: Bench) -> Iterator[Finding]:
    """GET of many small blobs, over several connections."""
    blobs = small(bench.number)
    for clients in bench.clients.values():
        for data, digest in blobs:
            clients[0].upload(NAME, [((data,), SMALL)], digest)

    def act(name: str, made: object) -> None:
        del made
        bench.spread(name, blobs, lambda link, blob: link.fetch(f"/v2/{NAME}/blobs/{blob[1]}"))

    seconds = bench.timed(act, lambda: None)
    what = f"registry: GET of {bench.number} blobs of 10 KiB, {CONNECTIONS} connections"
    yield at_least(f"{what}, of {PEER}'s rate", 1.0, _rate(seconds), seconds)


def memory(bench: Bench, size: int) -> Iterator[Finding]:
    """Memory of a process while many uploads come at once."""
    (ours,) = (server for server in bench.servers if server.name == OURS)
    pieces = pieces_of(size, MIB)
    digest = f"sha256:{hash_alone(pieces)}"
    ours.forget_peaks()
    with ThreadPoolExecutor(UPLOADS) as threads:
        pushes = [
            threads.submit(Client(ours.port).upload, f"bench/{number}", [(pieces(), size)], digest)
            for number in range(UPLOADS)
        ]
        for push in pushes:
            push.result()
    what = f"registry: memory of a worker, {UPLOADS} uploads of {size // MIB} MiB at once, in MiB"
    yield at_most(what, 150.0, ours.peak() / MIB, {})


def tags(bench: Bench) -> Iterator[Finding]:
    """Count the wrong answers of a tag that two push while two read it."""
    for server in bench.servers:
        wrong, asked = _wrong_tags(server, bench.number)
        bound = 0.0 if server.name == OURS else float(asked)
        what = f"registry: {server.name}, wrong answers of {asked} of a tag that two push and two read"
        yield at_most(what, bound, float(wrong), {})


def _wrong_tags(server: Server, pushes: int) -> tuple[int, int]:
    config, layers = small(1)[0], small(2)
    for data, digest in (config, *layers):
        Client(server.port).upload(NAME, [((data,), SMALL)], digest)
    manifests, path = [_image(config[1], digest) for _, digest in layers], f"/v2/{NAME}/manifests/latest"
    Client(server.port).ask("PUT", path, (manifests[0],), len(manifests[0]), IMAGE)

    def push(manifest: bytes) -> int:
        link = Client(server.port)
        answers = [link.ask("PUT", path, (manifest,), len(manifest), IMAGE)[0] for _ in range(pushes)]
        return sum(status != 201 for status in answers)

    def pull(_: int) -> int:
        link = Client(server.port)
        answers = [link.ask("GET", path, kind=IMAGE) for _ in range(pushes)]
        return sum(status != 200 or body not in manifests for status, _, body in answers)

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(push, each) for each in manifests] + [threads.submit(pull, each) for each in (0, 1)]
        return sum(each.result() for each in found), 4 * pushes


def _image(config: str, layer: str) -> bytes:
    described = {"size": SMALL, "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer}
    body = {"schemaVersion": 2, "mediaType": IMAGE, "layers": [described]}
    kind = "application/vnd.oci.image.config.v1+json"
    return json.dumps({**body, "config": {"size": SMALL, "mediaType": kind, "digest": config}}).encode()


def _rate(seconds: Seconds) -> float:
    return ratio(seconds, PEER, OURS)


def watch(machine: Machine) -> None:
    """Do all of it once in this process, to note which code it runs."""
    from werkzeug.test import Client as Caller

    from layerstore_registry import Registry

    with machine.directory() as folder, layerstore.open(f"local:{folder}/store") as store:
        caller = Caller(Registry(store))
        with machine.recorder.listening():
            for data in (Payload("watched").read(SMALL), Payload("watched").read(3 * MIB)):
                _push_and_pull(caller, data)


def _push_and_pull(caller: Any, data: bytes) -> None:  # noqa: ANN401  (Werkzeug's client)
    """Push a blob in one piece and in a chunk, and a manifest; and pull both."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    for first, last in ((b"", data), (data, b"")):
        where = caller.post(f"/v2/{NAME}/blobs/uploads/").headers["Location"]
        if first:
            where = caller.patch(where, data=first).headers["Location"]
        caller.put(where, data=last, query_string={"digest": digest})
    manifest = _image(digest, digest)
    caller.put(f"/v2/{NAME}/manifests/latest", data=manifest, content_type=IMAGE)
    for path in (f"/v2/{NAME}/blobs/{digest}", f"/v2/{NAME}/manifests/latest"):
        if caller.get(path).status_code != 200:
            raise RuntimeError("not pulled")


GROUPS = {measure.__name__: measure for measure in (put_large, put_small, put_chunks, get_large, get_small, tags)}


def measured(machine: Machine, given: argparse.Namespace) -> Iterator[Finding]:
    """Start both, and measure what was asked for."""
    with ExitStack() as stack:
        folder = stack.enter_context(machine.directory())
        servers = [
            stack.enter_context(layerstore_serve(folder / OURS, given.workers)),
            stack.enter_context(docker_registry(folder / PEER)),
        ]
        for name in given.only or [*GROUPS, "memory"]:
            bench = Bench(machine, servers, given.count)  # with new connections: an idle one is closed after 75 seconds
            yield from memory(bench, given.memory_size * MIB) if name == "memory" else GROUPS[name](bench)


def main() -> None:
    """Measure, tell, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=[*GROUPS, "memory"], action="append")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=512, help="MiB of a large blob; 512 unless given")
    parser.add_argument("--count", type=int, default=1000, help="small blobs; 1000 unless given")
    parser.add_argument("--memory-size", type=int, default=1024, help="MiB of each of 16 uploads; 1024 unless given")
    parser.add_argument("--workers", type=int, default=2, help="processes of layerstore serve; 2 unless given")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    machine = Machine(given.folder, size=given.size * MIB, rounds=given.rounds)
    watch(machine)
    findings = []
    for finding in measured(machine, given):
        findings.append(finding)
        sys.stdout.write(line(finding) + "\n")
        sys.stdout.flush()
    if given.json is not None:
        keep(given.json, "registry", group(machine, findings))


def group(machine: Machine, findings: list[Finding]) -> Group:
    """Say what was measured, and where."""
    made: dict[str, Any] = {**environment(), "filesystem": machine.filesystem}
    size, code = machine.size // MIB, machine.recorder.code()
    return {"environment": made, "size_mib": size, "rounds": machine.rounds, "findings": findings, "code": code}


if __name__ == "__main__":
    main()

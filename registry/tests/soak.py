"""Everything at once: nodes on one store behind a proxy, clients, collection and purge, and nodes that are killed.

    python registry/tests/soak.py [--minutes 10] [--clients 16] [--nodes 3] [--kill-every 20] [FOLDER]

Clients push and pull images that share layers, and delete and push some of their own again. Afterwards every image
that was answered by 201 has to pull, and be what its digests say, and a purge has to leave nothing. It prints figures
as JSON, and ends with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import layerstore

if TYPE_CHECKING:
    from tests.registry_client import OCI_IMAGE, digest, image
    from tests.round_robin import RoundRobin, round_robin
    from tests.serving import DEADLINE, Answer, command, environment, eventually
else:
    from registry_client import OCI_IMAGE, digest, image
    from round_robin import RoundRobin, round_robin
    from serving import DEADLINE, Answer, command, environment, eventually

GRACE = timedelta(seconds=60)
"""Longer than a push takes from a blob to its link: within it, a collection may take a blob away and put it back."""

ABANDONED = timedelta(seconds=60)
"""How long nobody has gone on with an upload that is purged."""

SIZES = (1000, 200_000, 1_500_000)
SHARED = 40
"""Images of which each layer is in some."""

RANGE = 300_000
"""Bytes of a chunk."""


@lru_cache(maxsize=64)
def layer(seed: int) -> bytes:
    """Make the content of a layer."""
    return random.Random(seed).randbytes(SIZES[seed % len(SIZES)])


class Promise(NamedTuple):
    """An image that was answered by 201."""

    name: str
    manifest: bytes
    config: bytes
    layers: tuple[int, ...]


class Nodes:
    """Registries on one store, each killed and started again at its own address."""

    def __init__(self, count: int, store: str, folder: Path) -> None:
        """Start them."""
        self._store = store
        self._folder = folder
        self._ports = [free_port() for _ in range(count)]
        self.urls = [f"http://127.0.0.1:{port}" for port in self._ports]
        self._processes = [self._start(number) for number in range(count)]
        self.killed = 0
        for number in range(count):
            eventually(lambda number=number: self._answers(number))  # type: ignore[misc]  # bound at once

    def kill(self) -> None:
        """Kill one, all its processes, whatever they are at; and start it again."""
        number = random.randrange(len(self._ports))
        process = self._processes[number]
        for pid in [process.pid, *_children(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        self._processes[number] = self._start(number)
        self.killed += 1

    def close(self) -> None:
        """End them all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(DEADLINE)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        words = command("--store", self._store, "--listen", f"127.0.0.1:{self._ports[number]}", "--workers", "2")
        with (self._folder / f"log{number}").open("ab") as log:
            return subprocess.Popen(words, stdout=log, stderr=log, env=environment())

    def _answers(self, number: int) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self._ports[number])).close()
            return True
        return False


class Soak:
    """Clients of a proxy, what they were promised, and what they found wrong."""

    def __init__(self, proxy: RoundRobin) -> None:
        """Have promised nothing."""
        self._proxy = proxy
        self.promised: dict[tuple[str, str], Promise] = {}
        self.wrong: list[object] = []
        self.counts: Counter[str] = Counter()
        self.stopped = threading.Event()
        self._lock = threading.Lock()

    def count(self, what: str, by: int = 1) -> None:
        """Count something."""
        with self._lock:
            self.counts[what] += by

    def say(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask whichever node it is, and another one if that dies or does not answer."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        while True:
            self.count("requests")
            with suppress(OSError, http.client.HTTPException):
                answer = self._asked(method, path, body, said)
                if answer.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                    return answer
                self.wrong.append((method, path, answer))
                return answer
            self.count("requests without an answer")

    def client(self, seed: int) -> None:
        """Push images that share layers, pull each, and one that is deleted and pushed once more, until it is over."""
        chance = random.Random(seed)
        while not self.stopped.is_set():
            name, config = f"repo{chance.randrange(3)}", b'{"n": %d}' % chance.randrange(50)
            begin = self.counts["images"] // SHARED
            layers = tuple(sorted(chance.sample(range(begin * 5, begin * 5 + 9), 3)))
            promise = Promise(name, image(config, *map(layer, layers)), config, layers)
            for blob in (config, *map(layer, layers)):
                self._upload(name, blob, chance)
            self._push(promise, f"t{chance.randrange(5)}")
            own = image(config, layer(layers[0]), annotations={"seed": f"{seed}.{chance.random()}"})
            for _ in range(2):
                path = f"/v2/{name}/manifests/{digest(own)}"
                self._expect(201, "PUT", path, own, Content_Type=OCI_IMAGE)
                self._expect(200, "GET", path)
                self.say("DELETE", path)  # by a retry of a delete whose answer was lost it is gone already

    def check(self) -> None:
        """Pull all that was promised."""
        seen: set[tuple[str, str]] = set()
        for (name, reference), promise in self.promised.items():
            if self.say("GET", f"/v2/{name}/manifests/{reference}").body != promise.manifest:
                self.wrong.append(("missing", name, reference))
            for blob in (promise.config, *map(layer, promise.layers)):
                found = digest(blob)
                if (name, found) not in seen and self.say("GET", f"/v2/{name}/blobs/{found}").body != blob:
                    self.wrong.append(("missing", name, found))
                seen.add((name, found))

    def _asked(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        link = http.client.HTTPConnection(self._proxy.host, timeout=DEADLINE)
        try:
            link.request(method, path, body, headers)
            answer = link.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            link.close()

    def _upload(self, name: str, data: bytes, chance: random.Random) -> None:
        """Push a blob until it is there: in one piece, or in chunks that are gone on with where they came to."""
        while self.say("HEAD", f"/v2/{name}/blobs/{digest(data)}").status != http.HTTPStatus.OK:
            begun = self.say("POST", f"/v2/{name}/blobs/uploads/", b"")
            where, at = begun.headers["Location"], 0
            while len(data) > RANGE and chance.random() < 0.8 and at < len(data):
                end = min(at + RANGE, len(data))
                answer = self.say("PATCH", where, data[at:end], Content_Range=f"{at}-{end - 1}")
                at = int(answer.headers.get("Range", "0-0").partition("-")[2]) + 1
                at = 0 if at == 1 else at
            if chance.random() < 0.02:
                self.count("uploads abandoned")
                continue
            if self.say("PUT", f"{where}?digest={digest(data)}", data[at:]).status == http.HTTPStatus.CREATED:
                self.count("blobs")
                self.count("bytes", len(data))

    def _push(self, promise: Promise, tag: str) -> None:
        """Push a manifest, note what was promised, and pull it."""
        name = promise.name
        self._expect(201, "PUT", f"/v2/{name}/manifests/{tag}", promise.manifest, Content_Type=OCI_IMAGE)
        with self._lock:
            self.promised[name, digest(promise.manifest)] = promise
        self.count("images")
        pulled = self.say("GET", f"/v2/{name}/manifests/{tag}")
        if pulled.status != http.HTTPStatus.OK or digest(pulled.body) != pulled.headers["Docker-Content-Digest"]:
            self.wrong.append((name, tag, pulled))
        for blob in map(layer, promise.layers):
            if self.say("GET", f"/v2/{name}/blobs/{digest(blob)}").body != blob:
                self.wrong.append((name, tag, digest(blob)))

    def _expect(self, status: int, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        """Note an answer of another status."""
        answer = self.say(method, path, body, **headers)
        if answer.status != status:
            self.wrong.append((method, path, answer))


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@contextmanager
def running(*targets: Callable[[], object]) -> Iterator[None]:
    """Run functions, each in a thread, beside the block, and wait for them."""
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def keep(soak: Soak, store: str, pause: float) -> None:
    """Collect and purge now and then, until it is over."""
    with layerstore.open(store) as service:
        while not soak.stopped.wait(pause):
            soak.count("blobs collected", len(service.collect(grace=GRACE).removed))
            soak.count("uploads purged", len(service.purge(ABANDONED).removed))
            soak.count("collections")


def run(folder: Path, *, clients: int, nodes: int, pause: float, wait: Callable[[Soak], bool]) -> dict[str, object]:
    """Do all of it, kill a node whenever ``wait`` returns True, end when it returns False; and return the figures."""
    store = f"local:{folder / 'store'}"
    all_nodes = Nodes(nodes, store, folder)
    try:
        with round_robin(all_nodes.urls) as proxy:
            soak = Soak(proxy)
            workers = [lambda seed=seed: soak.client(seed) for seed in range(clients)]
            with running(lambda: keep(soak, store, pause), *workers):
                while wait(soak):
                    all_nodes.kill()
                soak.stopped.set()
            soak.check()
    finally:
        all_nodes.close()
    return {**soak.counts, "nodes killed": all_nodes.killed, "wrong": soak.wrong, "left": left(store)}


def left(store: str) -> list[object]:
    """Purge everything that is under way, and return what is left that should not be."""
    with layerstore.open(store) as service:
        service.purge(timedelta(0))
        return [*service.uploads(), *(found for found in service.scrub() if found.harmful or found.kind == "leftover")]


def main() -> int:
    """Run for some minutes, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=20, metavar="SECONDS")
    given = parser.parse_args()
    over = threading.Event()
    threading.Timer(given.minutes * 60, over.set).start()
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        found = run(
            Path(made),
            clients=given.clients,
            nodes=given.nodes,
            pause=5,
            wait=lambda soak: not over.wait(given.kill_every) and not soak.wrong,
        )
    sys.stdout.write(json.dumps(found, indent=1, default=str) + "\n")
    return 1 if found["wrong"] or found["left"] else 0


if __name__ == "__main__":
    sys.exit(main())

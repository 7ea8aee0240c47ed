"""Everything at once: clients that push and pull, collection and purge beside them, and workers that are killed."""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import layerstore

if TYPE_CHECKING:
    from tests.registry_client import OCI_IMAGE, digest, image
    from tests.serving import Answer, Node, serving
else:
    from registry_client import OCI_IMAGE, digest, image
    from serving import Answer, Node, serving

CLIENTS, IMAGES, KILL_EVERY = 4, 10, 60
GRACE = timedelta(seconds=5)
"""Longer than a push takes from a blob to its link: within it, a collection may take a blob away and put it back."""

LAYERS = [random.Random(seed).randbytes((1000, 300_000, 2_500_000)[seed % 3]) for seed in range(12)]


class Soak:
    """Clients of several nodes, what they were promised, and what they found wrong."""

    def __init__(self, nodes: list[Node]) -> None:
        """Have promised nothing."""
        self.nodes = nodes
        self.promised: dict[tuple[str, str], tuple[bytes, list[bytes]]] = {}
        self.wrong: list[object] = []
        self.asked = 0
        self.lock = threading.Lock()

    def say(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask any node, and another one if the worker dies that was asked."""
        with self.lock:
            self.asked += 1
            kill = self.asked % KILL_EVERY == 0
        if kill:
            self.kill()
        while True:
            with suppress(OSError, http.client.HTTPException):
                return random.choice(self.nodes).request(method, path, body, **headers)

    def kill(self) -> None:
        """Kill a worker, whatever it is at."""
        with suppress(ProcessLookupError, IndexError):
            os.kill(random.choice(random.choice(self.nodes).workers()), signal.SIGKILL)

    def upload(self, name: str, data: bytes, chance: random.Random) -> None:
        """Push a blob until it is there: in one piece, or in chunks that are gone on with where they came to."""
        while self.say("HEAD", f"/v2/{name}/blobs/{digest(data)}").status != 200:
            where = self.say("POST", f"/v2/{name}/blobs/uploads/", b"").headers["Location"]
            at = 0
            while len(data) > 1000 and chance.random() < 0.7 and at < len(data):
                end = min(at + 1_000_000, len(data))
                answer = self.say("PATCH", where, data[at:end], Content_Range=f"{at}-{end - 1}")
                at = int(answer.headers.get("Range", "0-0").partition("-")[2]) + 1
                at = 0 if at == 1 else at
            self.say("PUT", f"{where}?digest={digest(data)}", data[at:])

    def client(self, seed: int) -> None:
        """Push images that share layers, pull each; and one that is deleted and pushed once more."""
        chance = random.Random(seed)
        for number in range(IMAGES):
            name, config = f"repo{chance.randrange(2)}", b'{"n": %d}' % chance.randrange(8)
            blobs = [config, *chance.sample(LAYERS, 3)]
            for blob in blobs:
                self.upload(name, blob, chance)
            manifest = image(config, *blobs[1:])
            self.push(name, f"t{chance.randrange(5)}", manifest, blobs)
            own = image(config, blobs[1], annotations={"seed": f"{seed}.{number}"})
            for _ in range(2):
                path = f"/v2/{name}/manifests/{digest(own)}"
                self.expect(201, "PUT", path, own, Content_Type=OCI_IMAGE)
                self.expect(200, "GET", path)
                self.say("DELETE", path)  # by a retry of a delete whose answer was lost it is gone already

    def push(self, name: str, tag: str, manifest: bytes, blobs: list[bytes]) -> None:
        """Push a manifest, and note what was promised."""
        self.expect(201, "PUT", f"/v2/{name}/manifests/{tag}", manifest, Content_Type=OCI_IMAGE)
        with self.lock:
            self.promised[name, digest(manifest)] = (manifest, blobs)
        pulled = self.say("GET", f"/v2/{name}/manifests/{tag}")
        if pulled.status != 200 or digest(pulled.body) != pulled.headers["Docker-Content-Digest"]:
            self.wrong.append((name, tag, pulled))

    def expect(self, status: int, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        """Note an answer of another status."""
        answer = self.say(method, path, body, **headers)
        if answer.status != status:
            self.wrong.append((method, path, answer))

    def check(self) -> None:
        """Pull all that was promised."""
        for (name, reference), (manifest, blobs) in self.promised.items():
            assert self.say("GET", f"/v2/{name}/manifests/{reference}").body == manifest
            for blob in blobs:
                assert self.say("GET", f"/v2/{name}/blobs/{digest(blob)}").body == blob


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a store."""
    return f"local:{tmp_path / 'store'}"


@pytest.fixture
def soak(url: str, tmp_path: Path) -> Iterator[Soak]:
    """Serve it by three nodes of two workers each."""
    with ExitStack() as stack:
        logs = [tmp_path / f"log{number}" for number in range(3)]
        yield Soak([stack.enter_context(serving("--workers", "2", store=url, log=log)) for log in logs])


def test_what_was_promised_is_there_whatever_was_killed_and_collected(soak: Soak, url: str) -> None:
    """Every image that was answered by 201 pulls, and is what its digest says; nothing is left that a purge leaves."""
    done = threading.Event()
    kept: list[int] = []

    def keep() -> None:
        with layerstore.open(url) as store:
            while not done.is_set():
                kept.append(len(store.collect(grace=GRACE).removed))

    clients = [threading.Thread(target=soak.client, args=(seed,)) for seed in range(CLIENTS)]
    keeper = threading.Thread(target=keep)
    for thread in (keeper, *clients):
        thread.start()
    for thread in clients:
        thread.join()
    done.set()
    keeper.join()
    soak.check()
    assert (soak.wrong, len(kept) > 1, soak.asked > KILL_EVERY) == ([], True, True)
    with layerstore.open(url) as store:
        assert not [found for found in store.scrub() if found.harmful]
        store.purge(timedelta(0))
        assert list(store.uploads()) == []

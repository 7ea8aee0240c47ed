"""Clients that read slowly, or not at all: no thread waits for them, and those that read on get all."""

from __future__ import annotations

import json
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from layerstore_registry.serving.connection import Connection
from layerstore_registry.serving.worker import LINGER, PatientWorker

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, UPLOADS, described, digest, dumped
    from tests.serving import DEADLINE, Node, serving
    from tests.test_serve import certify, head, read_all
else:
    from registry_client import NAME, OCI_IMAGE, UPLOADS, described, digest, dumped
    from serving import DEADLINE, Node, serving
    from test_serve import certify, head, read_all

DATA = bytes(range(256)) * (64 << 12)
"""64 MiB: more than the system keeps of a connection."""

BLOB = f"/v2/{NAME}/blobs/{digest(DATA)}"
THREADS = 2
READERS = 3 * THREADS


@pytest.fixture(params=["plain", "tls"])
def words(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """Serve as in the clear and by TLS."""
    if request.param == "plain":
        return ()
    cert, key = certify(tmp_path)
    return ("--tls-cert", cert, "--tls-key", key)


def slow(node: Node, *requests: bytes) -> socket.socket:
    """Ask on a connection of which the system keeps little, and read nothing."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    link.settimeout(DEADLINE)
    host, _, port = node.host.rpartition(":")
    link.connect((host, int(port)))
    if node.url.startswith("https:"):
        link = ssl._create_unverified_context().wrap_socket(link)
    link.sendall(b"".join(requests))
    return link


def push(node: Node, data: bytes) -> None:
    """Push a blob."""
    assert node.request("POST", f"{UPLOADS}?digest={digest(data)}", data).status == 201


@pytest.fixture
def hold() -> Iterator[ExitStack]:
    """Close connections at the end."""
    with ExitStack() as stack:
        yield stack


def test_more_slow_readers_than_threads_keep_nobody_waiting(
    words: tuple[str, ...], tmp_path: Path, hold: ExitStack
) -> None:
    """Others push and pull while they stand still; when they read on, each gets all bytes, and its next answer."""
    threads = ("--threads", str(THREADS), "--timeout", "3600")
    with serving(*words, *threads, store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        push(node, DATA)
        before = node.workers()
        asked = (head("GET", BLOB), head("GET", "/v2/", "Connection: close"))
        links = [hold.enter_context(slow(node, *asked)) for _ in range(READERS)]
        push(node, b"small")
        assert node.request("GET", f"/v2/{NAME}/blobs/{digest(b'small')}").body == b"small"
        assert node.request("GET", BLOB, Range="bytes=1-3").body == DATA[1:4]
        for link in links:
            said, body, rest = read_all(link).partition(b"\r\n\r\n")[2].partition(DATA)
            assert (said, body == DATA) == (b"", True)
            assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
        assert node.workers() == before
        assert node.stop() == 0
    assert "Traceback" not in "".join(node.lines)


def test_who_reads_nothing_is_given_up(words: tuple[str, ...], tmp_path: Path, hold: ExitStack) -> None:
    """After as long as a client may be silent; the log says how much was sent, which is not all."""
    log = tmp_path / "log"
    options = ("--threads", str(THREADS), "--timeout", "1", "--access-log", "json")
    with serving(*words, *options, store=f"local:{tmp_path / 'store'}", log=log) as node:
        push(node, DATA)
        links = [hold.enter_context(slow(node, head("GET", BLOB))) for _ in range(READERS)]
        push(node, b"small")
        cut = 0
        while cut < READERS:
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
            cut = sum(line["method"] == "GET" and line["sent"] < len(DATA) for line in lines)
        for link in links:
            assert len(read_all(link)) < len(DATA)
        assert node.stop() == 0
    assert "Traceback" not in "".join(node.lines)


def test_no_answer_is_too_small_to_wait_for(tmp_path: Path, hold: ExitStack) -> None:
    """Nobody waits in a thread for who asks for manifests, one after the other, and reads none of them."""
    with serving("--threads", "1", store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        push(node, b"{}")
        body = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": described(b"{}", "x"), "layers": []}
        manifest = dumped({**body, "annotations": {"x": "y" * 3_000_000}})
        path = f"/v2/{NAME}/manifests/v1"
        assert node.request("PUT", path, manifest, Content_Type=OCI_IMAGE).status == 201
        link = hold.enter_context(slow(node, head("GET", path) * 10, head("GET", "/v2/", "Connection: close")))
        assert node.request("GET", path).body == manifest
        assert read_all(link).count(manifest) == 10


def test_a_stop_waits_for_who_reads_on(tmp_path: Path, hold: ExitStack) -> None:
    """Though no thread does."""
    with serving(store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        push(node, DATA)
        link = hold.enter_context(slow(node, head("GET", BLOB)))
        assert node.request("GET", "/v2/").status == 200
        node.process.terminate()
        assert read_all(link).endswith(DATA)
        assert node.process.wait(DEADLINE) == 0


def test_what_is_closed_has_its_answer_ended() -> None:
    """So that its layer is closed, and its line is in the log."""
    ended: list[bool] = []

    def answering() -> Generator[int, None, bool]:
        try:
            yield 0
        finally:
            ended.append(True)
        return True

    ours, theirs = socket.socketpair()
    connection = object.__new__(Connection)
    connection.sock, connection.answering = ours, answering()
    assert next(connection.answering) == 0
    connection.close()
    theirs.close()
    assert ended == [True]


def test_slow_readers_make_room_as_others_do(tmp_path: Path, hold: ExitStack) -> None:
    """Their files take descriptors, too: none is missing for others, and no worker dies of it."""
    words = ("--threads", str(THREADS), "--timeout", "3600")
    with serving(*words, store=f"local:{tmp_path / 'store'}", log=tmp_path / "log", descriptors=200) as node:
        push(node, DATA)
        before = node.workers()
        for _ in range(100):
            hold.enter_context(slow(node, head("GET", BLOB)))
            assert node.request("GET", f"/v2/{NAME}/blobs/{digest(DATA)}", Range="bytes=1-3").status == 206
        push(node, b"small")
        assert node.workers() == before
        assert b"Too many open files" not in (tmp_path / "log").read_bytes()
    assert "too many open files" not in "".join(node.lines)


@pytest.fixture
def worker() -> PatientWorker:
    """Make a worker that waits for nobody yet."""
    found = object.__new__(PatientWorker)
    found.poller, found.nr_conns, found.patience = selectors.DefaultSelector(), 0, 60
    found.cfg = SimpleNamespace(keepalive=75)
    for queue in ("pending_conns", "keepalived_conns", "lingering", "standing"):
        setattr(found, queue, deque())
    return found


@pytest.fixture
def connected(worker: PatientWorker, hold: ExitStack) -> Callable[[], tuple[Connection, socket.socket]]:
    """Make a connection of the worker's, and its client's end."""

    def connect() -> tuple[Connection, socket.socket]:
        connection = object.__new__(Connection)
        connection.sock, theirs = map(hold.enter_context, socket.socketpair())
        connection.sock.settimeout(0)
        connection.awaits, worker.nr_conns = selectors.EVENT_WRITE, worker.nr_conns + 1
        return connection, theirs

    return connect


def test_who_has_read_something_is_waited_for_again(
    worker: PatientWorker, connected: Callable[[], tuple[Connection, socket.socket]]
) -> None:
    """Though the system has asked for no more of the answer yet; who has read nothing is not."""
    (reader, theirs), (idler, _) = connected(), connected()
    for each in (reader, idler):
        with suppress(BlockingIOError):
            while each.sock.send(bytes(1 << 16)):
                pass
        worker._stand(each)
        each.timeout = 0.0
    theirs.recv(1 << 20)
    worker.murder_pending()
    assert (list(worker.standing), worker.nr_conns, idler.sock.fileno()) == ([reader], 1, -1)
    assert reader.timeout > 0


@pytest.mark.parametrize("longest", ["pending_conns", "keepalived_conns", "lingering", "standing"])
def test_who_was_silent_for_longest_makes_room(
    worker: PatientWorker, connected: Callable[[], tuple[Connection, socket.socket]], longest: str
) -> None:
    """Of whatever kind: one that has just been made does not go before it."""
    spans = {"pending_conns": 75, "keepalived_conns": 75, "lingering": LINGER, "standing": 60}
    for queue, span in spans.items():
        connection, _ = connected()
        connection.timeout = span + (100 if queue == longest else 200)
        worker.poller.register(connection.sock, selectors.EVENT_READ)
        getattr(worker, queue).append(connection)
    assert worker._make_room()
    assert [len(getattr(worker, queue)) for queue in spans] == [int(queue != longest) for queue in spans]

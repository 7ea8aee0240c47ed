"""Clients that read slowly, or not at all: no thread waits for them, and those that read on get all."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore_registry.connection import Connection

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

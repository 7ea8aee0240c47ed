"""Clients that are slow, in the way, or up to no good: they harm nobody but themselves."""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from layerstore_registry.serving.connection import Connection
from layerstore_registry.serving.worker import PatientWorker

if TYPE_CHECKING:
    from tests.registry_client import NAME, UPLOADS, digest
    from tests.serving import Node, eventually, serving
    from tests.test_serve import begin, drip, head, offset, read_all, said
else:
    from registry_client import NAME, UPLOADS, digest
    from serving import Node, eventually, serving
    from test_serve import begin, drip, head, offset, read_all, said

BLOCK = bytes(1 << 20)
BLOCKS = 40
"""Blocks of a body: more than the system keeps of a connection in both directions."""

GONE = "00000000-0000-4000-8000-000000000000"


def send_all(link: socket.socket) -> None:
    """Send a body to its end, as a client does that looks for no answer before."""
    for _ in range(BLOCKS):
        link.sendall(BLOCK)


LENGTH = f"Content-Length: {BLOCKS << 20}"
REFUSED = {
    "another offset": (416, "PATCH", "{}", ("Content-Range: 5-41943044",)),
    "another offset at the end": (416, "PUT", "{}?digest=" + digest(b""), ("Content-Range: 5-41943044",)),
    "no upload": (404, "PATCH", UPLOADS + GONE, ()),
    "no upload to end": (404, "PUT", f"{UPLOADS}{GONE}?digest={digest(b'')}", ()),
    "no digest": (400, "PUT", "{}?digest=x", ()),
    "too large": (413, "PUT", f"/v2/{NAME}/manifests/v1", ()),
    "another method": (405, "PUT", f"/v2/{NAME}/blobs/{digest(b'')}", ()),
    "nowhere": (404, "PUT", "/nowhere", ()),
}


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize(("status", "method", "path", "headers"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_reaches_a_client_that_is_still_sending(
    node: Node, status: int, method: str, path: str, headers: tuple[str, ...], *, chunked: bool
) -> None:
    """It sends its whole body before it looks; then the connection is good for another request, or ended."""
    path = path.format(begin(node))
    with node.connect() as link:
        link.sendall(head(method, path, *headers, "Transfer-Encoding: chunked" if chunked else LENGTH))
        if chunked:
            link.sendall(f"{BLOCKS << 20:x}\r\n".encode())
        send_all(link)
        if chunked:
            link.sendall(b"\r\n0\r\n\r\n")
        link.sendall(head("GET", "/v2/", "Connection: close"))
        answers = read_all(link)
    assert answers.startswith(f"HTTP/1.1 {status} ".encode())
    assert answers.count(b"HTTP/1.1") == 1 or b"HTTP/1.1 200 OK" in answers


def test_a_conflict_reaches_a_client_that_is_still_sending(node: Node) -> None:
    """A later request has gone on with its upload, and has it."""
    where = begin(node)
    with node.connect() as link:
        link.sendall(head("PATCH", where, f"Content-Length: {2 * BLOCKS << 20}"))
        send_all(link)  # more than the system keeps: the request is under way
        assert node.request("PATCH", where, b"later").status == 202
        send_all(link)
        assert link.recv(4096).startswith(b"HTTP/1.1 409 ")
    assert offset(node, where) == 4


def test_a_client_that_asks_before_it_sends_is_refused_before_it_does(node: Node) -> None:
    """It is not told to go on, and nothing is taken for its body."""
    where = begin(node)
    with node.connect() as link:
        link.sendall(head("PATCH", where, "Content-Range: 5-41943044", LENGTH, "Expect: 100-continue"))
        assert link.recv(4096).startswith(b"HTTP/1.1 416 ")
        assert b"HTTP/1.1" not in read_all(link)


def test_what_a_refused_client_sends_without_end_ends(tmp_path: Path) -> None:
    """It keeps the only thread for a while; then others have it."""
    with serving("--timeout", "1", "--threads", "1", store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        before, stop = node.settled(), threading.Event()
        with node.connect() as link:
            link.sendall(head("PATCH", UPLOADS + GONE, f"Content-Length: {1 << 40}"))

            def send() -> None:
                with suppress(OSError):
                    while not stop.is_set():
                        link.sendall(BLOCK)

            thread = threading.Thread(target=send)
            thread.start()
            assert node.request("GET", "/v2/").status == 200
            stop.set()
            thread.join()
        assert node.workers() == before


@pytest.mark.parametrize("before", [b"", b"x" * (1 << 20)])
def test_a_body_that_comes_a_byte_at_a_time_is_given_up(tmp_path: Path, before: bytes) -> None:
    """Though it never stands still; what came of it is kept, and the only thread is free again."""
    with serving("--timeout", "1", "--threads", "1", store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        workers, where = node.settled(), begin(node)
        with node.connect() as link:
            link.sendall(head("PATCH", where, "Content-Length: 2000000") + before)
            assert drip(link)
        assert node.request("GET", "/v2/").status == 200
        assert offset(node, where) > len(before)
        assert node.workers() == workers
        assert node.stop() == 0
    assert "Traceback" not in "".join(node.lines)


def test_clients_that_do_not_hang_up_keep_nobody_waiting(node: Node) -> None:
    """Each has its answer, after which the server ends the connection, and leaves its own side open."""
    links = [node.connect() for _ in range(60)]
    for link in links:
        link.sendall(head("GET", "/v2/", "Connection: close"))
    assert node.request("GET", "/v2/").status == 200
    for link in links:
        assert link.recv(4096).startswith(b"HTTP/1.1 200 ")
        link.close()


def test_two_thousand_clients_that_say_nothing_keep_nobody_waiting(node: Node) -> None:
    """Nor do those of them that have said something, and wait; there is room for all."""
    before = node.settled()
    idle = [node.connect() for _ in range(2000)]
    for link in idle[::2]:
        link.sendall(head("GET", "/v2/"))
    assert node.request("GET", "/v2/").status == 200
    for link in (idle[0], idle[1]):
        link.sendall(head("GET", "/healthz", "Connection: close"))
        assert b"healthy" in read_all(link)
    for link in idle:
        link.close()
    assert node.workers() == before


def test_more_clients_than_descriptors_keep_nobody_out(tmp_path: Path) -> None:
    """The one that has waited for longest makes room; an upload under way goes on, and no worker dies of it."""
    words = ("--threads", "2")
    with serving(*words, store=f"local:{tmp_path / 'store'}", log=tmp_path / "log", descriptors=200) as node:
        before, where = node.settled(), begin(node)
        with node.connect() as link:
            link.sendall(head("PATCH", where, "Content-Length: 10") + b"01234")
            eventually(lambda: node.request("GET", where).status == 204)
            idle = [node.connect() for _ in range(400)]
            assert node.request("POST", f"{UPLOADS}?digest={digest(BLOCK)}", BLOCK).status == 201
            link.sendall(b"56789")
            assert link.recv(4096).startswith(b"HTTP/1.1 202 ")
        for each in idle:
            each.close()
        assert (offset(node, where), node.workers()) == (9, before)


def test_who_has_made_room_says_nothing_any_more() -> None:
    """What it said in the same turn, as it was closed for another one, is passed over: it would end the worker."""
    worker = object.__new__(PatientWorker)
    worker.poller, worker.nr_conns, worker.cfg = selectors.DefaultSelector(), 5, SimpleNamespace(keepalive=75)
    kinds = {"pending_conns": PatientWorker.on_pending_socket_readable, "lingering": PatientWorker._discard}
    kinds |= {"keepalived_conns": PatientWorker.on_client_socket_readable, "standing": PatientWorker._on_read}
    for kind in kinds:
        setattr(worker, kind, deque())
    for kind, callback in kinds.items():
        ours, theirs = socket.socketpair()
        connection = object.__new__(Connection)
        connection.sock, connection.timeout = ours, 0.0
        worker.poller.register(ours, selectors.EVENT_READ)
        getattr(worker, kind).append(connection)
        assert worker._make_room()
        callback(worker, connection, ours)
        theirs.close()
    assert (worker._make_room(), worker.nr_conns) == (False, 1)


CHUNKS = b"5\r\nbytes\r\n0\r\n"
TRAILERS = {
    "one": b"X: y\r\n\r\n",
    "a length": b"Content-Length: 3\r\n\r\n",
    "a coding": b"Transfer-Encoding: chunked\r\n\r\n",
    "a login": b"Authorization: Basic eA==\r\n\r\n",
    "a range": b"Content-Range: 9-9\r\n\r\n",
    "a request": b"GET /v2/smuggled/tags/list HTTP/1.1\r\n\r\n",
    "a bare line feed": b"X: y\n\n",
    "a long one": b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    "many": b"".join(b"X%d: y\r\n" % number for number in range(5000)) + b"\r\n",
}


@pytest.mark.parametrize("trailers", TRAILERS.values(), ids=TRAILERS)
def test_what_follows_the_last_chunk_is_no_header_and_no_request(node: Node, trailers: bytes) -> None:
    """It is passed over or refused: then what came is kept, and nothing behind it is taken for a request."""
    where = begin(node)
    answer = said(node, head("PATCH", where, "Transfer-Encoding: chunked") + CHUNKS + trailers)
    assert answer.count(b"HTTP/1.1") <= 1
    assert answer == b"" or answer.split()[1] in (b"202", b"400", b"431")
    assert offset(node, where) == 4


@pytest.mark.parametrize("size", [b"5;" + b"x" * 100_000, b"+5", b"0x5", b"5 5", b" 5", b"-5", b""])
def test_the_size_of_a_chunk_is_a_number_and_nothing_else(node: Node, size: bytes) -> None:
    """What is not understood is refused, and no byte of it is taken for a layer's."""
    where = begin(node)
    answer = said(node, head("PATCH", where, "Transfer-Encoding: chunked") + size + b"\r\nbytes\r\n0\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert offset(node, where) == 0


def test_a_chunk_without_end_is_cut_off(node: Node) -> None:
    """Of a size that no chunk has, all that came is kept."""
    where, came = begin(node), b"bytes\r\n0\r\n\r\n"
    answer = said(node, head("PATCH", where, "Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n" + came)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert offset(node, where) == len(came) - 1


PATHS = [
    "/v2/%2e%2e/tags/list",
    "/v2/a/../b/tags/list",
    "/v2/a/%2e%2e/b/tags/list",
    "/v2/a/%2E/b/tags/list",
    "/v2/./a/tags/list",
    "/v2/%252e%252e/tags/list",
    "/v2/a%00b/tags/list",
    "/v2/a%0d%0aX:y/tags/list",
    "/v2/a%c0%afb/tags/list",
    "/v2/a%5c..%5cb/tags/list",
    "/v2/..%2f..%2fetc/tags/list",
    "/v2/a;b/tags/list",
    f"/v2/a/blobs/{digest(b'')}%2f..%2fx",
    "/v2/a/blobs/uploads/..",
    "/v2/a/blobs/uploads/%2e%2e",
    "/v2/a/blobs/uploads/..%2f..%2fx",
    "/v2/a/manifests/..",
    "/v2/a/manifests/%2e%2e",
    "/v2/a/referrers/%2e%2e",
    "//v2/a/tags/list",
    "/v2//a/tags/list",
    "http://elsewhere/v2/a%2f/tags/list",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_path_that_leads_elsewhere_leads_nowhere(node: Node, method: str, path: str) -> None:
    """However its dots and slashes are spelled; nothing is stored, and nothing of the machine is told."""
    answer = said(node, head(method, path, "Content-Length: 0", "Connection: close"))
    assert answer.split()[1] in (b"400", b"404", b"405")
    assert b"store" not in answer
    assert b"\nX:y" not in answer


def test_a_range_bomb_costs_one_answer(node: Node) -> None:
    """Hundreds of ranges are answered by no more than the blob."""
    data = BLOCK[:100_000]
    assert node.request("POST", f"{UPLOADS}?digest={digest(data)}", data).status == 201
    bomb = "bytes=" + ",".join(["0-"] * 1000)
    answer = node.request("GET", f"/v2/{NAME}/blobs/{digest(data)}", Range=bomb)
    assert (answer.status, len(answer.body)) == (200, len(data))

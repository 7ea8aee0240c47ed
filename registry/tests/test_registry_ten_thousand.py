"""Ten thousand connections and more: all stay open that may, and the others make room in their turn."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore_registry.serving.server import Serving

if TYPE_CHECKING:
    from tests.registry_client import NAME, UPLOADS, digest
    from tests.serving import DEADLINE, Node, eventually, serving
    from tests.test_serve import head
else:
    from registry_client import NAME, UPLOADS, digest
    from serving import DEADLINE, Node, eventually, serving
    from test_serve import head

ROOM = Serving().connections
MORE = 500
"""Connections for which there is no room."""

OTHERS = 10
"""Connections of clients that come and go."""

MEMORY = 150
"""MiB that a worker may take."""


class Crowd:
    """Many connections to one server, from several addresses of this machine."""

    def __init__(self, node: Node, stack: ExitStack) -> None:
        """Have none yet."""
        self._node, self._stack = node, stack
        self._poll = select.poll()
        self.links: list[socket.socket] = []

    def grow(self, count: int, words: bytes = b"") -> None:
        """Open connections; each says something and has its answer, or nothing."""
        host, _, port = self._node.host.rpartition(":")
        for _ in range(count):
            source = f"127.0.0.{2 + len(self.links) // 5000}"
            link = socket.create_connection((host, int(port)), DEADLINE, (source, 0))
            self._stack.enter_context(link)
            self.links.append(link)
            if words:
                link.sendall(words)
                assert link.recv(4096).startswith(b"HTTP/1.1 200 ")
            self._poll.register(link, select.POLLIN)

    def gone(self) -> list[int]:
        """Return which connections have been closed, by their order."""
        found = {descriptor for descriptor, _ in self._poll.poll(0)}
        return [number for number, link in enumerate(self.links) if link.fileno() in found]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close all connections at the end."""
    with ExitStack() as stack:
        yield stack


def memory(worker: int) -> int:
    """Return how many MiB a process has had at most."""
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def sockets(worker: int) -> int:
    """Return how many connections a process has open; one socket more listens."""
    found = 0
    for descriptor in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += descriptor.readlink().name.startswith("socket:")
    return found - 1


def check_works(node: Node, data: bytes) -> None:
    """Push a blob, and pull it."""
    assert node.request("POST", f"{UPLOADS}?digest={digest(data)}", data).status == 201
    assert node.request("GET", f"/v2/{NAME}/blobs/{digest(data)}").body == data


def test_ten_thousand_connections_stay_open_and_those_beyond_make_room_in_turn(
    tmp_path: Path, stack: ExitStack
) -> None:
    """Exactly those that have been silent for longest are closed; a push and a pull go on, and memory is bounded."""
    with serving(store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        (worker,) = node.settled()
        crowd = Crowd(node, stack)
        crowd.grow(ROOM // 2)  # in the order in which they are let in; answers may end in another one
        crowd.grow(ROOM // 2 - OTHERS, head("GET", "/v2/"))
        check_works(node, b"beside ten thousand")
        eventually(lambda: sockets(worker) == len(crowd.links))
        assert crowd.gone() == []
        crowd.grow(OTHERS + MORE)
        eventually(lambda: len(crowd.gone()) >= MORE)
        assert (crowd.gone(), sockets(worker)) == (list(range(MORE)), ROOM)
        check_works(node, b"beside more")
        for number in (ROOM // 2 - 1, ROOM // 2, ROOM + MORE - 1):
            crowd.links[number].sendall(head("GET", "/healthz"))
            assert b"healthy" in crowd.links[number].recv(4096)
        assert (node.workers(), memory(worker) <= MEMORY) == ([worker], True)
        assert node.stop() == 0
    assert "Traceback" not in "".join(node.lines)


def test_a_stop_does_not_wait_for_who_says_nothing(tmp_path: Path) -> None:
    """Neither for who has never said anything, nor for who has."""
    words = ("--graceful-timeout", "3600")
    with (
        serving(*words, store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node,
        node.connect(),
        node.connect() as other,
    ):
        other.sendall(head("GET", "/v2/"))
        assert other.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert node.stop() == 0

"""The server that tests start: its own port, never another's."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from layerstore_drivers.azure.emulator import Azurite, EmulatorError

pytestmark = [pytest.mark.azurite, pytest.mark.xdist_group("azurite"), pytest.mark.usefixtures("azurite")]


class Agreeable(BaseHTTPRequestHandler):
    """Answers 200, whatever it is asked."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def other() -> Iterator[int]:
    """Serve something else, and return its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Agreeable) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever)
        yield server.server_port
        server.shutdown()


def is_azurite(port: int) -> bool:
    """Tell whether it is an Azurite that answers at a port."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/devstoreaccount1?comp=list")
        return "Azurite" in connection.getresponse().getheader("Server", "")
    finally:
        connection.close()


def test_a_port_that_is_taken_before_the_start_is_no_matter() -> None:
    """A server that may listen anywhere starts, whatever others do between its making and its start."""
    server = Azurite()
    with socket.create_server(("127.0.0.1", server.port)), server:
        assert is_azurite(server.port)


def test_two_servers_at_once_have_two_ports() -> None:
    """Servers that are started at the same time each have a port, and serve there."""
    with ThreadPoolExecutor(2) as pool:
        servers = list(pool.map(lambda _: Azurite().start(), range(2)))
    try:
        assert len({server.port for server in servers}) == 2
        assert all(is_azurite(server.port) for server in servers)
    finally:
        for server in servers:
            server.stop()


def test_another_server_at_the_port_asked_for_is_not_taken_for_ours(other: int) -> None:
    """If another program answers at the port, the start fails with Azurite's own message."""
    with pytest.raises(EmulatorError, match=f"EADDRINUSE.*{other}"), Azurite(port=other):
        pass


def test_a_restarted_server_is_where_it_was() -> None:
    """A server on a port that it found free comes back there, and nowhere else."""
    with Azurite() as server:
        port = server.port
        server.restart()
        assert server.port == port
        assert is_azurite(port)


def test_a_restart_that_finds_its_port_taken_says_so(other: int) -> None:
    """A server that cannot come back to its port fails, and does not leave its process behind."""
    with Azurite() as server:
        server.stop()
        server.port = other
        with pytest.raises(EmulatorError, match="EADDRINUSE"):
            server.restart()
        assert server._process is None

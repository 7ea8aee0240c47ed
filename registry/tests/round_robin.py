"""A proxy that gives each connection to the next node, and passes over those that are gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from urllib.parse import urlsplit


class RoundRobin:
    """Connections on a port of its own, each to another node."""

    def __init__(self, urls: Sequence[str]) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._turns = cycle((str(urlsplit(url).hostname), int(urlsplit(url).port or 0)) for url in urls)
        self._count = len(urls)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.served = 0
        """Connections given away."""

    def run(self) -> None:
        """Take connections until closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _join(self, client: socket.socket) -> None:
        for _ in range(self._count):
            try:
                node = socket.create_connection(next(self._turns))
            except OSError:
                continue
            self.served += 1
            back = threading.Thread(target=_pass, args=(node, client), daemon=True)
            back.start()
            _pass(client, node)
            back.join()
            node.close()
            break
        client.close()


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Hand on what one side says, and that it has ended."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def round_robin(urls: Sequence[str]) -> Iterator[RoundRobin]:
    """Stand before nodes until the end of the block."""
    proxy = RoundRobin(urls)
    thread = threading.Thread(target=proxy.run)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()

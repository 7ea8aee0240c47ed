"""The worker: gunicorn's threads, with patience that ends.

gunicorn waits for the first bytes of a connection in a thread, and for the rest for ever. Here a connection that says
nothing costs no thread, and one that stops in the middle of a request is given up, and what came of an upload is kept.
The head of a request has to come as a whole within some seconds: else a byte now and then keeps a thread for ever.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from functools import partial
from typing import Any, Final

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

HEAD: Final = 10.0
"""Seconds in which the head of a request has to come; it fits in some packets."""


class PatientSocket(socket.socket):
    """A socket that, where it is told to block, blocks for so long only."""

    patience: float
    """Seconds."""

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001  (as a socket's)
        """Block for as long as there is patience, or not at all."""
        self.settimeout(self.patience if flag else 0)


class PatientUnreader(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """Reads from a connection, with a deadline while it is a head that is read."""

    deadline: float | None = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what comes next.

        Raises:
            TimeoutError: it did not come in time.
        """
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the head of a request did not come in time")
            self.sock.settimeout(left)
        data: bytes = super().chunk(size_hint)
        return data


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection that is waited for no longer than the worker's patience."""

    def init(self) -> None:
        """Begin a request; called before each, in its thread."""
        fresh = not self.initialized
        super().init()  # of TLS it makes the handshake, as a whole within the patience of the socket
        if fresh:
            self.parser.unreader = PatientUnreader(self.sock)
        self.parser.unreader.deadline = time.monotonic() + min(HEAD, self.cfg.timeout)

    def end_of_head(self) -> None:
        """Wait for each part of a body as long as there is patience."""
        self.parser.unreader.deadline = None
        self.sock.settimeout(self.cfg.timeout)  # of TLS this is another socket, and none of ours


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker whose threads are for requests only."""

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """If there is something to read, give the connection to a thread. Otherwise wait, as for all others."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.__class__ = Connection  # gunicorn has no place to say which class
        conn.sock = _patient(conn.sock, self.cfg.timeout)
        conn.sock.settimeout(0)
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle_quit(self, sig: int, frame: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """End after the requests under way, as for SIGTERM.

        gunicorn's own shuts the threads' pool down in the signal's handler, which waits for ever for a lock if the
        thread that it has interrupted has that.
        """
        self.handle_exit(sig, frame)

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401  (gunicorn's)
        """Answer a request whose head has come."""
        conn.end_of_head()
        return super().handle_request(req, conn)


class Impatience(logging.Filter):
    """Keeps slow clients out of the log: the server is not at fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is about something else."""
        return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))


def _patient(sock: socket.socket, patience: float) -> PatientSocket:
    found = PatientSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    found.patience = patience
    return found

"""The worker: gunicorn's threads, with patience that ends.

gunicorn waits for the first bytes of a connection in a thread, and for the rest for ever. Here a connection that says
nothing costs no thread, and one that stops in the middle of a request is given up, and what came of an upload is kept.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker


class PatientSocket(socket.socket):
    """A socket that, where it is told to block, blocks for so long only."""

    patience: float
    """Seconds."""

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001  (as a socket's)
        """Block for as long as there is patience, or not at all."""
        self.settimeout(self.patience if flag else 0)


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection that is waited for no longer than the worker's patience."""

    def init(self) -> None:
        """Begin a request; called before each, in its thread."""
        super().init()
        self.sock.settimeout(self.cfg.timeout)  # of TLS this is another socket, and none of ours


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker whose threads are for requests only."""

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """Hand a connection to a thread, if there is something to be read; else wait for that beside all others."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.__class__ = Connection  # gunicorn has no place to say which class
        conn.sock = _patient(conn.sock, self.cfg.timeout)
        conn.sock.settimeout(0)
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))


class Impatience(logging.Filter):
    """Keeps out of the log that a client was given up: it is nobody's fault here."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is about something else."""
        return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))


def _patient(sock: socket.socket, patience: float) -> PatientSocket:
    found = PatientSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    found.patience = patience
    return found

"""The worker: gunicorn's threads, for requests only.

A connection that says nothing costs no thread, and neither does one whose client is still reading its answer. Where as
many are open as may be, the one that has said nothing for longest makes room for the next.
"""

from __future__ import annotations

import errno
import logging
import resource
import selectors
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

from layerstore_registry.connection import Connection, PatientSocket

LINGER: Final = 2.0
"""Seconds that a client has to read an answer after which its connection is closed."""

SOON: Final = 0.002
"""Seconds that a thread that nobody else waits for waits for the next request of a connection."""

SPARE: Final = 64
"""Descriptors that a worker has for itself."""

OF_REQUEST: Final = 16
"""Descriptors that a request may take in the store."""

FULL: Final = (errno.EMFILE, errno.ENFILE)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker whose threads are for requests only."""

    patience = 60
    """Seconds that a client may stand still; a class derived from this has its own."""

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """Have room for as many connections as descriptors allow, beside those that requests need."""
        super().__init__(*args, **more)
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.room = max(1, min(self.worker_connections - 1, limit - SPARE - OF_REQUEST * self.cfg.threads))
        self.lingering: deque[Connection] = deque()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; one that waits for nothing but a request makes room for it."""
        if self.nr_conns >= self.room:
            self._make_room()
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.log.warning("too many open files: %s connections", self.nr_conns)
            if not self._make_room():
                time.sleep(0.1)  # until requests have ended; whoever knocks would be heard without end

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """If there is something to read, give the connection to a thread. Otherwise wait, as for all others."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.__class__ = Connection  # gunicorn has no place to say which class
        conn.linger, conn.patience = self._linger, self.patience
        conn.sock = PatientSocket.of(conn.sock, self.patience)
        conn.sock.settimeout(0)
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: Any) -> Any:  # noqa: ANN401  (gunicorn's)
        """Answer a request, and those that follow it at once: handing a connection on takes longer than some do."""
        kept = super().handle(conn)
        while kept is True and self.alive and not self._is_waited_for() and conn.speaks(SOON):
            kept = super().handle(conn)
        return kept

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:  # noqa: ANN401  (gunicorn's)
        """Go on with a connection, if it has not made room for another one in the same turn."""
        if not _is_closed(client):
            super().on_client_socket_readable(conn, client)

    def on_pending_socket_readable(self, conn: Any, client: socket.socket) -> None:  # noqa: ANN401  (gunicorn's)
        """Begin with a connection, if it has not made room for another one in the same turn."""
        if not _is_closed(client):
            super().on_pending_socket_readable(conn, client)

    def handle_quit(self, sig: int, frame: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """End after the requests under way, as for SIGTERM.

        gunicorn's own shuts the threads' pool down in the signal's handler, which waits for ever for a lock if the
        thread that it has interrupted has that.
        """
        self.handle_exit(sig, frame)

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401  (gunicorn's)
        """Answer a request whose head has arrived."""
        conn.end_of_head(req)
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Close what has waited for too long, to say something or to read an answer."""
        super().murder_pending()
        now = time.monotonic()
        while self.lingering and self.lingering[0].timeout <= now:
            self._let_go(self.lingering.popleft())

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:  # noqa: ANN401  (gunicorn's)
        """Take the rest of a body that was answered early, so that its client comes to read the answer."""
        return bool(conn.drained() and keepalive)

    def _is_waited_for(self) -> bool:
        """Tell whether there are requests that no thread has taken."""
        return bool(self.tpool._work_queue.qsize())  # noqa: SLF001  (the pool has no other way to ask)

    def _make_room(self) -> bool:
        """Close the connection that has waited for longest, and tell whether there was one."""
        for idle in (self.pending_conns, self.keepalived_conns, self.lingering):
            if idle:
                self._let_go(idle.popleft())
                return True
        return False

    def _linger(self, conn: Connection) -> None:
        """Say that there is no more to come, and close when the client has seen that.

        A connection that is closed while there is something to be read takes the answer away from its client.
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.settimeout(0)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))
        except (OSError, ValueError):  # the client has gone
            conn.close()
            return
        conn.timeout = time.monotonic() + LINGER
        self.lingering.append(conn)
        self.nr_conns += 1

    def _discard(self, conn: Connection, sock: socket.socket) -> None:
        """Take what a client still sends, until it sends no more."""
        if _is_closed(sock):
            return
        with suppress(OSError):
            if sock.recv(1 << 16):
                return
        self.lingering.remove(conn)
        self._let_go(conn)

    def _let_go(self, conn: Any) -> None:  # noqa: ANN401  (gunicorn's, or ours)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()


def _is_closed(sock: socket.socket) -> bool:
    return sock.fileno() < 0


class Impatience(logging.Filter):
    """Keeps slow clients out of the log: the server is not at fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is about something else."""
        return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))

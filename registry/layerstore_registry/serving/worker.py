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
from collections.abc import Generator
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from layerstore_registry.serving.connection import Connection, PatientSocket
from layerstore_registry.serving.sending import Outbox, unread

LINGER: Final = 2.0
"""Seconds that a client has to read an answer after which its connection is closed."""

SOON: Final = 0.002
"""Seconds that a thread that nobody else waits for waits for the next request of a connection."""

SPARE: Final = 64
"""Descriptors that a worker has for itself."""

OF_REQUEST: Final = 16
"""Descriptors that a request may take in the store."""

FULL: Final = (errno.EMFILE, errno.ENFILE)

STANDING: Final = object()
"""What a thread returns whose client has to read before there is more to send."""


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
        self.standing: deque[Connection] = deque()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; one that waits for nothing but a request makes room for it."""
        if self.nr_conns + len(self.standing) >= self.room:  # of an answer that stands a file is open, too
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
        kept = self._go_on(conn) if conn.answering else super().handle(conn)
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
        conn.answering = self._answer(req, conn)
        return self._send(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """Take a connection back from a thread; where its client has to read, wait for that."""
        if fs.cancelled() or fs.exception() or fs.result() is not STANDING:
            super().finish_request(conn, fs)
        else:
            self._stand(conn)

    def murder_pending(self) -> None:
        """Close what has waited for too long, to say something or to read an answer."""
        super().murder_pending()
        now = time.monotonic()
        while self.lingering and self.lingering[0].timeout <= now:
            self._let_go(self.lingering.popleft())
        while self.standing and self.standing[0].timeout <= now:
            self._judge(self.standing.popleft())

    def _cap_keepalive(self, deadline: float) -> None:
        """Before the end, wait for a request of those that have said nothing no longer than of others."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """Say what is wrong with a request, but wait for nobody to read it."""
        with suppress(OSError):
            client.settimeout(0)
        super().handle_error(req, client, addr, exc)

    def _answer(self, req: Any, conn: Connection) -> Generator[int, None, bool]:  # noqa: ANN401  (gunicorn's)
        """Answer a request, and yield the event that is waited for. Return whether the connection is kept."""
        begun, out = datetime.now(), Outbox(conn.sock, self._is_waited_for)  # noqa: DTZ005  (as gunicorn's)
        answer, environ = wsgi.create(req, out, conn.client, conn.server, self.cfg)
        environ["wsgi.multithread"] = True
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            answer.force_close()
        body = self.wsgi(environ, answer.start_response)
        try:
            if not isinstance(body, wsgi.FileWrapper) or not answer.sendfile(body):
                for block in body:
                    answer.write(block)
                    yield from out.emptied()
            answer.close()
            yield from out.emptied()
        except Exception as error:
            if isinstance(error, OSError) or not answer.headers_sent:
                raise
            self.log.exception("Error sending an answer")  # another answer behind half of this one would be part of it
            return False
        finally:
            self.log.access(answer, req, environ, datetime.now() - begun)  # noqa: DTZ005  (as gunicorn's)
            if hasattr(body, "close"):
                body.close()
        return not answer.should_close()

    def _send(self, conn: Any) -> object:  # noqa: ANN401  (as gunicorn's)
        """Send as much of an answer as the client reads, and return what is to become of the connection."""
        answering, conn.answering = conn.answering, None
        try:
            conn.awaits = next(answering)
        except StopIteration as end:
            return end.value
        conn.answering = answering
        return STANDING

    def _go_on(self, conn: Connection) -> object:
        """Send more of an answer; a client that has gone is nobody's fault."""
        try:
            return self._keepalive_after(conn, self._send(conn))
        except OSError:
            return False

    def _stand(self, conn: Connection) -> None:
        """Wait for a client to read, in no thread."""
        conn.unread, conn.timeout = unread(conn.sock), time.monotonic() + self.patience
        self.standing.append(conn)
        self.poller.register(conn.sock, conn.awaits, partial(self._on_read, conn))

    def _on_read(self, conn: Connection, sock: socket.socket) -> None:
        """Go on with an answer whose client has read, or has gone."""
        if not _is_closed(sock):
            self.poller.unregister(sock)
            self.standing.remove(conn)
            self.enqueue_req(conn)

    def _judge(self, conn: Connection) -> None:
        """Close a connection whose client has read nothing for too long; the system asks for more only after much."""
        if unread(conn.sock) < conn.unread:
            self.poller.unregister(conn.sock)
            self._stand(conn)
        else:
            self._let_go(conn)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> Any:  # noqa: ANN401  (gunicorn's)
        """Take the rest of a body that was answered early, so that its client comes to read the answer."""
        return keepalive if keepalive is STANDING else bool(conn.drained() and keepalive)

    def _is_waited_for(self) -> bool:
        """Tell whether there are requests that no thread has taken."""
        return bool(self.tpool._work_queue.qsize())  # noqa: SLF001  (the pool has no other way to ask)

    def _make_room(self) -> bool:
        """Close the connection that has waited for longest, and tell whether there was one."""
        keepalive = self.cfg.keepalive
        spans = (keepalive, keepalive, LINGER, self.patience)
        queues = (self.pending_conns, self.keepalived_conns, self.lingering, self.standing)
        waiting = [queue for queue in zip(queues, spans, strict=True) if queue[0]]
        if waiting:
            queue, _ = min(waiting, key=lambda each: each[0][0].timeout - each[1])
            self._let_go(queue.popleft())
        return bool(waiting)

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
    """Keeps clients that are slow, or that are not understood, out of the log: the server is not at fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is about something else."""
        if str(record.msg).startswith("Invalid request from"):
            return False
        return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))

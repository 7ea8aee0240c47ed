"""Connections: how long a client is waited for, in its head, in its body, and after its answer.

gunicorn waits for the first bytes of a connection in a thread, and for the rest for ever. Here the head of a request
has to come as a whole within some seconds, and a body at some pace: else a byte now and then keeps a thread for ever.
A client that is refused before its body has come may be sending it still, and reads the answer only behind it: the rest
is taken for nothing, for a while.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Generator
from typing import Any, Final

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

HEAD: Final = 10.0
"""Seconds in which the head of a request has to come; it fits in some packets."""

PACE: Final = 1024
"""Bytes a second that a body may come at: slower ones run out of patience, as one does that stands still."""

DRAIN: Final = 30.0
"""Seconds in which the rest of a body is taken for nothing."""

BLOCK: Final = 1 << 20

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class PatientSocket(socket.socket):
    """A socket that, where it is told to block, blocks for so long only."""

    patience: float
    """Seconds."""

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001  (as a socket's)
        """Block for as long as there is patience, or not at all."""
        self.settimeout(self.patience if flag else 0)

    @classmethod
    def of(cls, sock: socket.socket, patience: float) -> PatientSocket:
        """Take over a socket."""
        found = cls(sock.family, sock.type, sock.proto, fileno=sock.detach())
        found.patience = patience
        return found


class PatientUnreader(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """Reads from a connection until a deadline, which what comes of a body puts off."""

    deadline = 0.0
    patience = 0.0
    """Seconds that a deadline is put off to at most; 0: it is not put off."""
    invites = False
    """Whether the client waits to be told that it may send."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what comes next.

        Raises:
            TimeoutError: it did not come in time.
        """
        if self.invites:
            self.invites = False
            self.sock.sendall(CONTINUE)
        now = time.monotonic()
        if self.deadline <= now:
            raise TimeoutError("a request did not come in time")
        self.sock.settimeout(self.deadline - now)
        data: bytes = super().chunk(size_hint)
        if self.patience:
            self.deadline = min(self.deadline + len(data) / PACE, time.monotonic() + self.patience)
        return data


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection that is waited for no longer than the worker's patience."""

    patience: int
    """Seconds that its client may stand still."""
    linger: Callable[[Connection], None]
    """Closes it when its client has read the answer, and costs no thread; called in the worker's main thread."""
    answering: Generator[int, None, bool] | None = None
    """What is left of its answer."""
    awaits = 0
    """The event that this waits for."""
    unread = 0
    """Bytes of the answer that the client had not taken when this began to wait."""

    def init(self) -> None:
        """Begin a request; called before each, in its thread."""
        fresh = not self.initialized
        super().init()  # of TLS it makes the handshake, as a whole within the patience of the socket
        if fresh:
            self.parser.unreader = PatientUnreader(self.sock)
        reads = self.parser.unreader
        reads.deadline, reads.patience = time.monotonic() + min(HEAD, self.patience), 0.0

    def end_of_head(self, request: Any) -> None:  # noqa: ANN401  (gunicorn's)
        """Wait for a body as long as it comes at some pace; who asks is told to send it when it is wanted."""
        reads = self.parser.unreader
        reads.deadline, reads.patience = time.monotonic() + self.patience, float(self.patience)
        reads.invites = request._expected_100_continue  # noqa: SLF001  (gunicorn would send it before it is wanted)
        request._expected_100_continue = False  # noqa: SLF001  (as above)

    def drained(self) -> bool:
        """Take what the client still sends of its body for nothing, and tell whether that was all of it.

        One that was never told to send it need not, and there is no telling whether it does.
        """
        body, reads = self.parser.mesg.body, self.parser.unreader
        if reads.invites:
            return not _length(body)
        reads.deadline, reads.patience = time.monotonic() + min(DRAIN, self.patience), 0.0
        try:
            while not body.failed and body.read(BLOCK):
                pass
        except Exception:  # noqa: BLE001  (gunicorn has many for a body that breaks off; all mean the same)
            return False
        return not body.failed

    def speaks(self, seconds: float) -> bool:
        """Tell whether more comes within some time."""
        if self.parser.unreader.buf.getvalue():
            return True
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        ready = select.poll()
        ready.register(self.sock, select.POLLIN)
        return bool(ready.poll(seconds * 1000))

    def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002  (as gunicorn's)
        """Close, at once or when the client has read the answer."""
        if graceful:
            self.linger(self)
            return
        super().close()
        if self.answering:
            self.answering.close()


def _length(body: Any) -> int:  # noqa: ANN401  (gunicorn's)
    """Return how much of a body has not come; of one in chunks, that there may be some."""
    return int(getattr(body.reader, "length", 1))

"""Answers on their way out: as far as a client reads, and no thread waits for one that does not.

gunicorn blocks in a thread until all is sent. Here it writes into an outbox, which sends what the system takes, and
says what it waits for when the system takes no more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import selectors
import ssl
import struct
import termios
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

    from layerstore_registry.messages.parts import Part

SOON: Final = 0.02
"""Seconds that a thread that nobody else waits for waits for a client to read."""

AT_ONCE: Final = 1 << 30
"""Bytes of a file that the system is asked to send at a time; it takes less than 2 GiB."""


class Outbox:
    """Stands for the socket of a connection, and keeps what is sent until the system takes it."""

    def __init__(self, sock: socket.socket, is_waited_for: Callable[[], bool]) -> None:
        """Send to a socket. ``is_waited_for`` tells whether somebody else could use this thread."""
        self._sock = sock
        self._is_waited_for = is_waited_for
        self._data = memoryview(b"")
        self._file: Part | None = None
        self._descriptor = self._offset = self._left = 0

    def sendall(self, data: bytes) -> None:
        """Keep bytes."""
        self._data = memoryview(bytes(self._data) + data if self._data else data)

    def sendfile(self, file: Part, offset: int, count: int) -> None:
        """Keep a part of a file, to be sent behind the bytes."""
        self._file, self._descriptor, self._offset, self._left = file, file.fileno(), offset, count

    def emptied(self) -> Iterator[int]:
        """Send all there is, and yield the event that is waited for whenever the system takes no more.

        Raises:
            OSError: the client has gone, or the file has ended.
        """
        self._sock.settimeout(0)
        while self._data or self._left:
            try:
                self._send()
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not self._is_read():
                    yield selectors.EVENT_WRITE
            except ssl.SSLWantReadError:
                yield selectors.EVENT_READ

    def _send(self) -> None:
        if self._data:
            self._data = self._data[self._sock.send(self._data) :]
        elif self._file:
            sent = os.sendfile(self._sock.fileno(), self._descriptor, self._offset, min(self._left, AT_ONCE))
            if not sent:
                raise OSError(errno.EIO, "a layer is shorter than it was")
            self._offset, self._left = self._offset + sent, self._left - sent
            self._file.seek(self._offset)

    def _is_read(self) -> bool:
        """Tell whether the client reads on at once, as most do: handing an answer on takes longer."""
        ready = select.poll()
        ready.register(self._sock, select.POLLOUT)
        return bool(ready.poll(0 if self._is_waited_for() else SOON * 1000))


def unread(sock: socket.socket) -> int:
    """Return how many bytes the system keeps that a client has not taken; 0 if the system does not say."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0

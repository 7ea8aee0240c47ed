"""A real FTP server for tests, in a process of its own: what is counted of the tests' process is not the server's."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

USER = "layers"
PASSWORD = "s3cret-and-long"


class FTPServer:
    """Serves a directory on a free loopback port, until the block ends."""

    def __init__(self, root: Path) -> None:
        """Serve what is below a root."""
        self.root = root
        self.port = 0
        self._begin()

    def url(self, path: str, password: str = PASSWORD) -> str:
        """Return the URL of a directory."""
        return f"pyfs+ftp://127.0.0.1:{self.port}/{path}?user={USER}&password={password}"

    def cut(self) -> None:
        """Break every connection that is open."""
        self._ask("cut")

    def restart(self) -> None:
        """Kill the server, and have another one serve on the same port."""
        self._end()
        self._begin()

    def _begin(self) -> None:
        command = [sys.executable, __file__, str(self.root), str(self.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = int(self._ask("port"))

    def _ask(self, line: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\n")
        return self._process.stdout.readline()

    def _end(self) -> None:
        with self._process as process:
            process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


def serve(root: str, port: int) -> None:
    """Serve, and do what is asked for on standard input, until that ends."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer as Serving

    logging.disable()
    FTPHandler.authorizer = DummyAuthorizer()
    FTPHandler.authorizer.add_user(USER, PASSWORD, root, perm="elradfmwMT")
    # Each transfer has a port, which is kept for a minute: on a fast machine the system's own 28,000 do not last.
    # From a range, the server takes one again at once.
    FTPHandler.passive_ports = range(20_000, 32_000)
    server = Serving(("127.0.0.1", port), FTPHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for line in sys.stdin:
        if line == "cut\n":
            for each in list(server.ioloop.socket_map.values()):
                with suppress(OSError):  # the listening socket is not connected
                    if each is not server:
                        each.socket.shutdown(socket.SHUT_RDWR)
        print(server.address[1], flush=True)  # noqa: T201  (the answer)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))

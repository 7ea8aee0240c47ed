"""Two registries, each a process of its own on a directory of its own, and a client of either."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE = 60.0
"""Seconds until a registry has to answer."""

CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A registry that serves."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def processes(self) -> list[int]:
        """Return its processes: the workers behind the first one."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [pid, *map(int, children.split())]

    def cpu(self) -> float:
        """Return how many seconds of CPU its processes have taken."""
        return sum(map(_cpu, self.processes()))

    def forget_peaks(self) -> None:
        """Begin anew to watch how much memory it takes."""
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")

    def peak(self) -> int:
        """Return the most bytes of memory that one of its processes has taken since."""
        return max(map(_peak, self.processes()))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    (line,) = (each for each in lines if each.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


@contextmanager
def layerstore_serve(folder: Path, workers: int) -> Iterator[Server]:
    """Serve a store by ours."""
    words = [sys.executable, "-m", "layerstore", "serve", "--store", f"local:{folder / 'store'}"]
    with _serving("layerstore", folder, [*words, "--workers", str(workers), "--listen", "127.0.0.1:{port}"]) as server:
        yield server


@contextmanager
def docker_registry(folder: Path) -> Iterator[Server]:
    """Serve a directory by the reference registry."""
    with _serving("docker-registry", folder, ["docker-registry", "serve", str(folder / "config.yml")]) as server:
        yield server


@contextmanager
def _serving(name: str, folder: Path, words: list[str]) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder.mkdir()
    (folder / "config.yml").write_text(CONFIGURATION.format(root=folder / "store", port=port), encoding="utf-8")
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([word.replace("{port}", str(port)) for word in words], stdout=log, stderr=log) as process,
    ):
        try:
            _await(port)
            yield Server(name, port, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _await(port: int) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            Client(port).ask("GET", "/v2/")
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return


class Client:
    """A connection that is kept, and requests over it, one after the other."""

    def __init__(self, port: int) -> None:
        """Connect at the first request."""
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def ask(
        self, method: str, path: str, pieces: Iterable[bytes] = (), length: int = 0, kind: str = ""
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send a request with a body of ``length`` bytes, and return its status, headers and body."""
        answer = self._sent(method, path, pieces, length, kind)
        return answer.status, answer.headers, answer.read()

    def fetch(self, path: str) -> int:
        """Receive a body for nothing, and return how many bytes it had."""
        answer, buffer, total = self._sent("GET", path, (), 0, ""), bytearray(1 << 20), 0
        while count := answer.readinto(buffer):
            total += count
        return total

    def upload(self, name: str, chunks: Iterable[tuple[Iterable[bytes], int]], digest: str) -> None:
        """Push a blob: all chunks but the last by a PATCH each, the last by the PUT."""
        where = self._begun(name)
        *firsts, (last, length) = chunks
        for pieces, size in firsts:
            status, headers, _ = self.ask("PATCH", where, pieces, size, "application/octet-stream")
            _expect(202, status)
            where = _path(headers["Location"])
        joint = "&" if "?" in where else "?"
        status, *_ = self.ask("PUT", f"{where}{joint}digest={digest}", last, length, "application/octet-stream")
        _expect(201, status)

    def _begun(self, name: str) -> str:
        status, headers, _ = self.ask("POST", f"/v2/{name}/blobs/uploads/")
        _expect(202, status)
        return _path(headers["Location"])

    def _sent(
        self, method: str, path: str, pieces: Iterable[bytes], length: int, kind: str
    ) -> http.client.HTTPResponse:
        self._link.putrequest(method, path, skip_accept_encoding=True)
        if method not in ("GET", "HEAD"):
            self._link.putheader("Content-Length", str(length))
        self._link.putheader("Content-Type", kind)
        self._link.endheaders()
        for piece in pieces:
            self._link.send(piece)
        return self._link.getresponse()


def _path(location: str) -> str:
    """Return the path and the query of a URL: a registry may name itself in it."""
    found = urlsplit(location)
    return f"{found.path}?{found.query}" if found.query else found.path


def _expect(wanted: int, status: int) -> None:
    if status != wanted:
        raise RuntimeError(f"{status}, not {wanted}")

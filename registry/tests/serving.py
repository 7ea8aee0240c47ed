"""A registry as a process of its own, and what is said to it over a socket."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

DEADLINE = 60.0
"""Seconds until something that must happen has happened; nothing is measured by it."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Node:
    """A registry that serves, and requests to it, each over a connection of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str, lines: list[str]) -> None:
        """Know a process by where it listens."""
        self.process = process
        self.url = url
        self.host = urlsplit(url).netloc
        self.lines = lines

    def connect(self) -> socket.socket:
        """Open a connection."""
        found = urlsplit(self.url)
        return socket.create_connection((str(found.hostname), int(found.port or 0)), DEADLINE)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request, and return its answer."""
        if self.url.startswith("https:"):
            context = ssl._create_unverified_context()
            link: http.client.HTTPConnection = http.client.HTTPSConnection(self.host, timeout=DEADLINE, context=context)
        else:
            link = http.client.HTTPConnection(self.host, timeout=DEADLINE)
        try:
            link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = link.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            link.close()

    def workers(self) -> list[int]:
        """Return the ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def settled(self) -> list[int]:
        """Return the ids of its workers when one answers."""
        assert self.request("GET", "/v2/").status == 200
        return self.workers()

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def command(*words: str) -> list[str]:
    """Return the command line of a registry."""
    return [sys.executable, "-m", "layerstore", "serve", *words]


def environment() -> dict[str, str]:
    """Return an environment that says nothing of a store."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LAYERSTORE", "PYTEST"))}


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a registry that is to end by itself."""
    words_ = command(*words)
    return subprocess.run(
        words_, capture_output=True, text=True, timeout=DEADLINE, check=False, env={**environment(), **more}
    )


@contextmanager
def serving(*words: str, store: str, log: Path, descriptors: int = 0, **more: str) -> Iterator[Node]:
    """Serve a store until the end of the block; what the process writes is in a file.

    ``descriptors`` is how many it may have, if that is less than the tests have.
    """
    limit = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
    words = (*words, "--store", store)
    if "--listen" not in words:
        words = (*words, "--listen", "127.0.0.1:0")
    with log.open("w+") as output:
        process = subprocess.Popen(
            [*limit, *command(*words)], stdout=output, stderr=subprocess.PIPE, text=True, env={**environment(), **more}
        )
        assert process.stderr is not None
        lines: list[str] = []
        try:
            for line in process.stderr:
                lines.append(line)
                found = re.search(r'(?:serving at |"urls": \[")((?:https?://|unix:)[^\s,;"]+)', line)
                if found:
                    break
            else:
                raise AssertionError("".join(lines))
            yield Node(process, found[1], lines)
        finally:
            process.kill()
            lines += process.stderr.readlines()
            process.stderr.close()
            process.wait()


def eventually(condition: Callable[[], object]) -> None:
    """Ask until something is so that has to become so."""
    give_up = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < give_up


def events(lines: list[str]) -> list[dict[str, object]]:
    """Read what a process told as JSON."""
    return [json.loads(line) for line in lines if line.startswith("{")]

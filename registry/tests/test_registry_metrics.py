"""Counts for Prometheus: of all workers together, at an address of their own."""

from __future__ import annotations

import base64
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import bcrypt
import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from tests.registry_client import NAME, UPLOADS, digest
    from tests.serving import Node, eventually, run, serving
    from tests.test_serve import read_all
else:
    from registry_client import NAME, UPLOADS, digest
    from serving import Node, eventually, run, serving
    from test_serve import read_all

DATA = bytes(range(256)) * 4000
BLOB = f"/v2/{NAME}/blobs/{digest(DATA)}"


class Counts:
    """What Prometheus reads of a node."""

    def __init__(self, node: Node) -> None:
        """Find out where it reads."""
        self.url = node.lines[-1].partition("counts at ")[2].partition(";")[0].strip()

    def of(self, name: str, **labels: str) -> float:
        """Add up what has a name and labels."""
        text = self._asked()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        wanted = labels.items()
        return sum(
            sample.value
            for sample in samples
            if sample.name == f"layerstore_registry_{name}" and wanted <= sample.labels.items()
        )

    def _asked(self) -> str:
        """Read, again if the worker that was asked ended before it answered: after a reload there are others."""
        for _ in range(5):
            with suppress(ConnectionError), urlopen(self.url) as answer:
                return str(answer.read().decode())
        raise AssertionError("nobody answers")


@contextmanager
def counting(folder: Path, *words: str, place: Path | None = None) -> Iterator[tuple[Node, Counts]]:
    """Serve a store, and read what is counted."""
    words = ("--metrics", "127.0.0.1:0", *words)
    with serving(*words, store=f"local:{folder / 'store'}", log=folder / "log", TMPDIR=str(place or folder)) as node:
        yield node, Counts(node)


@pytest.mark.parametrize("options", [("--workers", "2"), ("--workers", "2", "--access-log", "json")])
def test_requests_of_all_workers_are_counted(tmp_path: Path, options: tuple[str, ...]) -> None:
    """By method, kind of resource and status; each read adds up to the same, whichever worker answers it."""
    with counting(tmp_path, *options) as (node, counts):
        assert node.request("POST", f"{UPLOADS}?digest={digest(DATA)}", DATA).status == 201
        for _ in range(20):
            assert node.request("GET", BLOB).status == 200
        assert node.request("GET", BLOB, Range="bytes=5-9").status == 206
        assert node.request("BREW", "/v2/").status == 405
        assert node.request("GET", "/nowhere").status == 404
        for _ in range(4):
            eventually(lambda: counts.of("requests_total") == 24)  # an answer is counted after it was sent
            assert counts.of("requests_total", method="GET", endpoint="blob", status="200") == 20
            assert counts.of("requests_total", method="POST", endpoint="upload_start", status="201") == 1
            assert counts.of("requests_total", method="other", endpoint="base", status="405") == 1
            assert counts.of("requests_total", method="GET", endpoint="none", status="404") == 1
            assert counts.of("request_seconds_count", method="GET", endpoint="blob") == 21
            assert counts.of("request_seconds_bucket", method="GET", endpoint="blob", le="+Inf") == 21


def test_bytes_are_counted(tmp_path: Path) -> None:
    """Of bodies, in and out; sent from a file or not, and as many as came of one that was cut off."""
    with counting(tmp_path) as (node, counts):
        node.request("POST", f"{UPLOADS}?digest={digest(DATA)}", DATA)
        where = node.request("POST", UPLOADS, b"").headers["Location"]
        with node.connect() as link:
            link.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbytes".encode())
            link.shutdown(socket.SHUT_WR)
            refused = len(read_all(link).partition(b"\r\n\r\n")[2])
        eventually(lambda: counts.of("received_bytes_total") == len(DATA) + 5)
        node.request("GET", BLOB)
        node.request("GET", BLOB, Range="bytes=5-9")
        node.request("HEAD", BLOB)
        node.request("GET", "/v2/")
        eventually(lambda: counts.of("sent_bytes_total") == len(DATA) + 5 + len(b"{}") + refused)


def test_an_upload_under_way_is_counted_until_it_is_not(tmp_path: Path) -> None:
    """Also by a server whose only thread it keeps; what a worker that was killed had under way is not any more."""
    with counting(tmp_path, "--threads", "1") as (node, counts):
        where = node.request("POST", UPLOADS, b"").headers["Location"]
        (worker,) = node.workers()
        with node.connect() as link:
            link.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbytes".encode())
            eventually(lambda: counts.of("uploads_under_way") == 1)
            os.kill(worker, signal.SIGKILL)
            eventually(lambda: counts.of("uploads_under_way") == 0)
        assert node.request("PUT", f"{where}?digest={digest(b'x')}", b"x").status == 201
        eventually(lambda: counts.of("requests_total", method="PUT") == 1)
        assert counts.of("requests_total", method="POST") == 1
        assert counts.of("uploads_under_way") == 0


def test_failed_logins_are_counted(tmp_path: Path) -> None:
    """Whoever says nothing has not failed."""
    (tmp_path / "users").write_text(f"alice:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}")
    with counting(tmp_path, "--htpasswd", str(tmp_path / "users")) as (node, counts):
        for told, status in (("alice:secret", 200), ("alice:wrong", 401), ("bob:secret", 401)):
            token = base64.b64encode(told.encode()).decode()
            assert node.request("GET", "/v2/", Authorization=f"Basic {token}").status == status
        assert node.request("GET", "/v2/").status == 401
        eventually(lambda: counts.of("requests_total", status="401") == 3)
        assert counts.of("failed_logins_total") == 2


def test_counts_outlive_a_reload_and_leave_nothing(tmp_path: Path) -> None:
    """Workers are replaced, and the address stays; when the server has ended, so have its files."""
    (tmp_path / "tmp").mkdir()
    with counting(tmp_path, place=tmp_path / "tmp") as (node, counts):
        before = node.workers()
        assert node.request("GET", "/v2/").status == 200
        node.process.send_signal(signal.SIGHUP)
        eventually(lambda: node.workers() and not set(node.workers()) & set(before))
        assert node.request("GET", "/v2/").status == 200
        eventually(lambda: counts.of("requests_total", endpoint="base") == 2)
        assert node.stop() == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_nothing_is_counted_unasked(tmp_path: Path) -> None:
    """And the registry's own address has no counts, asked or not."""
    with serving(store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        assert "counts" not in "".join(node.lines)
    with counting(tmp_path) as (node, _):
        assert node.request("GET", "/metrics").status == 404


@pytest.mark.parametrize("address", ["9090", "x", ":9090", "127.0.0.1:x", "127.0.0.1:65536", "registry.invalid:9090"])
def test_an_address_for_counts_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    """Before anything is served; by ``--check`` too, wherever it was said."""
    store = f"local:{tmp_path / 'store'}"
    assert run("--store", store, "--check", LAYERSTORE_SERVE_METRICS=address).returncode == 2
    (tmp_path / "serve.toml").write_text(f'metrics = "{address}"')
    assert run("--store", store, "--check", "--config", str(tmp_path / "serve.toml")).returncode == 2
    assert run("--store", store, "--check", "--metrics", "[::1]:9090").returncode == 0


def test_an_address_for_counts_that_is_taken_is_refused(tmp_path: Path) -> None:
    """The registry does not serve without."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = run("--store", f"local:{tmp_path / 'store'}", "--listen", "127.0.0.1:0", "--metrics", address)
    assert (done.returncode, address in done.stderr) == (2, True)


def test_a_file_that_is_just_made_is_passed_over(tmp_path: Path) -> None:
    """A worker makes the file of its counts empty, and then gives it a size: in between nobody can read it."""
    (tmp_path / "tmp").mkdir()
    with counting(tmp_path, place=tmp_path / "tmp") as (node, counts):
        assert node.request("GET", "/v2/").status == 200
        (folder,) = (tmp_path / "tmp").glob("layerstore-metrics-*")
        (folder / "counter_1.db").touch()
        eventually(lambda: counts.of("requests_total", endpoint="base") == 1)

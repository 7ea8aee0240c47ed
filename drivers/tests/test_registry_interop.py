"""The reference registry and layerstore on one directory: each serves what the other stored."""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import layerstore
from layerstore_conformance.kit.payloads import Payload, digest

PROGRAM = "docker-registry"
NAME = "library/interop"
SIZE = 3_000_001
DEADLINE = 30.0
"""Seconds until a registry must answer."""

CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass
class Registry:
    """A reference registry at work on a directory."""

    root: Path
    address: str

    def request(self, method: str, path: str, data: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        """Send a request to a path or to the URL of an earlier answer, and return status, headers and body."""
        url = path if path.startswith("http:") else f"{self.address}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/octet-stream"}, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return answer.status, dict(answer.headers), answer.read()

    def push(self, name: str, chunks: list[bytes], wanted: str) -> None:
        """Push a layer as a client does: POST, a PATCH for every chunk, PUT."""
        location = self.request("POST", f"/v2/{name}/blobs/uploads/", b"")[1]["Location"]
        for chunk in chunks:
            location = self.request("PATCH", location, chunk)[1]["Location"]
        status, _, _ = self.request("PUT", f"{location}&digest={wanted}", b"")
        assert status == 201


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(process: subprocess.Popen[bytes], registry: Registry) -> bool:
    """Ask until the registry answers; tell whether it did, and did not end instead."""
    give_up = time.monotonic() + DEADLINE
    while process.poll() is None and time.monotonic() < give_up:
        try:
            return registry.request("GET", "/v2/")[0] == 200
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
    return False


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Start a registry on a new directory, and stop it."""
    program = shutil.which(PROGRAM)
    if program is None:
        assert "LAYERSTORE_CI" not in os.environ, f"CI has to install {PROGRAM}"
        pytest.skip(f"{PROGRAM} (Debian's package of that name) is not installed")
    config = tmp_path / "config.yml"
    for _ in range(5):  # another process may take the port between our asking and the registry's
        registry = Registry(tmp_path / "root", f"http://127.0.0.1:{(port := free_port())}")
        config.write_text(CONFIG.format(root=registry.root, port=port))
        with subprocess.Popen([program, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                if wait_until_it_answers(process, registry):
                    yield registry
                    return
            finally:
                process.kill()
    pytest.fail(f"{PROGRAM} does not start")


def test_the_registry_serves_what_we_stored(registry: Registry) -> None:
    """A layer stored here is served over HTTP by the reference registry, byte for byte."""
    content = Payload("ours").read(SIZE)
    upload = layerstore.open(f"local:{registry.root}").upload(NAME)
    upload.write(content[:1_000_000])
    upload.close()
    upload = layerstore.open(f"local:{registry.root}").resume(NAME, upload.uuid)
    upload.write(content[1_000_000:])
    upload.finish(digest(content)).close()
    status, headers, body = registry.request("GET", f"/v2/{NAME}/blobs/{digest(content)}")
    assert (status, headers["Docker-Content-Digest"], body) == (200, digest(content), content)


def test_we_fetch_what_the_registry_stored(registry: Registry) -> None:
    """A layer pushed into the reference registry over HTTP is fetched here, and is what its digest says."""
    content = Payload("theirs").read(SIZE)
    registry.push(NAME, [content[:1_500_000], content[1_500_000:]], digest(content))
    store = layerstore.open(f"local:{registry.root}")
    assert [(info.name, str(info.digest), info.size) for info in store.layers()] == [(NAME, digest(content), SIZE)]
    with store.fetch(NAME, digest(content)) as layer:
        assert layer.read() == content
    assert list(store.uploads()) == []


def test_a_layer_stored_over_the_registrys_own_serves_both(registry: Registry) -> None:
    """The same layer stored by both, into two repositories, is served from the one blob to either's readers."""
    content = Payload("both").read(SIZE)
    registry.push("their/repository", [content], digest(content))
    upload = layerstore.open(f"local:{registry.root}").upload("our/repository")
    upload.write(content)
    upload.finish(digest(content)).close()
    for name in ("their/repository", "our/repository"):
        assert registry.request("GET", f"/v2/{name}/blobs/{digest(content)}")[2] == content


def test_the_registry_mounts_what_we_stored(registry: Registry) -> None:
    """A client of the reference registry mounts into its repository a layer that was stored here."""
    content = Payload("mounted").read(SIZE)
    upload = layerstore.open(f"local:{registry.root}").upload(NAME)
    upload.write(content)
    upload.finish(digest(content)).close()
    query = f"?mount={digest(content)}&from={NAME}"
    assert registry.request("POST", f"/v2/other/place/blobs/uploads/{query}", b"")[0] == 201
    assert layerstore.open(f"local:{registry.root}").exists("other/place", digest(content))


def test_an_upload_the_registry_is_receiving_is_listed(registry: Registry) -> None:
    """What the reference registry has received so far of an upload is listed with its offset, and not as a layer."""
    location = registry.request("POST", f"/v2/{NAME}/blobs/uploads/", b"")[1]["Location"]
    registry.request("PATCH", location, Payload("part").read(5000))
    store = layerstore.open(f"local:{registry.root}")
    assert [(info.name, info.offset) for info in store.uploads()] == [(NAME, 5000)]
    assert list(store.layers()) == []

"""Several nodes on one store: whichever a request comes to, and whichever dies."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import layerstore

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, UPLOADS, digest, image
    from tests.round_robin import RoundRobin, round_robin
    from tests.serving import Node, eventually, serving
else:
    from registry_client import NAME, OCI_IMAGE, UPLOADS, digest, image
    from round_robin import RoundRobin, round_robin
    from serving import Node, eventually, serving

CHUNK = 1 << 20
LAYER = b"".join(bytes([number]) * CHUNK for number in range(8))
CONFIG = b"{}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a store."""
    return f"local:{tmp_path / 'store'}"


@pytest.fixture
def nodes(url: str, tmp_path: Path) -> Iterator[list[Node]]:
    """Serve it by three nodes, of two processes each."""
    with ExitStack() as stack:
        logs = [tmp_path / f"log{number}" for number in range(3)]
        yield [stack.enter_context(serving("--workers", "2", store=url, log=log)) for log in logs]


@pytest.fixture
def proxy(nodes: list[Node]) -> Iterator[RoundRobin]:
    """Stand before them."""
    with round_robin([node.url for node in nodes]) as proxy:
        yield proxy


def say(proxy: RoundRobin, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
    """Send a request over a connection of its own, and read its answer."""
    link = http.client.HTTPConnection(proxy.host, timeout=60)
    link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = link.getresponse()
    answer.read()
    link.close()
    return answer


def kill(node: Node) -> None:
    """Kill a node, all its processes at once; they are gone when nobody listens any more."""
    for pid in [node.process.pid, *node.workers()]:
        os.kill(pid, signal.SIGKILL)
    node.process.wait()
    with suppress(ConnectionRefusedError):
        while True:
            with suppress(ConnectionResetError):
                node.connect().close()


def die_in(node: Node, method: str, path: str, part: bytes, length: int, url: str) -> None:
    """Begin to send a body to a node, and kill it when a part of that has come."""
    with node.connect() as link:
        link.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + part)
        with layerstore.open(url) as service:  # the request is under way when it has taken the upload
            keys = f"docker/registry/v2/repositories/{NAME}/_uploads/{path.rpartition('/')[2]}"
            eventually(lambda: service.driver.find(f"{keys}/startedat"))
        kill(node)


def test_each_request_of_a_push_may_come_to_another_node(proxy: RoundRobin, nodes: list[Node], url: str) -> None:
    """One is killed in the middle of a chunk: the client asks another how far it came, and goes on there."""
    where = str(say(proxy, "POST", UPLOADS).headers["Location"])
    for start in range(0, 3 * CHUNK, CHUNK):
        said = f"{start}-{start + CHUNK - 1}"
        answer = say(proxy, "PATCH", where, LAYER[start : start + CHUNK], Content_Range=said)
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{start + CHUNK - 1}")
    die_in(nodes[1], "PATCH", where, LAYER[3 * CHUNK : 3 * CHUNK + 1000], CHUNK, url)
    at = int(str(say(proxy, "GET", where).headers["Range"]).partition("-")[2]) + 1
    assert at == 3 * CHUNK
    for start in range(at, len(LAYER), CHUNK):
        assert say(proxy, "PATCH", where, LAYER[start : start + CHUNK]).status == 202
    assert say(proxy, "PUT", f"{where}?digest={digest(LAYER)}").status == 201
    assert say(proxy, "POST", f"{UPLOADS}?digest={digest(CONFIG)}", CONFIG).status == 201
    manifest = image(CONFIG, LAYER)
    pushed = say(proxy, "PUT", f"/v2/{NAME}/manifests/v1", manifest, Content_Type=OCI_IMAGE)
    assert pushed.status == 201
    for node in (nodes[0], nodes[2]):
        assert node.request("GET", f"/v2/{NAME}/manifests/v1").body == manifest
        assert node.request("GET", f"/v2/{NAME}/blobs/{digest(LAYER)}").body == LAYER
    assert proxy.served > 10


def test_a_put_whose_node_dies_is_ended_by_another(proxy: RoundRobin, nodes: list[Node], url: str) -> None:
    """With the body once more, where nothing of it had been kept."""
    where = str(say(proxy, "POST", UPLOADS).headers["Location"])
    die_in(nodes[0], "PUT", where, LAYER[:1000], len(LAYER), url)
    assert say(proxy, "PUT", f"{where}?digest={digest(LAYER)}", LAYER).status == 201
    for _ in range(3):
        assert say(proxy, "PUT", f"{where}?digest={digest(LAYER)}").status == 201
    assert nodes[1].request("GET", f"/v2/{NAME}/blobs/{digest(LAYER)}").body == LAYER


def test_of_two_nodes_that_send_to_one_upload_the_later_has_it(nodes: list[Node]) -> None:
    """The earlier is refused, and by no failure of the server."""
    where = nodes[0].request("POST", UPLOADS, b"").headers["Location"]
    with nodes[0].connect() as link:
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LAYER)}\r\nExpect: 100-continue\r\n\r\n"
        link.sendall(head.encode())
        assert link.recv(100).startswith(b"HTTP/1.1 100")
        link.sendall(LAYER[: 2 * CHUNK])
        answer = nodes[1].request("PATCH", where, b"later")
        link.sendall(LAYER[2 * CHUNK :])
        status = link.recv(4096).split()[1]
    assert (status, answer.status) == (b"409", 202)
    assert nodes[2].request("GET", where).headers["Range"] == f"0-{len(b'later') - 1}"


def test_a_tag_that_is_pushed_by_many_is_always_there(nodes: list[Node]) -> None:
    """Each of two pushers moves it to its own manifest; readers find one of the two, each time."""
    for data in (CONFIG, b"a", b"b"):
        assert nodes[0].request("POST", f"{UPLOADS}?digest={digest(data)}", data).status == 201
    manifests, path = [image(CONFIG, b"a"), image(CONFIG, b"b")], f"/v2/{NAME}/manifests/latest"
    nodes[0].request("PUT", path, manifests[0], Content_Type=OCI_IMAGE)
    pushed: list[int] = []
    pulled: list[tuple[int, bool]] = []

    def push(node: Node, manifest: bytes) -> None:
        pushed.extend(node.request("PUT", path, manifest, Content_Type=OCI_IMAGE).status for _ in range(40))

    def pull(node: Node) -> None:
        for _ in range(80):
            answer = node.request("GET", path)
            pulled.append((answer.status, answer.body in manifests))

    threads = [threading.Thread(target=push, args=told) for told in zip(nodes, manifests, strict=False)]
    threads += [threading.Thread(target=pull, args=(node,)) for node in nodes[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (set(pushed), set(pulled)) == ({201}, {(200, True)})
    assert json.loads(nodes[2].request("GET", f"/v2/{NAME}/tags/list").body)["tags"] == ["latest"]

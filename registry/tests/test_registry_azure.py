"""The registry in Azure: three nodes on one container of an Azurite."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, UPLOADS, digest, image
    from tests.serving import Node, run, serving
    from tests.test_registry_clients import a_layout, assert_whole, skopeo
else:
    from registry_client import NAME, OCI_IMAGE, UPLOADS, digest, image
    from serving import Node, run, serving
    from test_registry_clients import a_layout, assert_whole, skopeo

emulator = pytest.importorskip("layerstore_drivers.azure.emulator", reason="the extra azure is not installed")

LAYER = bytes(range(256)) * 20_000

pytestmark = pytest.mark.azurite


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Serve an Azurite, or skip where there is none, and name a container in it."""
    try:
        emulator.find()
    except emulator.EmulatorError as error:
        if "LAYERSTORE_CI" in os.environ:
            raise
        pytest.skip(str(error))
    with emulator.Azurite(tmp_path / "azurite") as server:
        yield server.url("registry", create_container="true")


@pytest.fixture
def nodes(url: str, tmp_path: Path) -> Iterator[list[Node]]:
    """Serve it by three nodes."""
    with ExitStack() as stack:
        yield [stack.enter_context(serving(store=url, log=tmp_path / f"log{number}")) for number in range(3)]


def test_each_request_of_a_push_may_come_to_another_node_in_azure(nodes: list[Node]) -> None:
    """The process that took the last chunk is killed; all nodes serve what was pushed, and nothing that was deleted."""
    where, step = nodes[0].request("POST", UPLOADS, b"").headers["Location"], len(LAYER) // 4
    for number in range(4):
        start, node = number * step, nodes[number % 3]
        said = f"{start}-{start + step - 1}"
        answer = node.request("PATCH", where, LAYER[start : start + step], Content_Range=said)
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{start + step - 1}")
        os.kill(node.workers()[0], signal.SIGKILL)
    assert nodes[2].request("PUT", f"{where}?digest={digest(LAYER)}", b"").status == 201
    assert nodes[0].request("POST", f"{UPLOADS}?digest={digest(b'{}')}", b"{}").status == 201
    manifest, path = image(b"{}", LAYER), f"/v2/{NAME}/manifests/v1"
    assert nodes[1].request("PUT", path, manifest, Content_Type=OCI_IMAGE).status == 201
    for node in nodes:
        assert node.request("GET", path).body == manifest
        assert node.request("GET", f"/v2/{NAME}/blobs/{digest(LAYER)}").body == LAYER
        assert node.request("GET", f"/v2/{NAME}/blobs/{digest(LAYER)}", Range="bytes=5-9").body == LAYER[5:10]
    assert nodes[0].request("DELETE", f"/v2/{NAME}/manifests/{digest(manifest)}").status == 202
    assert {node.request("GET", path).status for node in nodes} == {404}


def test_who_pulls_is_led_to_azure(url: str, tmp_path: Path) -> None:
    """The bytes come from there, without a login, also in part; the URL is in no log, and nothing else is led."""
    log = tmp_path / "log"
    with serving("--redirect", "--access-log", "json", store=url, log=log) as node:
        assert node.request("POST", f"{UPLOADS}?digest={digest(LAYER)}", LAYER).status == 201
        blob = f"/v2/{NAME}/blobs/{digest(LAYER)}"
        answer = node.request("GET", blob)
        assert (answer.status, answer.body) == (307, b"")
        with urlopen(answer.headers["Location"]) as found:
            assert found.read() == LAYER
        with urlopen(Request(answer.headers["Location"], headers={"Range": "bytes=5-9"})) as part:
            assert part.read() == LAYER[5:10]
        assert node.request("HEAD", blob).headers["Content-Length"] == str(len(LAYER))
        assert node.request("GET", f"/v2/{NAME}/blobs/{digest(b'none')}").status == 404
        assert node.stop() == 0
    assert "sig=" not in log.read_text() + "".join(node.lines)


def test_skopeo_follows_where_it_is_led(url: str, tmp_path: Path) -> None:
    """What comes back is what was pushed."""
    layout = a_layout(tmp_path / "layout")
    with serving("--redirect", store=url, log=tmp_path / "log") as node:
        skopeo("copy", "--all", f"oci:{layout}:many", f"docker://{node.host}/demo/app:many")
        skopeo("copy", "--all", f"docker://{node.host}/demo/app:many", f"oci:{tmp_path / 'back'}:many")
    assert_whole(tmp_path / "back", layout)


def test_a_container_that_is_not_there_is_told_of_at_the_start(url: str) -> None:
    """And how to have it made."""
    done = run("--store", url.replace("create_container=true", "create_container=false"), "--check")
    assert (done.returncode, "create_container=true" in done.stderr) == (1, True)

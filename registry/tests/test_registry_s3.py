"""The registry in S3: three nodes on one bucket of a SeaweedFS, one of which is killed in the middle of a push."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

import layerstore
from layerstore.contents import links

if TYPE_CHECKING:
    from tests.registry_client import NAME, OCI_IMAGE, UPLOADS, digest, image
    from tests.serving import serving
    from tests.test_registry_cluster import (
        nodes,
        proxy,
        test_a_put_whose_node_dies_is_ended_by_another,
        test_each_request_of_a_push_may_come_to_another_node,
        test_of_two_nodes_that_send_to_one_upload_the_later_has_it,
    )
else:
    from registry_client import NAME, OCI_IMAGE, UPLOADS, digest, image
    from serving import serving
    from test_registry_cluster import (
        nodes,
        proxy,
        test_a_put_whose_node_dies_is_ended_by_another,
        test_each_request_of_a_push_may_come_to_another_node,
        test_of_two_nodes_that_send_to_one_upload_the_later_has_it,
    )

servers = pytest.importorskip("layerstore_drivers.s3.servers", reason="the extra s3 is not installed")

__all__ = [  # what is run here a second time, on another store
    "nodes",
    "proxy",
    "test_a_put_whose_node_dies_is_ended_by_another",
    "test_each_request_of_a_push_may_come_to_another_node",
    "test_of_two_nodes_that_send_to_one_upload_the_later_has_it",
]

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("registry-s3")]

LAYER = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve one SeaweedFS to the tests of this file, or skip where there is none."""
    if missing := servers.SeaweedFS.missing():
        if "LAYERSTORE_CI" in os.environ:
            raise RuntimeError(missing)
        pytest.skip(f"pip install {missing}")
    with servers.SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        server.client().create_bucket(Bucket="registry")
        yield server


@pytest.fixture
def url(server: Any, tmp_path: Path) -> str:
    """Name a store."""
    return str(server.url("registry", tmp_path.name[-20:].replace("_", "-")))


def prefix_of(url: str) -> str:
    """Return what stands before every key of a store."""
    return url.partition("?")[0].removeprefix("s3://registry/") + "/"


def test_who_pulls_is_led_to_s3(url: str, tmp_path: Path) -> None:
    """The bytes come from there, without a login, also in part."""
    with serving("--redirect", store=url, log=tmp_path / "log") as node:
        assert node.request("POST", f"{UPLOADS}?digest={digest(LAYER)}", LAYER).status == 201
        answer = node.request("GET", f"/v2/{NAME}/blobs/{digest(LAYER)}")
        assert (answer.status, answer.body) == (307, b"")
        with urlopen(answer.headers["Location"]) as found:
            assert found.read() == LAYER
        with urlopen(Request(answer.headers["Location"], headers={"Range": "bytes=5-9"})) as part:
            assert part.read() == LAYER[5:10]


def test_after_a_push_and_a_renewal_another_program_reads_all_of_it(
    url: str,
    server: Any,
    tmp_path: Path,
) -> None:
    """Every object is a plain one at its key: a registry with an S3 driver serves the bucket."""
    with serving(store=url, log=tmp_path / "log") as node:
        for data in (LAYER, b"{}"):
            assert node.request("POST", f"{UPLOADS}?digest={digest(data)}", data).status == 201
        with layerstore.open(url) as service:
            link = f"docker/registry/v2/repositories/{NAME}/_layers/sha256/{digest(LAYER)[7:]}/link"
            assert links.write_into(service.driver, link, links.CONDEMNED)
        manifest = image(b"{}", LAYER)
        path = f"/v2/{NAME}/manifests/v1"
        assert node.request("PUT", path, manifest, Content_Type=OCI_IMAGE).status == 201
    client, prefix = server.client(), prefix_of(url)
    names = [each["Key"] for each in client.list_objects_v2(Bucket="registry", Prefix=prefix)["Contents"]]
    bodies = {name: client.get_object(Bucket="registry", Key=name)["Body"].read() for name in names}
    assert bodies[prefix + link] == digest(LAYER).encode()
    assert not [name for name in names if ".layerstore" in name]
    assert all(body in {LAYER, b"{}", manifest} for name, body in bodies.items() if name.endswith("/data"))
    assert all(body.startswith(b"sha256:") for name, body in bodies.items() if name.endswith("/link"))

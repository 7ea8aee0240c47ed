"""A transport that refuses what Azure refuses and Azurite does not (Microsoft's documentation of each request).

It keeps nothing: what a rule has to know of a blob it asks Azurite for, before the request is let through. So it is as
strict in every process. What Azure does silently, such as dropping staged blocks at a Put Blob, it does not imitate.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline._tools import is_rest
from azure.core.pipeline.transport import RequestsTransportResponse
from azure.core.rest._requests_basic import RestRequestsTransportResponse
from azure.storage.blob import BlobClient, BlobType

from layerstore_drivers.azure.client import _Transport
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.errors import _let_go

ACCOUNT = {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
_REST: Any = RestRequestsTransportResponse  # untyped, in the SDK
CRC64 = "x-ms-content-crc64"
CHECKSUMS = ("Content-MD5", CRC64)


@dataclass(frozen=True)
class Limits:
    """The service's; tests lower them."""

    committed: int = 50_000
    uncommitted: int = 100_000
    name: int = 1024
    segments: int = 254
    copied_at_once: int = 256 << 20
    metadata: int = 8 << 10
    batch: int = 256


class Refused(NamedTuple):
    """The service's answer to a request that it does not accept."""

    status: int
    code: str


class Asked:
    """A request, as rules and faults look at it."""

    def __init__(self, request: Any) -> None:  # noqa: ANN401  (the SDK's; there are two kinds)
        """Read it."""
        url = urlsplit(request.url)
        _, _, path = url.path.strip("/").partition("/")  # the account comes first
        self.container, _, self.blob = path.partition("/")
        self.blob = unquote(self.blob)
        self.query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.method = str(request.method)
        self.headers = {name.lower(): str(value) for name, value in request.headers.items()}
        body = request.body if request.body is not None else b""
        self.body: bytes = body.encode() if isinstance(body, str) else bytes(body) if isinstance(body, bytes) else b""

    @property
    def name(self) -> str:
        """The name of such a request in Microsoft's documentation, in the main."""
        if self.method == "PUT" and "comp" not in self.query:
            if "x-ms-copy-source" in self.headers:
                return "Copy Blob"
            return "Put Blob" if self.blob else "Create Container"
        if "x-ms-copy-source" in self.headers:
            return "Put Block From URL"
        named = {"block": "Put Block", "blocklist": "Put Block List", "metadata": "Set Blob Metadata"}
        if self.method == "PUT":
            return named.get(self.query["comp"], f"Put {self.query['comp']}")
        if self.method == "POST":
            return "Blob Batch"
        if self.method == "GET" and self.query.get("comp"):
            return {"list": "List Blobs", "blocklist": "Get Block List"}.get(self.query["comp"], "Get")
        return {"HEAD": "Get Blob Properties", "GET": "Get Blob", "DELETE": "Delete Blob"}.get(self.method, self.method)

    def __str__(self) -> str:
        """Return its name and its blob's."""
        return f"{self.name} {self.blob}".strip()


class StrictTransport(_Transport):
    """The driver's own transport, behind the rules."""

    def __init__(self, endpoint: str, limits: Limits | None = None) -> None:
        """Speak to an Azurite."""
        super().__init__(endpoint, 60)
        self.endpoint = endpoint
        self.limits = limits or Limits()
        self.refused: list[tuple[str, Refused]] = []
        """Requests, and why they were."""

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Refuse a request, or send it."""
        asked = Asked(request)
        refused = next(self._refusals(asked), None)
        if refused:
            self.refused.append((str(asked), refused))
            return answer(request, *refused)
        request.headers.pop(CRC64, None)  # it was compared here; Azurite refuses it. An account key signs it, a SAS not
        return self._checked(request, asked, super().send(request, **kwargs))

    def _checked(self, request: Any, asked: Asked, response: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Azurite answers a range that begins at a blob's end with no bytes; Azure refuses it."""
        ranged = asked.headers.get("x-ms-range") or asked.headers.get("range")
        if asked.name == "Get Blob" and ranged and response.headers.get("Content-Length") == "0":
            refused = Refused(416, "InvalidRange")
            if response.status_code in {200, 206}:
                response.internal_response.close()
                self.refused.append((str(asked), refused))
                return answer(request, *refused)
        return response

    def _aside(self, asked: Asked) -> BlobClient:
        return BlobClient(self.endpoint, asked.container or "none", asked.blob or "none", credential=ACCOUNT)

    def _refusals(self, asked: Asked) -> Iterator[Refused]:
        if asked.blob:
            yield from self._name(asked)
        yield from self._metadata(asked)
        rules = {
            "Put Blob": self._put_blob,
            "Put Block": self._put_block,
            "Put Block List": self._put_block_list,
            "Copy Blob": self._copy_blob,
            "Blob Batch": self._batch,
        }
        if asked.name in rules:
            with _looking(), closing(self._aside(asked)) as aside:
                yield from list(islice(rules[asked.name](asked, aside), 1))

    def _name(self, asked: Asked) -> Iterator[Refused]:
        if len(asked.blob) > self.limits.name:
            yield Refused(400, "InvalidResourceName")
        if len(asked.blob.split("/")) > self.limits.segments:
            yield Refused(400, "InvalidResourceName")
        if "\\" in asked.blob or {".", ".."} & set(asked.blob.split("/")):
            yield Refused(400, "InvalidResourceName")

    def _metadata(self, asked: Asked) -> Iterator[Refused]:
        notes = {name[10:]: value for name, value in asked.headers.items() if name.startswith("x-ms-meta-")}
        if not all(re.fullmatch(r"[a-z_][a-z0-9_]*", name) for name in notes):
            yield Refused(400, "InvalidMetadata")
        if sum(len(name) + len(value) for name, value in notes.items()) > self.limits.metadata:
            yield Refused(400, "MetadataTooLarge")

    def _put_blob(self, asked: Asked, aside: BlobClient) -> Iterator[Refused]:
        yield from _body(asked)
        yield from _kind(aside, asked.headers.get("x-ms-blob-type", "BlockBlob"))

    def _put_block(self, asked: Asked, aside: BlobClient) -> Iterator[Refused]:
        name = base64.b64decode(asked.query["blockid"])
        if not asked.body:
            yield Refused(400, "InvalidHeaderValue")
        if not 0 < len(name) <= 64:
            yield Refused(400, "InvalidQueryParameterValue")
        yield from _body(asked)
        yield from _kind(aside, BlobType.BLOCKBLOB.value)
        committed, uncommitted = aside.get_block_list("all")
        if {len(str(each.id)) for each in (*committed, *uncommitted)} - {len(name)}:
            yield Refused(400, "InvalidBlobOrBlock")
        if len({str(each.id) for each in uncommitted} | {name.decode()}) > self.limits.uncommitted:
            yield Refused(409, "BlockCountExceedsLimit")

    def _put_block_list(self, asked: Asked, aside: BlobClient) -> Iterator[Refused]:
        listed = [each.tag for each in ElementTree.fromstring(asked.body)]
        if len(listed) > self.limits.committed:
            yield Refused(400, "BlockListTooLong")
        if set(listed) - {"Latest"}:  # the SDK sends those of one state together: their order would be lost
            yield Refused(400, "InvalidBlockList")
        yield from _kind(aside, BlobType.BLOCKBLOB.value)

    def _copy_blob(self, asked: Asked, aside: BlobClient) -> Iterator[Refused]:
        with closing(BlobClient.from_blob_url(asked.headers["x-ms-copy-source"])) as source, _looking():
            properties = source.get_blob_properties()
            yield from _kind(aside, BlobType(properties.blob_type).value)
            at_once = asked.headers.get("x-ms-requires-sync", "").lower() == "true"
            if at_once and properties.size > self.limits.copied_at_once:
                yield Refused(409, "CannotVerifyCopySource")

    def _batch(self, asked: Asked, _: BlobClient) -> Iterator[Refused]:
        if asked.body.count(b"DELETE /") > self.limits.batch:
            yield Refused(400, "InvalidInput")


@contextmanager
def _looking() -> Iterator[None]:
    try:
        yield
    except ResourceNotFoundError as error:  # what Azurite says of what is missing is right
        _let_go(error)  # else it keeps what the driver's callers have open


def _kind(aside: BlobClient, kind: str) -> Iterator[Refused]:
    """A blob of another kind is not replaced."""
    try:
        there = aside.get_blob_properties().blob_type
    except ResourceNotFoundError as error:
        _let_go(error)
        return
    if BlobType(there).value != kind:
        yield Refused(409, "InvalidBlobType")


def _body(asked: Asked) -> Iterator[Refused]:
    """Every body has a checksum (ours to ask for), and the right one (Azure's)."""
    if int(asked.headers.get("content-length", "0")) != len(asked.body):
        yield Refused(400, "InvalidHeaderValue")
    if asked.body and not any(name.lower() in asked.headers for name in CHECKSUMS):
        yield Refused(400, "MissingRequiredHeader")
    md5 = base64.b64encode(hashlib.md5(asked.body).digest()).decode()
    if asked.headers.get("content-md5", md5) != md5:
        yield Refused(400, "Md5Mismatch")
    sent = asked.headers.get(CRC64)
    if sent and sent != base64.b64encode(crc64(asked.body).to_bytes(8, "little")).decode():
        yield Refused(400, "Crc64Mismatch")


def crc64(data: bytes, initial: int = 0) -> int:
    """Compute the CRC-64 that the service compares; the catalogues call it CRC-64/NVME."""
    crc = initial ^ _ONES
    for byte in data:
        crc = _CRC64[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ _ONES


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x9A6C9329AC4BC9B5 if byte & 1 else 0)
    return byte


_ONES = (1 << 64) - 1
_CRC64 = [_entry(byte) for byte in range(256)]


def answer(request: Any, status: int, code: str = "", **headers: str) -> Any:  # noqa: ANN401  (the SDK's two kinds)
    """Make an answer of the service's: an error with a code, or none."""
    made = requests.Response()
    made.status_code = status
    made.reason = code or "OK"
    made.url = request.url
    error = {"x-ms-error-code": code, "Content-Type": "application/xml"} if code else {}
    made.headers.update({**error, **{name.replace("_", "-"): value for name, value in headers.items()}})
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>strict</Message></Error>" if code else ""
    made._content, made._content_consumed = b"" if request.method == "HEAD" else text.encode(), True
    if not is_rest(request):
        return RequestsTransportResponse(request, made)
    response: Any = _REST(request=request, internal_response=made)
    response.read()
    return response

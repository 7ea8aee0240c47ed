"""S3 in this process, as strict as AWS: it answers the SDK's requests before they are sent.

It does what AWS documents and servers for tests do not: parts that are too small are refused, a condition on an object
that is missing is a 404, copies keep to conditions, a listing has at most 1,000 names. And it fails when asked to:
requests and answers are lost, connections break in mid-body, and the service is busy, or in conflict.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from io import BytesIO
from typing import Any, ClassVar, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from weakref import WeakValueDictionary
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from urllib3.exceptions import ProtocolError

from layerstore.url import StoreURL
from layerstore_drivers.s3.driver import S3Driver
from layerstore_drivers.s3.service import Client

ENDPOINT = "http://strict.test"

LEAST = 1 << 10
"""Bytes of a part at least: 5 MiB at AWS, which would make the tests slow."""

_services: WeakValueDictionary[str, StrictS3] = WeakValueDictionary()
"""By their bucket: all use one client of the SDK's."""

_numbers = itertools.count()


@dataclass
class Stored:
    """An object, or a part of one."""

    data: bytes
    etag: str
    headers: dict[str, str] = field(default_factory=dict)
    modified: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


@dataclass
class Upload:
    """A multipart upload under way."""

    name: str
    headers: dict[str, str]
    parts: dict[int, Stored] = field(default_factory=dict)


class Refusal(Exception):  # noqa: N818  (an answer)
    """An answer that is an error."""

    def __init__(self, status: int, code: str) -> None:
        """Answer so."""
        super().__init__(status, code)
        self.status, self.code = status, code


class Raw(BytesIO):
    """A body that may break after some bytes."""

    breaks_after = -1

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, or break."""
        if 0 <= self.breaks_after <= self.tell():
            raise ProtocolError("Connection broken: reset by peer")
        if self.breaks_after >= 0:
            size = min(size if size is not None and size >= 0 else self.breaks_after, self.breaks_after - self.tell())
        return super().read(size)

    def stream(self, size: int = 1 << 16, **_kwargs: object) -> Any:  # noqa: ANN401  (as urllib3 has it)
        """Yield the rest."""
        while part := self.read(size):
            yield part


@dataclass(frozen=True)
class Asked:
    """A request."""

    what: str
    """Such as ``PUT`` or ``POST uploads``."""
    name: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, request: Any) -> Asked:  # noqa: ANN401  (the SDK's)
        """Read the SDK's request."""
        url = urlsplit(request.url)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        kinds = [name for name in ("uploads", "uploadId", "delete", "list-type") if name in query]
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        copy = ["copy"] if "x-amz-copy-source" in headers else []
        body = request.body.read() if hasattr(request.body, "read") else request.body or b""
        name = unquote(url.path).lstrip("/").partition("/")[2]
        return cls(" ".join((request.method, *kinds, *copy)), name, query, headers, body)


Hook = Callable[[Asked], str]
"""Says what goes wrong with a request: nothing, or the name of a fault."""

Answer: TypeAlias = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""

FAULTS = ("lose request", "lose answer", "SlowDown", "ConditionalRequestConflict", "break")


class Strict(S3Driver):
    """The driver, on services in this process."""

    @staticmethod
    def prepared(client: Client) -> Client:
        """Have requests answered here. A client is prepared once for all."""
        client.meta.events.register("before-send.s3", _answer, unique_id="strict")
        return client


def _answer(request: Any, **kwargs: object) -> AWSResponse:  # noqa: ANN401  (the SDK's)
    return _services[urlsplit(request.url).path.split("/")[1]].answer(request)


class StrictS3:
    """The one bucket of a service."""

    def __init__(self) -> None:
        """Store nothing yet."""
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.log: list[str] = []
        self.fault: Hook = lambda asked: ""
        self.errors_break = False
        """Whether a connection may break in the body of an error, too."""
        self.bucket = f"bucket-{next(_numbers)}"
        _services[self.bucket] = self
        self.missing = False
        """Whether there is no such bucket."""

    def driver(self, **options: str) -> S3Driver:
        """Open a store in it."""
        given = {"endpoint": ENDPOINT, "access_key_id": "id", "secret_access_key": "secret", **options}
        return Strict.open(StoreURL("s3", self.bucket, "/strict"), **given)

    def asked(self, act: Callable[[], object]) -> list[str]:
        """Return the requests that something makes."""
        self.log.clear()
        act()
        return list(self.log)

    def answer(self, request: Any, **_kwargs: object) -> AWSResponse:  # noqa: ANN401  (the SDK's)
        """Answer a request, or fail."""
        asked = Asked.of(request)
        self.log.append(asked.what)
        fault = self.fault(asked)
        if fault == "lose request":
            raise EndpointConnectionError(endpoint_url=request.url)
        status, headers, body = self._answer(asked, fault)
        if fault == "lose answer":
            raise ConnectionClosedError(endpoint_url=request.url)
        raw = Raw(body)
        if fault == "break" and asked.what == "GET" and (status == 206 or self.errors_break):
            raw.breaks_after = 1
        headers.setdefault("Content-Length", str(len(body)))
        return AWSResponse(request.url, status, {"x-amz-request-id": "REQUEST", **headers}, raw)

    def _answer(self, asked: Asked, fault: str) -> Answer:
        try:
            if fault in {"SlowDown", "ConditionalRequestConflict"}:
                raise Refusal(503 if fault == "SlowDown" else 409, fault)
            if self.missing:
                raise Refusal(404, "NoSuchBucket")
            return self.ACTS[asked.what](self, asked)
        except Refusal as error:
            body = f"<Error><Code>{error.code}</Code><Message>no</Message></Error>".encode()
            return error.status, {}, b"" if asked.what == "HEAD" else body

    def _find(self, name: str) -> Stored:
        if name not in self.objects:
            raise Refusal(404, "NoSuchKey")
        return self.objects[name]

    def _match(self, asked: Asked, name: str) -> None:
        wanted = asked.headers.get("if-match")
        if wanted and self._find(name).etag != wanted:
            raise Refusal(412, "PreconditionFailed")
        if asked.headers.get("if-none-match") and name in self.objects:
            raise Refusal(412, "PreconditionFailed")

    def _get(self, asked: Asked) -> Answer:
        found = self._find(asked.name)
        self._match(asked, asked.name)
        headers = {"ETag": found.etag, "Last-Modified": format_datetime(found.modified, usegmt=True), **found.headers}
        if asked.what == "HEAD":
            return 200, {**headers, "Content-Length": str(len(found.data))}, b""
        start, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
        if int(start) >= len(found.data):
            raise Refusal(416, "InvalidRange")
        data = found.data[int(start) : int(last) + 1]
        span = f"bytes {start}-{int(start) + len(data) - 1}/{len(found.data)}"
        return 206, {**headers, "Content-Range": span}, data

    def _put(self, asked: Asked) -> Answer:
        self._match(asked, asked.name)
        found = self.objects[asked.name] = Stored(asked.body, _md5(asked.body), _kept(asked))
        return 200, {"ETag": found.etag}, b""

    def _source(self, asked: Asked) -> Stored:
        found = self._find(unquote(asked.headers["x-amz-copy-source"]).lstrip("/").partition("/")[2])
        if asked.headers.get("x-amz-copy-source-if-match", found.etag) != found.etag:
            raise Refusal(412, "PreconditionFailed")
        return found

    def _copy(self, asked: Asked) -> Answer:
        source = self._source(asked)
        self.objects[asked.name] = Stored(source.data, _md5(source.data), _kept(asked))
        return 200, {}, f"<CopyObjectResult><ETag>{source.etag}</ETag></CopyObjectResult>".encode()

    def _delete(self, asked: Asked) -> Answer:
        self._match(asked, asked.name)
        self.objects.pop(asked.name, None)
        return 204, {}, b""

    def _delete_many(self, asked: Asked) -> Answer:
        names = [each.text or "" for each in ElementTree.fromstring(asked.body).iter() if each.tag.endswith("Key")]
        if len(names) > 1000:
            raise Refusal(400, "MalformedXML")
        for name in names:
            self.objects.pop(name, None)
        return 200, {}, b"<DeleteResult></DeleteResult>"

    def _list(self, asked: Asked) -> Answer:
        prefix, slash = asked.query.get("prefix", ""), asked.query.get("delimiter", "")
        names = sorted(name for name in self.objects if name.startswith(prefix))
        ends = [name.find(slash, len(prefix)) + 1 if slash else 0 for name in names]
        entries = list(dict.fromkeys(name[:end] if end else name for name, end in zip(names, ends, strict=True)))
        entries = [entry for entry in entries if entry > asked.query.get("continuation-token", "")]
        most = min(int(asked.query.get("max-keys", 1000)), 1000)
        page, more = entries[:most], len(entries) > most
        parts = [_listed(entry, self.objects.get(entry)) for entry in page]
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(parts)}"
        return 200, {}, f"<ListBucketResult>{body}</ListBucketResult>".encode()

    def _begin(self, asked: Asked) -> Answer:
        name = f"upload-{len(self.log)}"
        self.uploads[name] = Upload(asked.name, _kept(asked))
        return 200, {}, f"<R><UploadId>{name}</UploadId></R>".encode()

    def _upload(self, asked: Asked) -> Upload:
        if asked.query["uploadId"] not in self.uploads:
            raise Refusal(404, "NoSuchUpload")
        return self.uploads[asked.query["uploadId"]]

    def _part(self, asked: Asked) -> Answer:
        upload, source = self._upload(asked), self._source(asked)
        start, _, last = asked.headers["x-amz-copy-source-range"].removeprefix("bytes=").partition("-")
        if int(last) >= len(source.data):
            raise Refusal(400, "InvalidArgument")
        data = source.data[int(start) : int(last) + 1]
        part = upload.parts[int(asked.query["partNumber"])] = Stored(data, _md5(data))
        return 200, {}, f"<CopyPartResult><ETag>{part.etag}</ETag></CopyPartResult>".encode()

    def _complete(self, asked: Asked) -> Answer:
        upload = self._upload(asked)
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        if any(len(part.data) < LEAST for part in parts[:-1]):
            raise Refusal(400, "EntityTooSmall")
        data = b"".join(part.data for part in parts)
        etag = f'{_md5(data)[:-1]}-{len(parts)}"'
        self.objects[upload.name] = Stored(data, etag, upload.headers)
        del self.uploads[asked.query["uploadId"]]
        return 200, {}, f"<R><ETag>{etag}</ETag></R>".encode()

    def _abort(self, asked: Asked) -> Answer:
        self._upload(asked)
        del self.uploads[asked.query["uploadId"]]
        return 204, {}, b""

    ACTS: ClassVar[dict[str, Callable[[StrictS3, Asked], Answer]]] = {
        "GET": _get,
        "HEAD": _get,
        "PUT": _put,
        "PUT copy": _copy,
        "DELETE": _delete,
        "POST delete": _delete_many,
        "GET list-type": _list,
        "POST uploads": _begin,
        "PUT uploadId copy": _part,
        "POST uploadId": _complete,
        "DELETE uploadId": _abort,
    }


def _md5(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _kept(asked: Asked) -> dict[str, str]:
    """Return the headers that are stored with an object."""
    return {
        name: value
        for name, value in asked.headers.items()
        if name.startswith(("x-amz-meta-", "x-amz-server-side-encryption"))
    }


def _listed(name: str, found: Stored | None) -> str:
    if found is None:
        return f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>"
    time = f"{found.modified:%Y-%m-%dT%H:%M:%S.000Z}"
    said = f"<Key>{quote(name)}</Key><Size>{len(found.data)}</Size><LastModified>{time}</LastModified>"
    return f"<Contents>{said}<ETag>{found.etag}</ETag></Contents>"

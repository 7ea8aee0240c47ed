"""A strict transport that also loses, cuts, delays and fails, as a plan says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.storage.blob import BlobClient

if TYPE_CHECKING:
    from tests.azure_strict import ACCOUNT, Asked, StrictTransport, answer
else:
    from azure_strict import ACCOUNT, Asked, StrictTransport, answer


class Kind(StrEnum):
    """A failure of a request."""

    REQUEST_LOST = "request lost"
    RESPONSE_LOST = "response lost"
    AFTER = "500 after effect"
    BEFORE = "503 before"
    CUT = "reset mid-body"
    """Of the request, or of the answer to a Get Blob."""


ALWAYS = 1_000_000
"""Times: more than anybody tries."""


@dataclass
class Fault:
    """A failure, and the requests that meet it: ``times`` of those of a name, after ``skip`` of them."""

    kind: Kind
    at: str
    times: int = 1
    skip: int = 0

    def __str__(self) -> str:
        """Tell it in words."""
        times = "always" if self.times >= ALWAYS else f"{self.times} times"
        return f"{self.kind} at {self.at or 'any request'}, {times} after {self.skip}"


@dataclass
class Copying:
    """How the next copy onto a blob goes: seen pending so often, then ``success``, ``failed``, ``aborted``."""

    pending: int
    then: str
    copy_id: str = "a-copy"
    request: Any = field(default=None, repr=False)
    """The request for the copy, once it has come."""


class FaultyTransport(StrictTransport):
    """Plans come and go while it is used; ``met`` tells what was done, and ``slept`` how long somebody would wait."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (as StrictTransport)
        """Begin with no plan."""
        super().__init__(*args, **kwargs)
        self.plan: list[Fault] = []
        self.copying: Copying | None = None
        self.met: list[str] = []
        self.slept: list[float] = []
        self.asked: list[str] = []
        self._one_by_one = threading.Lock()

    def sleep(self, duration: float) -> None:
        """Keep in mind how long the SDK would wait before it tries again."""
        self.slept.append(duration)

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Send a request, and have go wrong what is planned."""
        asked = Asked(request)
        self.asked.append(str(asked))
        fault = self._next(asked)
        if fault is None:
            return self._copied(request, asked, kwargs)
        self.met.append(f"{fault.kind}: {asked}")
        return self._go_wrong(fault.kind, request, asked, kwargs)

    def _next(self, asked: Asked) -> Fault | None:
        with self._one_by_one:
            for fault in self.plan:
                if fault.times and (asked.name == fault.at or not fault.at):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def _go_wrong(self, kind: Kind, request: Any, asked: Asked, kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        if kind is Kind.REQUEST_LOST:
            raise ServiceRequestError("planned: the request is lost")
        if kind is Kind.BEFORE:
            return answer(request, 503, "ServerBusy", Retry_After="30")
        if kind is Kind.CUT and asked.name != "Get Blob":
            _send_half(request, asked)
            raise ServiceResponseError("planned: reset in the middle of the request")
        response = super().send(request, **kwargs)
        if kind is Kind.CUT:
            return _cut(response)
        response.internal_response.content  # noqa: B018  (read it, so that the connection goes back)
        if kind is Kind.AFTER:
            return answer(request, 500, "InternalError")
        raise ServiceResponseError("planned: the response is lost")

    def _copied(self, request: Any, asked: Asked, kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Imitate a copy that takes its time, or comes to nothing; Azurite's are all done at once."""
        copying = self.copying
        if copying is None:
            return super().send(request, **kwargs)
        if copying.request is None:
            if asked.name == "Copy Blob":
                return self._begin_copy(copying, request, asked)
            return super().send(request, **kwargs)
        if asked.blob != Asked(copying.request).blob:
            return super().send(request, **kwargs)
        if asked.query.get("comp") == "copy":
            copying.pending, copying.then = 0, "aborted"
            return answer(request, 204)
        if asked.name not in {"Get Blob Properties", "Get Blob"}:
            return super().send(request, **kwargs)
        return self._look(copying, request, kwargs)

    def _begin_copy(self, copying: Copying, request: Any, asked: Asked) -> Any:  # noqa: ANN401
        copying.request = request
        notes = {name[10:]: value for name, value in asked.headers.items() if name.startswith("x-ms-meta-")}
        with closing(BlobClient(self.endpoint, asked.container, asked.blob, credential=ACCOUNT)) as blob:
            made = blob.upload_blob(b"", overwrite=True, metadata=notes)
        told = {"x_ms_copy_id": copying.copy_id, "x_ms_copy_status": "pending", "ETag": str(made["etag"])}
        return answer(request, 202, **told)

    def _look(self, copying: Copying, request: Any, kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        status = "pending" if copying.pending else copying.then
        if status == "success":
            super().send(copying.request)
            self.copying = None
            return super().send(request, **kwargs)
        copying.pending = max(0, copying.pending - 1)
        response = super().send(request, **kwargs)
        if response.status_code < 300:
            response.headers.update({"x-ms-copy-id": copying.copy_id, "x-ms-copy-status": status})
        return response


def _cut(response: Any) -> Any:  # noqa: ANN401  (the SDK's)
    """Have a response's body break off half way."""
    whole = int(response.headers.get("Content-Length", "0"))
    genuine = response.stream_download

    def stream_download(pipeline: Any, **kwargs: Any) -> Iterator[bytes]:  # noqa: ANN401
        data = b"".join(genuine(pipeline, **kwargs))
        if half := data[: whole // 2]:
            yield half
        raise ServiceResponseError("planned: reset in the middle of the body")

    response.stream_download = stream_download
    return response


def _send_half(request: Any, asked: Asked) -> None:  # noqa: ANN401  (the SDK's)
    """Send the head and half of the body, over a connection of its own, and reset it."""
    url = urlsplit(request.url)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    target = f"{url.path}?{url.query}" if url.query else url.path
    text = f"{request.method} {target} HTTP/1.1\r\nHost: {url.netloc}\r\n{head}\r\n".encode()
    cut = len(text) + len(asked.body) // 2 if asked.body else len(text) - 2
    with socket.create_connection((unquote(url.hostname or ""), url.port or 80)) as connection:
        connection.sendall((text + asked.body)[:cut])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

"""A client of a registry, in the same process: what one request says, and what comes back."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import werkzeug.test
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
NAME = "library/demo"
UPLOADS = f"/v2/{NAME}/blobs/uploads/"

CODES = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"),
    *("MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED"),
    *("DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"),
}
"""The error codes that the specification knows."""


def digest(data: bytes, algorithm: str = "sha256") -> str:
    """Name bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def dumped(body: dict[str, Any]) -> bytes:
    """Write a manifest."""
    return json.dumps(body).encode()


def described(data: bytes, media_type: str, algorithm: str = "sha256", **more: Any) -> dict[str, Any]:
    """Describe content."""
    return {"mediaType": media_type, "digest": digest(data, algorithm), "size": len(data), **more}


def image(config: bytes, *layers: bytes, **more: Any) -> bytes:
    """Write the manifest of an image."""
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": described(config, CONFIG),
        "layers": [described(layer, LAYER) for layer in layers],
        **more,
    }
    return dumped(body)


def index(*manifests: bytes, **more: Any) -> bytes:
    """Write an index of images."""
    children = [described(manifest, OCI_IMAGE) for manifest in manifests]
    return dumped({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children, **more})


class Client(werkzeug.test.Client):
    """Sends requests; of each refusal it checks that its body is of the specification's form."""

    def __init__(self, application: Any) -> None:
        """Talk to an application."""
        super().__init__(application, Response)

    def open(self, *args: Any, **more: Any) -> TestResponse:
        """Send a request; ``headers`` may be a dict."""
        answer = super().open(*args, **more)
        if 400 <= answer.status_code < 500 and answer.request.method != "HEAD":
            errors = json.loads(answer.data)["errors"]
            assert errors, answer.data
            assert {error["code"] for error in errors} <= CODES, errors
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
        return answer

    def stream(self, method: str, path: str, body: Any, length: int | None, **more: Any) -> TestResponse:
        """Send what a stream gives, of a length that is said, or in chunks."""
        environ = {"wsgi.input": body}
        if length is None:
            environ |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        else:
            environ["CONTENT_LENGTH"] = str(length)
        return self.open(path, method=method, environ_overrides=environ, **more)

    def code(self, answer: TestResponse) -> tuple[int, str]:
        """Return the status and the code of a refusal."""
        return answer.status_code, json.loads(answer.data)["errors"][0]["code"]

    def begin(self, name: str = NAME) -> str:
        """Begin an upload, and return where it is."""
        answer = self.post(f"/v2/{name}/blobs/uploads/")
        assert answer.status_code == 202
        return str(answer.headers["Location"])

    def push_blob(self, data: bytes, name: str = NAME, algorithm: str = "sha256") -> str:
        """Push a blob, and return its digest."""
        wanted = digest(data, algorithm)
        answer = self.put(self.begin(name), query_string={"digest": wanted}, data=data)
        assert (answer.status_code, answer.headers["Docker-Content-Digest"]) == (201, wanted)
        return wanted

    def push_manifest(self, data: bytes, reference: str, name: str = NAME, kind: str = "") -> TestResponse:
        """Push a manifest."""
        kind = kind or json.loads(data)["mediaType"]
        return self.put(f"/v2/{name}/manifests/{reference}", data=data, content_type=kind)

    def push_image(self, reference: str, *layers: bytes, name: str = NAME, **more: Any) -> bytes:
        """Push an image with all that belongs to it, and return its manifest."""
        config = b'{"of": "%s"}' % reference.encode()
        for blob in (config, *layers):
            self.push_blob(blob, name)
        manifest = image(config, *layers, **more)
        assert self.push_manifest(manifest, reference, name).status_code == 201
        return manifest

    def pull(self, reference: str, name: str = NAME) -> TestResponse:
        """Fetch a manifest."""
        return self.get(f"/v2/{name}/manifests/{reference}")

    def tags(self, name: str = NAME, **query: Any) -> list[str]:
        """List tags."""
        return list(json.loads(self.get(f"/v2/{name}/tags/list", query_string=query).data)["tags"])

    def referrers(self, subject: str, name: str = NAME, **query: Any) -> list[dict[str, Any]]:
        """List what refers to a manifest."""
        answer = self.get(f"/v2/{name}/referrers/{subject}", query_string=query)
        assert (answer.status_code, answer.content_type) == (200, OCI_INDEX)
        found = json.loads(answer.data)
        assert (found["schemaVersion"], found["mediaType"]) == (2, OCI_INDEX)
        return list(found["manifests"])


def basic(name: str, password: str | None = None) -> dict[str, str]:
    """Say who one is; of whoever says no password it is ``name's``."""
    told = f"{name}:{name + chr(39) + 's' if password is None else password}".encode()
    return {"Authorization": f"Basic {base64.b64encode(told).decode()}"}

"""Every call of the SDK: a bucket's objects, by name, with the contract's errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import BytesIO
from typing import Any, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from urllib3.exceptions import HTTPError

from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    FencedError,
    NoSpaceError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.objectstore import ABSENT, Got, Limits, Listed, Page, Part
from layerstore.threads.process import this_process

Client: TypeAlias = Any
"""A boto3 client, whose methods are made when it is."""

PARTS_AT_ONCE = 8
"""Parts that the service copies at once."""

HINTS = {
    "SignatureDoesNotMatch": "the secret access key is wrong",
    "InvalidAccessKeyId": "there is no such access key id",
    "ExpiredToken": "the session token has expired",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "NoSuchBucket": "there is no such bucket",
    "PermanentRedirect": "the bucket is in another region, or at another endpoint",
    "SlowDown": "the service asks for fewer requests",
    "NotImplemented": "the service cannot do this",
}
"""The meaning of some of the service's error codes."""

KINDS: Mapping[str, type[DriverError]] = {
    "NoSuchBucket": BackendUnavailableError,
    "NoSuchUpload": BackendUnavailableError,
    "PreconditionFailed": FencedError,
    "ConditionalRequestConflict": FencedError,
    "EntityTooLarge": NoSpaceError,
    "QuotaExceeded": NoSpaceError,
    "EntityTooSmall": UnsupportedOperationError,
    "NotImplemented": UnsupportedOperationError,
}
STATUSES: Mapping[int, type[DriverError]] = {
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: PathNotFoundError,
    412: FencedError,
    507: NoSpaceError,
}


def error_of(name: str, code: str, status: int, request: str = "") -> DriverError:
    """Return the contract's error for one of the service."""
    kind = KINDS.get(code) or STATUSES.get(status, BackendUnavailableError)
    hint = f"{HINTS[code]}: " if code in HINTS else ""
    return kind(name, f"{hint}{code}, HTTP {status}{f', request {request}' if request else ''}")


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise the SDK's errors as the contract's."""
    try:
        yield
    except ClientError as error:
        meta = error.response.get("ResponseMetadata", {})
        code, status = error.response.get("Error", {}).get("Code", ""), meta.get("HTTPStatusCode", 0)
        raise error_of(name, code, status, meta.get("RequestId", "")) from error
    except NoCredentialsError as error:
        raise AccessDeniedError(name, "no credentials: options, variables or a profile must say who you are") from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise BackendUnavailableError(name, str(error)) from error


class Body:
    """The bytes of an answer."""

    def __init__(self, name: str, body: Client) -> None:
        """Read a streaming body."""
        self._name = name
        self._body = body

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, at least one; none at the end."""
        with translated(self._name):
            return bytes(self._body.read(size))

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()


class S3Service:
    """The objects of a bucket."""

    limits = Limits(most_copied=1 << 30)

    def __init__(self, bucket: str, connect: Callable[[], Client], stored_with: Mapping[str, str]) -> None:
        """Use what ``connect`` returns in each process; ``stored_with`` are arguments of all that stores."""
        self._bucket = bucket
        self._connect = connect
        self._stored_with = stored_with
        self._client: tuple[int, Client] = (0, None)

    @property
    def client(self) -> Client:
        """The client of this process."""
        process, client = self._client
        if process != this_process():
            client = self._connect()
            self._client = (this_process(), client)
        return client

    def get(self, name: str, start: int, stop: int, etag: str | None = None) -> Got:
        """See :meth:`Service.get`. An object of no bytes has no range: that takes a second request."""
        where = {"Bucket": self._bucket, "Key": name, **({"IfMatch": etag} if etag else {})}
        with translated(name):
            try:
                said = self.client.get_object(**where, Range=f"bytes={start}-{stop - 1}")
            except ClientError as error:
                if error.response["Error"]["Code"] not in {"InvalidRange", "416"}:
                    raise
                said = self.client.head_object(**where)
        size = int(said.get("ContentRange", "").rpartition("/")[2] or said["ContentLength"])
        if start and "Body" in said and "ContentRange" not in said:
            said["Body"].close()
            raise BackendUnavailableError(name, f"asked for bytes from {start} on, and all were sent")
        metadata = {key.lower(): value for key, value in said["Metadata"].items()}
        stream = Body(name, said["Body"] if "Body" in said else BytesIO())
        return Got(said["ETag"], size, said["LastModified"], metadata, stream)

    def put(self, name: str, data: bytes, metadata: Mapping[str, str], etag: str | None = None) -> str:
        """See :meth:`Service.put`."""
        condition = {} if etag is None else {"IfNoneMatch": "*"} if etag == ABSENT else {"IfMatch": etag}
        try:
            with translated(name):
                said = self.client.put_object(
                    Bucket=self._bucket, Key=name, Body=data, Metadata=dict(metadata), **condition, **self._stored_with
                )
        except PathNotFoundError as error:  # for If-Match, on AWS
            raise FencedError(name, error.detail) from error
        return str(said["ETag"])

    def delete(self, name: str, etag: str | None = None) -> None:
        """See :meth:`Service.delete`."""
        with suppress(PathNotFoundError), translated(name):
            self.client.delete_object(Bucket=self._bucket, Key=name, **({"IfMatch": etag} if etag else {}))

    def delete_many(self, names: Sequence[str]) -> None:
        """See :meth:`Service.delete_many`."""
        wanted = {"Objects": [{"Key": name} for name in names], "Quiet": True}
        with translated(names[0]):
            said = self.client.delete_objects(Bucket=self._bucket, Delete=wanted)
        for error in said.get("Errors", ()):
            if error["Code"] != "NoSuchKey":
                raise error_of(error["Key"], error["Code"], 403 if error["Code"] == "AccessDenied" else 0)

    def list(self, prefix: str, after: str, most: int, *, deep: bool) -> Page:
        """See :meth:`Service.list`."""
        more = {"ContinuationToken": after} if after else {}
        with translated(prefix):
            said = self.client.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, Delimiter="" if deep else "/", MaxKeys=most, **more
            )
        objects = [Listed(each["Key"], each["Size"], each["LastModified"]) for each in said.get("Contents", ())]
        prefixes = [each["Prefix"] for each in said.get("CommonPrefixes", ())]
        return Page(objects, prefixes, said.get("NextContinuationToken", "") if said["IsTruncated"] else "")

    def compose(self, name: str, parts: Sequence[Part], metadata: Mapping[str, str]) -> None:
        """See :meth:`Service.compose`: one request for an object that is copied whole, else two and one for a part."""
        stored_as = {"Bucket": self._bucket, "Key": name, "Metadata": dict(metadata), **self._stored_with}
        with translated(name):
            if len(parts) == 1 and parts[0].whole:
                self.client.copy_object(**stored_as, MetadataDirective="REPLACE", **self._source(parts[0]))
                return
            upload = self.client.create_multipart_upload(**stored_as)["UploadId"]
            this = {"Bucket": self._bucket, "Key": name, "UploadId": upload}
            try:
                with ThreadPoolExecutor(min(PARTS_AT_ONCE, len(parts))) as pool:
                    copied = list(pool.map(lambda each: self._copied(this, *each), enumerate(parts, 1)))
                self.client.complete_multipart_upload(**this, MultipartUpload={"Parts": copied})
            except BaseException:
                with suppress(ClientError, BotoCoreError):
                    self.client.abort_multipart_upload(**this)
                raise

    def _copied(self, this: Mapping[str, str], number: int, part: Part) -> dict[str, Any]:
        span = f"bytes={part.start}-{part.stop - 1}"
        said = self.client.upload_part_copy(**this, PartNumber=number, CopySourceRange=span, **self._source(part))
        return {"PartNumber": number, "ETag": said["CopyPartResult"]["ETag"]}

    def _source(self, part: Part) -> dict[str, Any]:
        source = {"Bucket": self._bucket, "Key": part.name}
        return {"CopySource": source, **({"CopySourceIfMatch": part.etag} if part.etag else {})}

    def signed_url(self, name: str, lasts: timedelta) -> str:
        """Return a URL by which anybody can read an object for some time."""
        where = {"Bucket": self._bucket, "Key": name}
        with translated(name):
            return str(self.client.generate_presigned_url("get_object", where, ExpiresIn=int(lasts.total_seconds())))

    def close(self) -> None:
        """Close the idle connections. Handles and drivers that are still open make new ones."""
        process, client = self._client
        if process == this_process():
            client.close()

"""s3://BUCKET[/PREFIX]: the URL, the options, and the client that they make."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from layerstore.errors import InvalidPathError, InvalidURLError
from layerstore.keys import check_prefix
from layerstore.objectstore import ObjectStoreDriver
from layerstore.objectstore.driver import PIECE, THREADS
from layerstore.objectstore.options import one_of, whole, yes
from layerstore.threads.process import this_process
from layerstore_drivers.s3.service import Client, S3Service

if TYPE_CHECKING:
    from layerstore.url import StoreURL

HELP = {
    "endpoint": "URL of the service, if it is not AWS",
    "region": "of the bucket; else that of the environment or the profile, else us-east-1",
    "path_style": "true: requests have the bucket in the path, not in the host name; true unless given, if endpoint is",
    "access_key_id": "and secret_access_key: who you are; else the SDK looks, in the environment first",
    "secret_access_key": "belongs to access_key_id",
    "session_token": "belongs to access_key_id, if that is a temporary one",
    "profile": "a section of the SDK's configuration files",
    "sse": "encryption by the service: AES256, aws:kms or aws:kms:dsse; else the bucket's own",
    "sse_kms_key_id": "the key of aws:kms",
    "checksum": "of what is stored, compared by the service: CRC32, CRC32C, SHA1, SHA256 or CRC64NVME; CRC32 unless"
    " given, and none: only what the service insists on",
    "block_size": f"bytes of a piece of an upload, {PIECE} unless given",
    "concurrency": f"pieces of one writer that are under way at once, {THREADS} unless given",
    "retries": "how often a request is repeated whose answer is lost or an error of the service, 4 unless given",
    "timeout": "seconds that the service may be silent, 60 unless given",
}
"""Each option and its help text."""

CHECKSUMS = ("CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME", "none")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")

URL_LASTS = timedelta(minutes=20)
"""How long a signed URL can be used, unless a caller says."""


class S3Driver(ObjectStoreDriver):
    """Objects below a prefix of a bucket."""

    options = MappingProxyType(HELP)

    @classmethod
    def open(cls, url: StoreURL, **given: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Open ``s3://BUCKET[/PREFIX]``.

        Raises:
            InvalidURLError: no bucket, a prefix that is too long or no key, or an option that is not valid.
        """
        prefix = url.path.strip("/")
        try:
            if not _BUCKET.match(url.host or ""):
                raise ValueError(f"{url.host or ''!r} is no bucket: 3 to 63 of a-z, 0-9, - and .: s3://BUCKET[/PREFIX]")
            check_prefix(prefix)
            chosen = Settings.of(given)
            chosen.client()  # connects to nothing, but finds out what is no endpoint, no region, no profile
            service = S3Service(
                url.host or "", lambda: cls.prepared(chosen.client()), _stored_with(given, chosen.checksum)
            )
            piece = whole(given, "block_size", PIECE, service.limits.least_part)
            threads = whole(given, "concurrency", THREADS, 1)
            return cls(service, f"{prefix}/" if prefix else "", piece=piece, threads=threads)
        except InvalidPathError as error:
            raise InvalidURLError(str(url), f"the prefix is no key: {error.detail}") from error
        except (ValueError, BotoCoreError) as error:
            raise InvalidURLError(str(url), str(error)) from error

    @staticmethod
    def prepared(client: Client) -> Client:
        """Return the client to use; a subclass for tests may put itself between it and the service."""
        return client

    def redirect_url(self, key: str, lasts: timedelta = URL_LASTS) -> str | None:
        """Return a URL by which anybody can read an object for some time; None while it lies there in pieces.

        Raises:
            PathNotFoundError: nothing is published under the key.
        """
        service = self._store.service
        assert isinstance(service, S3Service), "made by open"  # noqa: S101  (for the type checker)
        return service.signed_url(self._store.name(key), lasts) if self.is_plain(key) else None


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of a client. Drivers with the same ones share a client: to make one takes long."""

    endpoint: str | None
    region: str | None
    path_style: bool
    access_key_id: str | None
    secret_access_key: str | None
    session_token: str | None
    profile: str | None
    checksum: str
    retries: int
    timeout: int

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read the options.

        Raises:
            ValueError: one is not valid.
        """
        if bool(given.get("access_key_id")) != bool(given.get("secret_access_key")):
            raise ValueError("access_key_id and secret_access_key are given together, or neither")
        plain = ("region", "access_key_id", "secret_access_key", "session_token", "profile")
        endpoint = given.get("endpoint")
        return cls(
            endpoint=endpoint,
            path_style=yes(given, "path_style", default=bool(endpoint)),
            checksum=one_of(given, "checksum", "CRC32", CHECKSUMS),
            retries=whole(given, "retries", 4, 0),
            timeout=whole(given, "timeout", 60, 1),
            **{name: given.get(name) for name in plain},
        )

    def client(self) -> Client:
        """Return the client of this process."""
        variables = frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))
        return _client(this_process(), variables, self)


@lru_cache(maxsize=8)
def _client(_process: int, _variables: frozenset[tuple[str, str]], chosen: Settings) -> Client:
    config = Config(
        retries={"total_max_attempts": chosen.retries + 1, "mode": "standard"},
        connect_timeout=min(chosen.timeout, 20),
        read_timeout=chosen.timeout,
        max_pool_connections=64,
        s3={"addressing_style": "path" if chosen.path_style else "auto"},
        request_checksum_calculation="when_required" if chosen.checksum == "none" else "when_supported",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session(
        chosen.access_key_id, chosen.secret_access_key, chosen.session_token, chosen.region, profile_name=chosen.profile
    )
    region = session.region_name or "us-east-1"
    return session.client("s3", endpoint_url=chosen.endpoint, region_name=region, config=config)


def _stored_with(given: Mapping[str, Any], checksum: str) -> dict[str, str]:
    """Return the arguments of every request that stores something."""
    chosen = {"ServerSideEncryption": given.get("sse"), "SSEKMSKeyId": given.get("sse_kms_key_id")}
    if given.get("checksum") and checksum != "none":
        chosen["ChecksumAlgorithm"] = checksum
    return {name: value for name, value in chosen.items() if value}

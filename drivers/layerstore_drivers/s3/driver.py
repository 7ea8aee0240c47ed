"""s3://BUCKET[/PREFIX]: the URL, the options, and the client that they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from layerstore.errors import InvalidPathError, InvalidURLError
from layerstore.keys import check_prefix
from layerstore.objectstore import ObjectStoreDriver
from layerstore.objectstore.driver import PIECE, THREADS
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
_YES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

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
            service = S3Service(url.host or "", _connecting(given), _stored_with(given), cls.prepared)
            piece = _number(given, "block_size", PIECE, service.limits.least_part)
            threads = _number(given, "concurrency", THREADS, 1)
            return cls(service, f"{prefix}/" if prefix else "", piece=piece, threads=threads)
        except InvalidPathError as error:
            raise InvalidURLError(str(url), f"the prefix is no key: {error.detail}") from error
        except (ValueError, BotoCoreError) as error:
            raise InvalidURLError(str(url), str(error)) from error

    @staticmethod
    def prepared(client: Client) -> Client:
        """Return a client that was just made; a subclass for tests may put itself between it and the service."""
        return client

    def redirect_url(self, key: str, lasts: timedelta = URL_LASTS) -> str | None:
        """Return a URL by which anybody can read an object for some time; None while it lies there in pieces.

        Raises:
            PathNotFoundError: nothing is published under the key.
        """
        service = self._store.service
        assert isinstance(service, S3Service), "made by open"  # noqa: S101  (for the type checker)
        return service.signed_url(self._store.name(key), lasts) if self.is_plain(key) else None


def _connecting(given: Mapping[str, Any]) -> Callable[[], Client]:
    """Return what makes a client; the options are checked by making one now.

    Raises:
        ValueError, BotoCoreError: an option is not valid.
    """
    endpoint, who = (
        given.get("endpoint"),
        {
            "aws_access_key_id": given.get("access_key_id"),
            "aws_secret_access_key": given.get("secret_access_key"),
            "aws_session_token": given.get("session_token"),
        },
    )
    if bool(who["aws_access_key_id"]) != bool(who["aws_secret_access_key"]):
        raise ValueError("access_key_id and secret_access_key are given together, or neither")
    needed = "when_required" if given.get("checksum") == "none" else "when_supported"
    retries, timeout = _number(given, "retries", 4, 0), _number(given, "timeout", 60, 1)
    style = "path" if _flag(given, "path_style", default=bool(endpoint)) else "auto"
    config = Config(
        retries={"total_max_attempts": retries + 1, "mode": "standard"},
        connect_timeout=min(timeout, 20),
        read_timeout=timeout,
        max_pool_connections=64,
        s3={"addressing_style": style},
        request_checksum_calculation=needed,
        response_checksum_validation="when_required",
    )

    def connect() -> Client:
        session = boto3.session.Session(profile_name=given.get("profile"), region_name=given.get("region"))
        region = session.region_name or "us-east-1"
        return session.client("s3", endpoint_url=endpoint, region_name=region, config=config, **who)

    connect().close()
    return connect


def _stored_with(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments of every request that stores something."""
    chosen = {"ServerSideEncryption": given.get("sse"), "SSEKMSKeyId": given.get("sse_kms_key_id")}
    checksum = given.get("checksum", "")
    if checksum and checksum not in CHECKSUMS:
        raise ValueError(f"checksum is one of {', '.join(CHECKSUMS)}")
    if checksum not in {"", "none"}:
        chosen["ChecksumAlgorithm"] = checksum
    return {name: value for name, value in chosen.items() if value}


def _flag(given: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = str(given.get(name, default)).lower()
    if value not in _YES:
        raise ValueError(f"{name} is true or false")
    return _YES[value]


def _number(given: Mapping[str, Any], name: str, default: int, least: int) -> int:
    try:
        number = int(given.get(name, default))
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise ValueError(f"{name} is a whole number, at least {least}")
    return number

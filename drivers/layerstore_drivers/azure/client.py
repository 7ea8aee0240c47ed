"""The SDK's client of an account, as the driver uses it; and the URLs that its credential can sign."""

from __future__ import annotations

import logging
import os
import random
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import requests
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, ExponentialRetry, generate_blob_sas
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from layerstore.errors import BackendUnavailableError
from layerstore_drivers.azure.errors import is_hopeless, is_lookup

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import AzureError
    from azure.core.pipeline import PipelineRequest, PipelineResponse
    from azure.core.pipeline.transport import HttpTransport
    from azure.storage.blob import BlobServiceClient, UserDelegationKey

    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.credentials import Access


CONNECTIONS = 64
"""Connections kept for the threads of one driver; the HTTP client's default of 10 closes and reopens the others."""

AT_ONCE = 256 << 20
"""Bytes of a ``put`` in one request; the service takes 5,000 MiB."""

CONNECT = 20.0
"""Seconds that making a connection may take."""

WAIT = 0.5
"""Seconds before a request is repeated for the first time."""

LOOKUPS = 1
"""How often the name of a host that never answered is looked up again."""

CHUNK = 1 << 20
"""Bytes of a response's body handed on at a time."""


_NOWHERE = logging.NullHandler()
"""Where no logging is set up, the SDK's warnings would be printed: azure-identity's are 15 lines for each request."""


def connect(
    access: Access, *, transport: HttpTransport[Any, Any] | None, retries: int, timeout: float
) -> BlobServiceClient:
    """Make a client; ``timeout`` is how long a connection may be silent, in seconds. Nothing is connected yet."""
    logging.getLogger("azure").addHandler(_NOWHERE)
    return BlobServiceClient(
        access.endpoint,
        credential=access.credential,
        transport=transport or _Transport(access.endpoint, timeout),
        retry_policy=_Retry(retries),
        max_single_put_size=AT_ONCE,
    )


class _Retry(ExponentialRetry):
    """Waits half a second, then twice as long each time; the SDK's own begins with at least two."""

    def __init__(self, retries: int) -> None:
        """Repeat a request this often, for any kind of failure; the SDK alone limits each kind to three."""
        super().__init__(retry_total=retries, retry_connect=retries, retry_read=retries, retry_status=retries)
        self._answered = False

    def send(self, request: Any) -> Any:  # noqa: ANN401  (as the SDK's, which is untyped)
        """Send a request, again if need be, and note that the service has answered."""
        response = super().send(request)  # type: ignore[no-untyped-call]  # the SDK's
        self._answered = True
        return response

    def increment(
        self,
        settings: dict[str, Any],
        request: PipelineRequest[Any],
        response: PipelineResponse[Any, Any] | None = None,
        error: AzureError | None = None,
    ) -> bool:
        """Count a failure, and return whether to try again.

        A certificate that is not trusted stays so, and azure-identity has tried often enough itself. A host name that
        was never found is mostly misspelt: it is looked up one more time.
        """
        if isinstance(error, ClientAuthenticationError) or (error is not None and is_hopeless(error)):
            return False
        if error is not None and is_lookup(error) and not self._answered:
            settings["total"] = min(settings["total"], LOOKUPS)
        return bool(super().increment(settings, request, response, error))

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Return how long to wait, in seconds, a fifth more or less."""
        return random.uniform(0.8, 1.2) * WAIT * 2.0 ** (int(settings["count"]) - 1)  # noqa: S311  (no secret)


class _Transport(RequestsTransport):  # type: ignore[misc]  # the SDK imports it late, untyped
    """Keeps its connections. A forked child leaves them to its parent. After a close, it opens new ones if needed."""

    def __init__(self, endpoint: str, timeout: float) -> None:
        """Send to an endpoint, through a proxy if the environment has one for it."""
        self._process = os.getpid()
        self._lock = Lock()
        session = requests.Session()
        # Read once: the HTTP client would for every request, which takes longer than all else that it does; and it
        # would put a password from a netrc file in the place of our signature.
        session.trust_env = False
        session.proxies = dict(get_environ_proxies(endpoint))
        super().__init__(
            session=session,
            session_owner=False,
            connection_timeout=min(CONNECT, timeout),
            read_timeout=timeout,
            connection_verify=_authorities() if endpoint.startswith("https:") else True,
            connection_data_block_size=CHUNK,
        )
        self._mount()

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's, which is overloaded)
        """Send a request."""
        if self._process != os.getpid():
            with self._lock:
                self._mount()
        return super().send(request, **kwargs)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self.session.close()

    def _mount(self) -> None:
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=CONNECTIONS, max_retries=0))
        self._process = os.getpid()


def _authorities() -> str | bool:
    """Return the file or directory of certificates to trust, True for the usual one.

    Raises:
        BackendUnavailableError: a variable names a file that does not exist.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            if not os.path.exists(path):
                raise BackendUnavailableError("", f"variable {name} names a file that is not there: {path}")
            return path
    return True


SCOPE = "https://storage.azure.com/.default"
"""The scope of a token (Microsoft's documentation)."""

LASTS = timedelta(hours=1)
"""How long a signature is good for."""

SKEW = timedelta(minutes=15)
"""How far another machine's clock may be off."""


class Signing:
    """Signs URLs with the credential, if it can."""

    def __init__(self, service: BlobServiceClient, blobs: Blobs, access: Access) -> None:
        """Sign for the blobs of a container."""
        self._service = service
        self._blobs = blobs
        self._access = access
        self._lock = Lock()
        self._delegation: tuple[UserDelegationKey, datetime] | None = None

    def source(self, key: str) -> tuple[str, str | None]:
        """Return a blob's URL as the source of a copy, and the authorization to send along, if any."""
        url = self._blobs.blob(key).url
        if self._access.account_key:
            return f"{url}?{self._signature(key, LASTS)}", None
        if self._access.sas_token:
            return f"{url}?{self._access.sas_token}", None
        token = cast("TokenCredential", self._access.credential).get_token(SCOPE)
        return url, f"Bearer {token.token}"

    def readable_url(self, key: str, lasts: timedelta) -> str | None:
        """Return a URL by which anybody can read a blob for some time; None where the credential cannot sign."""
        signature = self._signature(key, lasts)
        return f"{self._blobs.blob(key).url}?{signature}" if signature else None

    def _signature(self, key: str, lasts: timedelta) -> str | None:
        account_key, delegation = self._access.account_key or None, None
        if not account_key:
            delegation = None if self._access.sas_token else self._delegated(lasts)
            if delegation is None:
                return None
        blob = self._blobs.blob(key)
        return generate_blob_sas(
            self._access.account,
            blob.container_name,
            blob.blob_name,
            account_key=account_key,
            user_delegation_key=delegation,
            permission=BlobSasPermissions(read=True),
            start=datetime.now(UTC) - SKEW,
            expiry=datetime.now(UTC) + lasts,
        )

    def _delegated(self, lasts: timedelta) -> UserDelegationKey | None:
        """Return a key that signs for the credential's identity; None if that identity may not have one."""
        now = datetime.now(UTC)
        with self._lock:
            if self._delegation is None or self._delegation[1] < now + lasts:
                until = now + lasts + LASTS
                try:
                    self._delegation = self._service.get_user_delegation_key(now - SKEW, until), until
                except AzureError:
                    return None
            return self._delegation[0]

"""Signed URLs: for others to read an object, and for the service to read the source of a copy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, cast

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobSasPermissions, generate_blob_sas

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import BlobServiceClient, UserDelegationKey

    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.credentials import Access

SCOPE = "https://storage.azure.com/.default"
"""What a token is asked for (Microsoft's documentation)."""

LASTS = timedelta(hours=1)
"""How long a signature is good for."""

SKEW = timedelta(minutes=15)
"""How far another machine's clock may be off."""


class Signing:
    """What a credential can sign."""

    def __init__(self, service: BlobServiceClient, blobs: Blobs, access: Access) -> None:
        """Sign for the blobs of a container, with what there is."""
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
        """Return a key to sign with in the name of whoever we are; None where we may not have one."""
        now = datetime.now(UTC)
        with self._lock:
            if self._delegation is None or self._delegation[1] < now + lasts:
                until = now + lasts + LASTS
                try:
                    self._delegation = self._service.get_user_delegation_key(now - SKEW, until), until
                except AzureError:
                    return None
            return self._delegation[0]

"""An endpoint of Blob Storage, and as whom one speaks to it."""

from __future__ import annotations

import base64
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

from layerstore_drivers.azure.connection import clean

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_SIGNATURE = re.compile(r"(?i)([?&]sig=)[^&\s\"']+")


@dataclass(frozen=True, slots=True)
class Access:
    """An endpoint and a credential. Neither ``repr`` nor ``str`` shows the latter."""

    endpoint: str
    account: str
    credential: AzureNamedKeyCredential | AzureSasCredential | TokenCredential = field(repr=False)
    account_key: str = field(default="", repr=False)
    """The key, where there is one: it signs URLs."""
    sas_token: str = field(default="", repr=False)
    """The shared access signature, where that is the credential."""

    @classmethod
    def by_key(cls, endpoint: str, account: str, key: str) -> Self:
        """Sign with an account's key.

        Raises:
            ValueError: it is no key; the message does not show it.
        """
        key = clean(key)
        try:
            usable = base64.b64decode(key, validate=True)
        except ValueError:
            usable = b""
        if not usable:
            raise ValueError("is not an account key: it is not base64")
        return cls(endpoint, account, AzureNamedKeyCredential(account, key), account_key=key)

    @classmethod
    def by_sas(cls, endpoint: str, account: str, token: str) -> Self:
        """Send a shared access signature.

        Raises:
            ValueError: it is none; the message does not show it.
        """
        token = clean(token).lstrip("?")
        if "://" in token.partition("?")[0]:
            raise ValueError("is a URL: the shared access signature follows its question mark")
        if not parse_qs(token).get("sig"):
            raise ValueError("is not a shared access signature: it has no sig= (in a store's URL, write & as %26)")
        _keep_out_of_logs()
        return cls(endpoint, account, AzureSasCredential(token), sas_token=token)

    @classmethod
    def by_token(cls, endpoint: str, account: str, credential: TokenCredential) -> Self:
        """Send tokens that a credential of azure-identity fetches.

        Raises:
            ValueError: the endpoint is http.
        """
        if urlsplit(endpoint).scheme != "https":
            raise ValueError("gives tokens, which are sent over https only, and the endpoint is http")
        return cls(endpoint, account, credential)

    @classmethod
    def by_object(cls, endpoint: str, account: str, credential: Any) -> Self:  # noqa: ANN401  (whatever a caller gave)
        """Use a credential object of azure-core or azure-identity.

        Raises:
            ValueError: it is none, or of another account.
        """
        if isinstance(credential, AzureNamedKeyCredential):
            if credential.named_key.name != account:
                raise ValueError(f"belongs to another account, not {account!r}")
            return cls.by_key(endpoint, account, credential.named_key.key)
        if isinstance(credential, AzureSasCredential):
            return cls.by_sas(endpoint, account, credential.signature)
        if isinstance(credential, str):
            raise ValueError("is an object of azure-identity: a key goes into account_key")  # noqa: TRY004  (an option)
        return cls.by_token(endpoint, account, credential)


class _Redacted(logging.Filter):
    """Takes signatures out of a log: the HTTP client's tells every URL at level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_SIGNATURE.sub(r"\1***", a) if isinstance(a, str) else a for a in record.args)
        record.msg = _SIGNATURE.sub(r"\1***", record.msg) if isinstance(record.msg, str) else record.msg
        return True


_REDACTED = _Redacted()


def _keep_out_of_logs() -> None:
    logging.getLogger("urllib3.connectionpool").addFilter(_REDACTED)  # which adds it once

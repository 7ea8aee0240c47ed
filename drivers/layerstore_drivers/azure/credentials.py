"""Find the endpoint and the credential: in the options, or else in the variables that Azure's own tools read.

The first credential found wins; an option takes precedence over every variable:

    1. ``connection_string``   AZURE_STORAGE_CONNECTION_STRING
    2. ``account_key``         AZURE_STORAGE_KEY, AZURE_STORAGE_ACCOUNT_KEY
    3. ``sas_token``           AZURE_STORAGE_SAS_TOKEN
    4. ``credential``, any token credential of azure-identity; without one, DefaultAzureCredential

Two different options are refused. So is a malformed credential; the next one does not take its place.
Variables that are another account's (AZURE_STORAGE_ACCOUNT, or the connection string, says so) are left alone: its key
is sent nowhere else. The environment is read when a driver is opened.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

from layerstore.errors import DriverLoadError, InvalidURLError
from layerstore_drivers.azure.connection import Connection, clean, find_endpoint
from layerstore_drivers.azure.options import EMULATOR_ACCOUNT, EMULATOR_KEY, Address

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from layerstore.url import StoreURL


CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
ACCOUNT = "AZURE_STORAGE_ACCOUNT"
KEYS = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY")
SAS = "AZURE_STORAGE_SAS_TOKEN"

__all__ = ["EMULATOR_KEY", "Access", "find_access"]

_TEXTS = {"connection_string", "account_key", "sas_token", "endpoint"}
"""Options that are texts."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """A credential, and where it was found."""

    where: str
    kind: str
    """``key``, ``sas``, ``object``, or ``default`` for DefaultAzureCredential."""
    value: Any = field(default=None, repr=False)


def find_access(url: StoreURL, address: Address, options: Mapping[str, Any], environment: Mapping[str, str]) -> Access:
    """Find out how to speak to an account.

    Raises:
        InvalidURLError: an option or a variable makes no sense, a connection string is another account's, or two
            options differ. The message names them, and shows nothing of their values.
        DriverLoadError: only azure-identity could find a credential, and it is not installed.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in _TEXTS & given.keys():
        if not clean(str(given[name])):
            raise InvalidURLError(str(url), f"option {name} is empty")
    connection = _connection(url, address, given, environment)
    endpoint = find_endpoint(url, address, given, connection, environment)
    by_option = list(_by_option(given, connection))
    _check_agreement(url, by_option)
    by_variable = _by_variable(address, None if "connection_string" in given else connection, environment)
    offer = next(chain(by_option, by_variable))
    try:
        return _access(url, address, endpoint, offer)
    except ValueError as error:
        raise InvalidURLError(str(url), f"{offer.where} {error}") from None


def _connection(
    url: StoreURL, address: Address, given: Mapping[str, Any], environment: Mapping[str, str]
) -> Connection | None:
    """Read the connection string, of an option or else the variable; None where there is none of this account."""
    if "connection_string" in given:
        found = _parsed(url, "option connection_string", str(given["connection_string"]))
        if found.account not in {"", address.account}:
            raise InvalidURLError(
                str(url), f"the connection string belongs to another account, not {address.account!r}"
            )
        return found
    text = environment.get(CONNECTION, "")
    if not clean(text):
        return None
    explicit = bool(given.keys() & {"account_key", "sas_token", "credential"})
    try:
        found = _parsed(url, f"variable {CONNECTION}", text)
    except InvalidURLError:
        if explicit:
            return None  # at most its endpoint would have counted
        raise
    # A string without an account is taken for the URL's account, unless an option gives an endpoint or a credential.
    unsaid = "" if explicit or "endpoint" in given else _named(environment) or address.account
    return found if (found.account or unsaid) == address.account else None


def _parsed(url: StoreURL, where: str, text: str) -> Connection:
    try:
        return Connection.parse(text)
    except ValueError as error:
        raise InvalidURLError(str(url), f"{where} is not a connection string: {error}") from None


def _by_option(given: Mapping[str, Any], connection: Connection | None) -> Iterator[_Offer]:
    if connection is not None and "connection_string" in given:
        yield from _in_connection("option connection_string", connection)
    if "account_key" in given:
        yield _Offer("option account_key", "key", clean(str(given["account_key"])))
    if "sas_token" in given:
        yield _Offer("option sas_token", "sas", clean(str(given["sas_token"])))
    if "credential" in given:
        yield _Offer("option credential", "object", given["credential"])


def _by_variable(address: Address, connection: Connection | None, environment: Mapping[str, str]) -> Iterator[_Offer]:
    if connection is not None:
        yield from _in_connection(f"variable {CONNECTION}", connection)
    if _named(environment) in {"", address.account}:
        kinds = {**dict.fromkeys(KEYS, "key"), SAS: "sas"}
        yield from (
            _Offer(f"variable {name}", kind, environment[name])
            for name, kind in kinds.items()
            if clean(environment.get(name, ""))
        )
    if address.account == EMULATOR_ACCOUNT:
        yield _Offer("the emulator's key", "key", EMULATOR_KEY)
    yield _Offer("DefaultAzureCredential", "default")


def _named(environment: Mapping[str, str]) -> str:
    """Return the account that the variables say they are of; empty if they do not."""
    return clean(environment.get(ACCOUNT, "")).lower()


def _in_connection(where: str, connection: Connection) -> Iterator[_Offer]:
    if connection.key:
        yield _Offer(f"AccountKey of {where}", "key", connection.key)
    elif connection.sas_token:
        yield _Offer(f"SharedAccessSignature of {where}", "sas", connection.sas_token)


def _check_agreement(url: StoreURL, offers: list[_Offer]) -> None:
    """Refuse two credentials, unless both are the same."""
    for one, other in pairwise(offers):
        if (one.kind, one.value) != (other.kind, other.value):
            raise InvalidURLError(str(url), f"{one.where} and {other.where} are two credentials: give one of them")


def _access(url: StoreURL, address: Address, endpoint: str, offer: _Offer) -> Access:
    if offer.kind == "key":
        return Access.by_key(endpoint, address.account, offer.value)
    if offer.kind == "sas":
        return Access.by_sas(endpoint, address.account, offer.value)
    if offer.kind == "default":
        return Access.by_token(endpoint, address.account, _default(url))
    return Access.by_object(endpoint, address.account, offer.value)


def _default(url: StoreURL) -> TokenCredential:
    try:
        from azure.identity import DefaultAzureCredential
    except ModuleNotFoundError as error:
        hint = "no credential is given, and azure-identity, which may find one, is not installed"
        raise DriverLoadError(url.scheme, "layerstore", f"{hint}; run: pip install 'layerstore[azure]'") from error
    return DefaultAzureCredential()


_SIGNATURE = re.compile(r"(?i)([?&]sig=)[^&\s\"']+")


@dataclass(frozen=True, slots=True)
class Access:
    """An endpoint and a credential. Neither ``repr`` nor ``str`` shows the credential."""

    endpoint: str
    account: str
    credential: AzureNamedKeyCredential | AzureSasCredential | TokenCredential = field(repr=False)
    account_key: str = field(default="", repr=False)
    """The key, where there is one: it signs URLs."""
    sas_token: str = field(default="", repr=False)
    """The shared access signature, if it is the credential."""

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
    """Takes signatures out of a log: the HTTP client logs every URL at level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_SIGNATURE.sub(r"\1***", a) if isinstance(a, str) else a for a in record.args)
        record.msg = _SIGNATURE.sub(r"\1***", record.msg) if isinstance(record.msg, str) else record.msg
        return True


_REDACTED = _Redacted()


def _keep_out_of_logs() -> None:
    logging.getLogger("urllib3.connectionpool").addFilter(_REDACTED)  # which adds it once

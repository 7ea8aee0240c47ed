"""Where an account's blob service is: an option, a connection string, the emulator's place, or a cloud's host name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerstore.errors import InvalidURLError
from layerstore_drivers.azure.address import EMULATOR_ACCOUNT, EMULATOR_ENDPOINT, Address
from layerstore_drivers.azure.connection import Connection, check_endpoint, check_suffix

if TYPE_CHECKING:
    from layerstore.url import StoreURL

SUFFIX = "AZURE_STORAGE_ENDPOINT_SUFFIX"
PUBLIC = "core.windows.net"
"""The suffix of the public cloud's host names."""


def find_endpoint(
    url: StoreURL,
    address: Address,
    given: Mapping[str, Any],
    connection: Connection | None,
    environment: Mapping[str, str],
) -> str:
    """Find out where an account is.

    Raises:
        InvalidURLError: the endpoint found is none, or an option and a connection string differ.
    """
    option = _checked(url, str(given.get("endpoint", "")))
    named = connection.endpoint if connection else ""
    if option and named and option != named and "connection_string" in given:
        raise InvalidURLError(str(url), "option endpoint and BlobEndpoint of option connection_string differ: give one")
    if option or named:
        return option or named
    if address.account == EMULATOR_ACCOUNT:
        return EMULATOR_ENDPOINT
    protocol, suffix = (connection.protocol, connection.suffix) if connection else ("https", "")
    return f"{protocol}://{address.account}.blob.{suffix or _suffix(url, environment)}"


def _suffix(url: StoreURL, environment: Mapping[str, str]) -> str:
    try:
        return check_suffix(environment.get(SUFFIX, "")) or PUBLIC
    except ValueError as error:
        raise InvalidURLError(str(url), f"variable {SUFFIX} {error}") from None


def _checked(url: StoreURL, text: str) -> str:
    try:
        return check_endpoint(text)
    except ValueError as error:
        raise InvalidURLError(str(url), f"option endpoint {error}") from None

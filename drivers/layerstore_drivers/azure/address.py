"""Where a URL points: which account, at which endpoint, which container, and below which prefix.

azure://ACCOUNT/CONTAINER[/PREFIX]
azure+emulator://CONTAINER[/PREFIX]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from layerstore.errors import InvalidPathError, InvalidURLError
from layerstore.keys import check_prefix

if TYPE_CHECKING:
    from layerstore.url import StoreURL

EMULATOR = "azure+emulator"
"""The scheme that is short for the emulator's account."""

EMULATOR_ACCOUNT = "devstoreaccount1"
EMULATOR_ENDPOINT = f"http://127.0.0.1:10000/{EMULATOR_ACCOUNT}"

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}\Z")
_CONTAINER = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*\Z|\$root\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """A container in an account, and a prefix in it."""

    account: str
    container: str
    prefix: str
    """Empty, or with a slash at its end."""

    @classmethod
    def of(cls, url: StoreURL) -> Self:
        """Read a URL.

        Raises:
            InvalidURLError: no account, no container, or names that neither has.
        """
        path = url.path.strip("/")
        if url.scheme == EMULATOR:
            account, container, prefix = EMULATOR_ACCOUNT, url.host or "", path
        else:
            account, (container, _, prefix) = url.host or "", path.partition("/")
        if not _ACCOUNT.match(account):
            raise InvalidURLError(str(url), "no account: azure://ACCOUNT/CONTAINER[/PREFIX], 3 to 24 of [a-z0-9]")
        if not _CONTAINER.match(container):
            raise InvalidURLError(str(url), "no container: 3 to 63 of [a-z0-9-]")
        _check(prefix, url)
        return cls(account, container, f"{prefix}/" if prefix else "")


def _check(prefix: str, url: StoreURL) -> None:
    try:
        check_prefix(prefix)
    except InvalidPathError as error:
        raise InvalidURLError(str(url), f"the prefix is no key: {error.detail}") from error

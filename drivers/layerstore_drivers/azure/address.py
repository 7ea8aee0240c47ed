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

EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""No secret: every emulator's, in Microsoft's documentation."""

ROOT = "$root"
"""The container whose blobs have no slash in their names (Microsoft's documentation)."""

SYSTEM = (ROOT, "$web", "$logs", "$blobchangefeed")
"""The containers whose names begin with a dollar."""


@dataclass(frozen=True, slots=True)
class Address:
    """A container in an account, and a prefix in it."""

    account: str
    container: str
    prefix: str
    """Empty, or with a slash at its end."""

    @classmethod
    def of(cls, url: StoreURL, *, leading_slash: bool = False) -> Self:
        """Read a URL; with ``leading_slash``, every blob's name begins with a slash.

        Raises:
            InvalidURLError: no account, no container, or names that neither may have.
        """
        path = url.path.strip("/")
        if url.scheme == EMULATOR:
            account, container, prefix = EMULATOR_ACCOUNT, url.host or "", path
        else:
            account, (container, _, prefix) = url.host or "", path.partition("/")
        if wrong := _wrong_account(account) or _wrong_container(container):
            raise InvalidURLError(str(url), wrong)
        _check(prefix, url)
        return cls(account, container, f"{'/' if leading_slash else ''}{prefix}{'/' if prefix else ''}")


def _wrong_account(name: str) -> str:
    """Return why no account has this name; empty if one may."""
    if not name:
        return "no account: azure://ACCOUNT/CONTAINER[/PREFIX]"
    if "." in name or ":" in name:
        return f"account name {name!r} is a host: give the name alone, and a host of its own as the option endpoint"
    return _wrong(f"account name {name!r}", name, 24, "a-z and 0-9", r"[^a-z0-9]")


def _wrong_container(name: str) -> str:
    """Return why no container has this name; empty if one may."""
    if not name:
        return "no container: azure://ACCOUNT/CONTAINER[/PREFIX]; a shell needs single quotes around $web"
    if name in SYSTEM:
        return ""
    shown = f"container name {name!r}"
    if name.startswith("$"):
        return f"{shown} is none of {', '.join(SYSTEM)}, which alone begin with $"
    if wrong := _wrong(shown, name, 63, "a-z, 0-9 and -", r"[^a-z0-9-]"):
        return wrong
    if "--" in name:
        return f"{shown} has two hyphens in a row"
    return f"{shown} begins or ends with a hyphen" if name.strip("-") != name else ""


def _wrong(shown: str, name: str, most: int, allowed: str, others: str) -> str:
    if not 3 <= len(name) <= most:
        return f"{shown} is too {'short' if len(name) < 3 else 'long'}: 3 to {most} characters"
    other = re.search(others, name)
    return f"{shown} has the character {other[0]!r}: {allowed} are allowed" if other else ""


def _check(prefix: str, url: StoreURL) -> None:
    try:
        check_prefix(prefix)
    except InvalidPathError as error:
        raise InvalidURLError(str(url), f"the prefix is no key: {error.detail}") from error

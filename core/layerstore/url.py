"""Store URLs: which driver to open, and which store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self
from urllib.parse import quote, unquote_to_bytes

from layerstore.errors import InvalidURLError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAYBE_SECRET = re.compile(r"[?#&=;:]|%(?:3f|23|26|3d|3b|3a)", re.IGNORECASE)
"""What may come before a secret, escaped or not: of a query, a password, or a connection string in place of a URL."""

_PATH_SAFE = "/:@!$&'()*+,;=~"
"""Characters that a path may hold unescaped by RFC 3986 section 3.3, beside letters, digits and ``-._``."""


@dataclass(frozen=True, slots=True)
class StoreURL:
    """A parsed URL: ``scheme:path``, ``scheme:///absolute/path`` or ``scheme://host/path``, and ``?option=value`` (O1).

    Neither ``str`` nor ``repr`` shows the options: a credential may be among them.

    >>> url = StoreURL.parse("azure://account/container/some%20prefix?timeout=5")
    >>> url.host, url.path, url.options["timeout"]
    ('account', '/container/some prefix', '5')
    >>> str(url)
    'azure://account/container/some%20prefix'
    """

    scheme: str
    """In lower case; may hold ``+``, ``.`` and ``-``."""

    host: str | None = None
    """The text between ``//`` and the next slash, with the port, in the case given; None if there is none."""

    path: str = ""
    """Percent-decoded. After a host it is empty or begins with a slash."""

    options: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Read-only and percent-decoded. A ``+`` is a plus, as in base64, and no space."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL.

        Raises:
            InvalidURLError: there is no scheme; or there is a fragment, a user name or password, a host that is not
                valid, a bad percent escape, a control character, text that is not UTF-8, an option without a name or
                value, or an option given twice. The error holds only those parts of the text that cannot hold a
                credential (clause E3).
        """
        try:
            return cls(*_split(text))
        except ValueError as error:
            # From None: the cause of an undecodable text has all of that text in its fields.
            raise InvalidURLError(_redacted(text), _reason(error)) from None

    def __str__(self) -> str:
        absolute = self.host is not None or self.path.startswith("/")
        authority = f"//{self.host or ''}" if absolute else ""
        return f"{self.scheme}:{authority}{quote(self.path, safe=_PATH_SAFE)}"

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle the options as a dict: a read-only view of one does not pickle."""
        return type(self), (self.scheme, self.host, self.path, dict(self.options))


def _split(text: str) -> tuple[str, str | None, str, dict[str, str]]:
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.match(scheme):
        raise ValueError("expected scheme:path or scheme://host/path")
    if "#" in rest:
        raise ValueError("a fragment means nothing here; write # as %23")
    rest, _, query = rest.partition("?")
    host = None
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        host, rest = _host(authority), slash + path
    return scheme.lower(), host, _decoded(rest), _options(query)


def _host(text: str) -> str | None:
    if "@" in text:
        raise ValueError("a user name or password does not belong in a URL")
    if text and not _HOST.match(text):
        raise ValueError("the host has characters that no host name has")
    return text or None


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise ValueError("options are name=value, joined by &")
        name = _decoded(name)
        if name in options:
            raise ValueError(f"option {name!r} is given twice")
        options[name] = _decoded(value)
    return options


def _decoded(text: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise ValueError("% is not followed by two hexadecimal digits; write it as %25")
    decoded = unquote_to_bytes(text).decode("utf-8")
    if _CONTROL.search(decoded):
        raise ValueError("a control character")
    return decoded


def _reason(error: ValueError) -> str:
    return "not UTF-8" if isinstance(error, UnicodeError) else str(error)


def _redacted(text: str) -> str:
    """Return the part of a URL that cannot hold a credential; if there is an @, only the scheme."""
    scheme, colon, rest = text.partition(":")
    known, rest = (scheme + colon, rest) if colon and _SCHEME.match(scheme) else ("", text)
    if "@" in text or "%40" in text:
        return f"{known}***"
    shown, *hidden = _MAYBE_SECRET.split(rest, maxsplit=1)
    return f"{known}{shown}..." if hidden else text

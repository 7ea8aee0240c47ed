"""Where a URL points: which filesystem, and which directory of it.

pyfs+mem://NAME             pyfs+temp://NAME          one for the whole process; without a name, a new one
pyfs+osfs:///PATH
pyfs+ftp://HOST[:PORT]/DIR?user=USER&password=PASSWORD
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from layerstore.errors import InvalidURLError

if TYPE_CHECKING:
    from layerstore.url import StoreURL

HELP = {
    "user": "of the FTP server; else anonymous",
    "password": "of the FTP user",
    "timeout": "seconds that the FTP server may be silent, 10 unless given",
}
"""Each option, and what it is."""

FTP_PORT = 21


@dataclass(frozen=True, slots=True)
class Address:
    """A directory of a filesystem. Two drivers on equal addresses have one store; the repr shows no password."""

    kind: str
    """``mem``, ``temp``, ``osfs`` or ``ftp``."""

    name: str = ""
    """Of a filesystem of the process's; empty for a new one, which equals no other."""

    root: str = ""
    """The directory, absolute, without a slash at its end."""

    host: str = ""
    port: int = FTP_PORT
    user: str = "anonymous"
    password: str = field(default="", repr=False)
    timeout: int = 10
    """Seconds."""

    @property
    def is_shared(self) -> bool:
        """Whether another driver on the same URL has the same store."""
        return bool(self.name or self.root or self.host)

    @classmethod
    def of(cls, url: StoreURL, given: Mapping[str, Any]) -> Self:
        """Read a URL and its options.

        Raises:
            InvalidURLError: a filesystem that is none of the four, a part it does not have, or lacks.
        """
        kind = url.scheme.partition("+")[2]
        if kind == "ftp":
            return cls._of_server(url, given)
        if given:
            raise InvalidURLError(str(url), f"{min(given)} is an option of pyfs+ftp alone")
        if kind == "osfs":
            return cls._of_path(url)
        if kind in {"mem", "temp"}:
            return cls._of_name(kind, url)
        raise InvalidURLError(str(url), "expected pyfs+mem, pyfs+temp, pyfs+osfs or pyfs+ftp")

    @classmethod
    def _of_name(cls, kind: str, url: StoreURL) -> Self:
        if url.path:
            raise InvalidURLError(str(url), f"expected pyfs+{kind}://NAME, or pyfs+{kind}: for a store of its own")
        return cls(kind, url.host or "")

    @classmethod
    def _of_path(cls, url: StoreURL) -> Self:
        if url.host or not url.path.startswith("/"):
            raise InvalidURLError(str(url), "expected pyfs+osfs:///absolute/path")
        return cls("osfs", root=os.path.normpath(url.path))

    @classmethod
    def _of_server(cls, url: StoreURL, given: Mapping[str, Any]) -> Self:
        try:
            server = urlsplit(f"//{url.host or ''}")
            host, port = server.hostname, server.port or FTP_PORT
        except ValueError:
            host, port = None, 0
        if not host:
            raise InvalidURLError(str(url), "expected pyfs+ftp://HOST[:PORT]/DIRECTORY")
        root = "".join(f"/{segment}" for segment in url.path.split("/") if segment)
        user, password = (_line(url, given, *default) for default in (("user", "anonymous"), ("password", "")))
        return cls("ftp", "", root, host, port, user, password, _seconds(url, given))


def _line(url: StoreURL, given: Mapping[str, Any], name: str, default: str) -> str:
    text = str(given.get(name, default))
    if "\r" in text or "\n" in text:
        raise InvalidURLError(str(url), f"{name} has a line break")
    return text


def _seconds(url: StoreURL, given: Mapping[str, Any]) -> int:
    try:
        seconds = int(given.get("timeout", 10))
    except (TypeError, ValueError):
        seconds = 0
    if seconds < 1:
        raise InvalidURLError(str(url), "timeout is a whole number of seconds, at least 1")
    return seconds

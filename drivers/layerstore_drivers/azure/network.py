"""Why there was no answer, in words that hold nothing of the request but the host that it was for."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

E = TypeVar("E", bound=BaseException)

DEEP = 8
"""Layers of an HTTP client, at most."""

_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: (\d{3})")


def reason(error: BaseException) -> str:
    """Say why a request got no answer, and what to do where that is known."""
    links = list(_chain(error))
    host = _host(links)
    tellers = (_proxy, _lookup, _tls, _time, _number)
    found = next(filter(None, (tell(links, host) for tell in tellers)), "")
    return found or f"no answer from {host} ({type(error).__name__})"


def is_lookup(error: BaseException) -> bool:
    """Tell whether a host's name was not found."""
    return _first(error, socket.gaierror) is not None


def is_hopeless(error: BaseException) -> bool:
    """Tell whether the same would come of another attempt: a certificate is not trusted, or a URL is malformed."""
    kinds = (ssl.SSLCertVerificationError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
    return any(_first(error, kind) is not None for kind in kinds)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and what caused it."""
    for _ in range(DEEP):
        if error is None:
            return
        yield error
        inner = [getattr(error, each, None) for each in ("inner_exception", "reason", "__cause__", "__context__")]
        error = next((each for each in (*inner, *error.args) if isinstance(each, BaseException)), None)


def _first(error: BaseException, kind: type[E]) -> E | None:
    return _among(list(_chain(error)), kind)


def _among(links: Sequence[BaseException], kind: type[E]) -> E | None:
    return next((each for each in links if isinstance(each, kind)), None)


def _host(links: Sequence[BaseException]) -> str:
    """Return the host that was asked, and its port if that is an unusual one."""
    failed = _among(links, requests.RequestException)
    url = urlsplit(str(getattr(getattr(failed, "request", None), "url", "")))
    if not url.hostname:
        return "the service"
    return f"{url.hostname}:{url.port}" if url.port else url.hostname


def _proxy(links: Sequence[BaseException], host: str) -> str:
    variables = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
    if _among(links, requests.exceptions.InvalidSchema):
        return f"a proxy of this kind ({variables}) takes another package: pip install 'requests[socks]'"
    if _among(links, requests.exceptions.InvalidURL):
        return f"the proxy's URL ({variables}) is malformed"
    if not _among(links, urllib3.exceptions.ProxyError):
        return ""
    cause = links[-1]
    refused = _REFUSED_BY_PROXY.search(str(cause))
    why = f"HTTP {refused[1]}" if refused else _tls(links, "the proxy") or _number(links, "") or "no answer"
    made = getattr(_among(links, urllib3.exceptions.NewConnectionError), "conn", None)
    proxy = f" {made.host}:{made.port}" if made else ""
    if is_lookup(cause):
        why = "its name does not resolve"
    return f"the proxy{proxy} ({variables}) does not lead to {host}: {why}; NO_PROXY names hosts that need none"


def _lookup(links: Sequence[BaseException], host: str) -> str:
    failed = _among(links, socket.gaierror)
    if failed is None:
        return ""
    advice = "check the account's name, the endpoint, and this machine's network"
    return f"the host name {host} does not resolve ({failed.strerror}): {advice}"


def _tls(links: Sequence[BaseException], host: str) -> str:
    failed = _among(links, ssl.SSLError)
    if failed is None:
        return ""
    if isinstance(failed, ssl.SSLCertVerificationError):
        advice = "REQUESTS_CA_BUNDLE names a file of other authorities"
        return f"the TLS certificate of {host} is not trusted: {failed.verify_message}; {advice}"
    why = (failed.reason or "no reason given").replace("_", " ").lower()
    return f"no TLS with {host}: {why}; check the endpoint, and whether it is http or https"


def _time(links: Sequence[BaseException], host: str) -> str:
    if _among(links, requests.exceptions.ConnectTimeout):
        return f"no connection to {host} in time: check the endpoint and the network, or raise the option timeout"
    if _among(links, requests.exceptions.ReadTimeout):
        return f"no answer from {host} in time: the option timeout says how many seconds it may be silent"
    return ""


def _number(links: Sequence[BaseException], host: str) -> str:
    numbers = (each.errno for each in links if isinstance(each, OSError))
    number = next((each for each in numbers if each in errno.errorcode), None)
    if number is None:
        return ""
    return f"{host}: {os.strerror(number)}" if host else os.strerror(number)

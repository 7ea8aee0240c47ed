"""The server: gunicorn carries the application, in as many processes as are asked for."""

from __future__ import annotations

import ipaddress
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.util import parse_address

from layerstore import BackendUnavailableError, LayerService, layout
from layerstore_registry.serving.accesslog import AccessLog
from layerstore_registry.serving.worker import Impatience, PatientWorker

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MAX_LINE = 8190
"""The longest request line, in bytes: a name, ten tags of 128 characters, and some room."""

MAX_FIELD = 16 << 10
"""The longest header, in bytes: a token that lists many repositories."""


HUNG: Final = 120
"""Seconds after which a worker that does not even wait for connections is killed: it is not at fault of any client."""

DESCRIPTORS: Final = 1 << 16
"""Descriptors that a process asks for, if it may have more than it was given: a connection takes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The settings of the server."""

    listen: tuple[str, ...] = ("127.0.0.1:5000",)
    workers: int = 1
    threads: int = 32
    connections: int = 10_000
    """Connections that one worker has open at a time, with a request or without one."""
    timeout: int = 60
    """Seconds that a client may be silent in the middle of a request."""
    keepalive: int = 75
    """Seconds that a connection is kept without a request."""
    graceful: int = 60
    """Seconds that requests may take to end after the server was asked to stop."""
    tls_cert: str | None = None
    tls_key: str | None = None
    access_log: str = "off"
    """``off``, ``common`` or ``json``."""
    debug: bool = False

    @property
    def scheme(self) -> str:
        """The beginning of the server's addresses."""
        return "https" if self.tls_cert else "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What is done at each turn of a server's life."""

    load: Callable[[], WSGIApplication]
    """Makes the application, in each worker."""
    unload: Callable[[], None]
    """Puts away what it has, in each worker."""
    started: Callable[[list[str]], None]
    """Learns the addresses."""
    renew: Callable[[], None]
    """Reads anew what may have changed, for a SIGHUP, before the workers are replaced."""
    gone: Callable[[int], None]
    """Learns which worker has ended, however it did."""


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn with settings from here only: it reads no files and no environment of its own."""

    def __init__(self, serving: Serving, hooks: Hooks) -> None:
        """Carry an application."""
        self._serving = serving
        self._hooks = hooks
        super().__init__()

    def load_config(self) -> None:
        """Set all settings. It is called once more for a reload."""
        for name, value in self._settings().items():
            self.cfg.set(name, value)
        if not self._serving.debug:
            logging.getLogger("gunicorn.error").addFilter(Impatience())

    def run(self) -> None:
        """Serve until stopped, with as many descriptors as may be had."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        super().run()

    def reload(self) -> None:
        """Read again whatever may have changed."""
        self._hooks.renew()
        super().reload()

    def load(self) -> WSGIApplication:
        """Make the application, in a worker."""
        return self._hooks.load()

    def _settings(self) -> Mapping[str, Any]:
        serving = self._serving
        return {
            "bind": list(serving.listen),
            "workers": serving.workers,
            "threads": serving.threads,
            "worker_class": type("Worker", (PatientWorker,), {"patience": serving.timeout}),
            "worker_connections": serving.connections + 1,  # at which gunicorn would let nobody in
            "timeout": HUNG,
            "keepalive": serving.keepalive,
            "graceful_timeout": serving.graceful,
            "certfile": serving.tls_cert,
            "keyfile": serving.tls_key,
            "ssl_context": _one_context(),
            "limit_request_line": MAX_LINE,
            "limit_request_field_size": MAX_FIELD,
            "forwarded_allow_ips": "",  # nobody says for somebody else who is asking, or for what
            "forwarder_headers": "",
            "secure_scheme_headers": {},
            "http_parser": "python",  # the one whose limits and refusals the tests are of
            "control_socket_disable": True,
            "umask": 0o007,  # of a socket that is a file: for its owner, and a group that a proxy may be of
            "logger_class": AccessLog,
            "loglevel": "debug" if serving.debug else "warning",
            "accesslog": None if serving.access_log == "off" else "-",
            "access_log_format": serving.access_log,
            "when_ready": lambda arbiter: self._hooks.started(addresses(serving.scheme, arbiter.LISTENERS)),
            "post_fork": lambda arbiter, worker: signal.signal(signal.SIGTERM, _end),
            "worker_exit": lambda arbiter, worker: self._hooks.unload(),
            "child_exit": lambda arbiter, worker: self._hooks.gone(worker.pid),
        }


def _one_context() -> Callable[[Any, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    """Return what makes one TLS context for all connections: gunicorn reads the certificate for each of them."""
    made: list[ssl.SSLContext] = []

    def context(settings: object, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        del settings
        if not made:
            made.append(make())
        return made[0]

    return context


def _end(number: int, frame: object) -> NoReturn:
    """End a worker that gets a signal while it starts: the handler that its parent has left would not end it."""
    del number, frame
    sys.exit(0)


def addresses(scheme: str, listeners: Iterable[Any]) -> list[str]:
    """Return the addresses at which a server can be reached."""
    found = []
    for listener in listeners:
        name = listener.sock.getsockname()
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        found.append(f"unix:{name}" if isinstance(name, str) else f"{scheme}://{host}:{name[1]}")
    return found


def is_loopback(listen: str) -> bool:
    """Return whether only this machine reaches an address: ``HOST:PORT``, ``[HOST]:PORT`` or ``unix:PATH``."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_free(listen: str) -> None:
    """Refuse an address that cannot be had: gunicorn tries for seconds, and says so at length.

    Raises:
        OSError: it is in use, or is none of this machine's.
    """
    address = parse_address(listen)
    if not isinstance(address, tuple) or {"LISTEN_FDS", "GUNICORN_FD"} & set(os.environ):  # then it is had already
        return
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen()


def certificate(serving: Serving) -> None:
    """Load certificate and key, if there are any, to check them.

    Raises:
        OSError: they are not valid.
    """
    if serving.tls_cert:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(serving.tls_cert, serving.tls_key)


def prepare(service: LayerService, *, read_only: bool) -> None:
    """Check a store. Create it if nothing was ever stored in it: otherwise it would be unavailable, and not empty.

    Raises:
        LayerStoreError: it cannot be read; or it is read-only here, and does not exist.
    """
    try:
        next(service.driver.list(layout.REPOSITORIES), None)
    except BackendUnavailableError:
        if read_only:
            raise
        service.driver.put(f"{layout.OURS}/serve", b"")
        service.driver.delete(f"{layout.OURS}/serve")
        next(service.driver.list(layout.REPOSITORIES), None)

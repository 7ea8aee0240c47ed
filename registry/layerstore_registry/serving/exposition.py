"""Where Prometheus asks: an address of its own, at which any worker answers for all.

The address is taken before the workers are forked. Each counts in files of a directory that all of them have, also what
those counted that have ended; one that is busy with requests answers all the same, in a thread of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from prometheus_client import Metric

    from layerstore_registry.messages.metrics import Metrics

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus-client learns, when it is imported, that several processes count."""

BACKLOG: Final = 16


class Exposition:
    """An address, and a directory of counts."""

    def __init__(self, host: str, port: int) -> None:
        """Take the address.

        Raises:
            OSError: it cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._socket.settimeout(0)  # of all workers that are woken up one has the connection
        self._owner = os.getpid()
        self._folder = tempfile.mkdtemp(prefix="layerstore-metrics-")
        os.environ[VARIABLE] = self._folder
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    def begin(self) -> Metrics:
        """Count in this process, and answer for all."""
        from layerstore_registry.messages.metrics import (
            Metrics,  # its library looks for the directory when it is imported
        )

        metrics = Metrics()
        threading.Thread(target=_Server(self._socket, self._folder).serve_forever, name="metrics", daemon=True).start()
        return metrics

    def forget(self, process: int) -> None:
        """Have what a process that has ended had under way be under way no more."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(process, self._folder)  # type: ignore[no-untyped-call]  # the library's

    def close(self) -> None:
        """Give back both; a worker leaves them to the others."""
        if os.getpid() == self._owner:
            self._socket.close()
            shutil.rmtree(self._folder, ignore_errors=True)


class _Server(WSGIServer):
    """Answers one connection after the other on a socket that others have, too."""

    def __init__(self, listener: socket.socket, folder: str) -> None:
        from prometheus_client import CollectorRegistry, make_wsgi_app
        from prometheus_client.multiprocess import MultiProcessCollector

        class Collector(MultiProcessCollector):
            """Passes over a file that a worker is just making: it is empty for a moment, and cannot be read."""

            def collect(self) -> Iterable[Metric]:
                files = [each.path for each in os.scandir(folder) if each.name.endswith(".db") and _has_begun(each)]
                return cast("Iterable[Metric]", self.merge(files, accumulate=True))  # type: ignore[no-untyped-call]

        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        registry = CollectorRegistry()
        Collector(registry)  # type: ignore[no-untyped-call]  # the library's
        self.set_app(make_wsgi_app(registry))


def _has_begun(file: os.DirEntry[str]) -> bool:
    with suppress(FileNotFoundError):
        return file.stat().st_size > 0
    return False


class _Handler(WSGIRequestHandler):
    """Waits for nobody long, and writes no log."""

    timeout = 5

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
        """Write nothing."""

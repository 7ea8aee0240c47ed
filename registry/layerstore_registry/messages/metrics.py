"""What is counted for Prometheus.

Nothing that a client may choose is a label: a method that is not served is ``other``, and no label names a repository.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"))
BUCKETS: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0)
"""Seconds: from a small manifest to a large layer."""

_PREFIX: Final = "layerstore_registry"


class Metrics:
    """Counts of one process; where several count, they do so in files, and whoever asks adds them up."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Begin at nothing; ``registry`` collects what is counted in this process alone."""
        labels = ("method", "endpoint", "status")
        self._requests = Counter(f"{_PREFIX}_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "Seconds from the head of a request to the last byte of its answer.",
            labels[:2],
            registry=registry,
            buckets=BUCKETS,
        )
        self._received = Counter(f"{_PREFIX}_received_bytes", "Bytes of bodies received.", registry=registry)
        self._sent = Counter(f"{_PREFIX}_sent_bytes", "Bytes of bodies sent.", registry=registry)
        self._failed = Counter(
            f"{_PREFIX}_failed_logins", "Requests of somebody who is not who they say.", registry=registry
        )
        self._under_way = Gauge(
            f"{_PREFIX}_uploads_under_way",
            "Requests that send to an upload at this moment.",
            registry=registry,
            multiprocess_mode="livesum",  # what a process that was killed had under way is not under way any more
        )

    def answered(self, method: str, endpoint: str, status: int, *, received: int, sent: int, seconds: float) -> None:
        """Count a request that was answered, as far as its answer could be sent; ``received`` and ``sent`` in bytes."""
        method = method if method in METHODS else "other"
        self._requests.labels(method, endpoint, status).inc()
        self._seconds.labels(method, endpoint).observe(seconds)
        self._received.inc(received)
        self._sent.inc(sent)

    def login_failed(self) -> None:
        """Count somebody who is not who they say."""
        self._failed.inc()

    def uploading(self) -> AbstractContextManager[object]:
        """Count a request as under way until the end of the block."""
        return self._under_way.track_inprogress()

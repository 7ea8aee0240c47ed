"""Give this process less of something, or more, for a while, as ``ulimit`` does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MANY: Final = 20_000
"""Descriptors, where there is no bound."""


@contextmanager
def limited(name: str, limit: int) -> Iterator[None]:
    """Have another limit for the block, named as in :mod:`resource`, which not every system has."""
    import resource

    kind = getattr(resource, name)
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


@contextmanager
def as_many_descriptors_as_may_be() -> Iterator[int]:
    """Let this process open as many descriptors as it may, for the block; yield how many."""
    try:
        import resource
    except ImportError:
        yield MANY
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(soft, MANY if hard == resource.RLIM_INFINITY else min(hard, MANY))
    with limited("RLIMIT_NOFILE", most):
        yield most

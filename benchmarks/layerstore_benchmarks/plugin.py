"""The pytest plugin: two options. It is imported in every pytest run of everybody who has layerstore installed."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; the store is that of ``--layerstore-url``."""
    group = parser.getgroup("layerstore-bench", "layerstore's benchmarks")
    group.addoption(
        "--layerstore-size", metavar="SIZE", default="16MiB", help="size of the largest layer; by default 16MiB"
    )
    group.addoption("--layerstore-write-size", metavar="SIZE", default="1MiB", help="size of a write; by default 1MiB")

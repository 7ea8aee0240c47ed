"""A store of a test's own, and the ways to look at it and to meddle with it; and another backend of hashes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import layerstore
from layerstore import LayerService, open_driver, sha256
from layerstore.checked import CheckedDriver
from layerstore_conformance.watching import Trap


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a store of the test's own."""
    return f"memory://{tmp_path.name}"


@pytest.fixture
def trap() -> Trap:
    """Lie in wait before a call."""
    return Trap()


@pytest.fixture
def other(url: str) -> LayerService:
    """Open it for somebody else."""
    return layerstore.open(url)


@pytest.fixture
def raw(url: str) -> CheckedDriver:
    """Open the side door."""
    return open_driver(url)


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set ``LAYERSTORE_HASH`` and forget the backend, as a new process would have it."""

    def choose(value: str) -> None:
        monkeypatch.setenv("LAYERSTORE_HASH", value)
        sha256._backend.cache_clear()

    yield choose
    sha256._backend.cache_clear()

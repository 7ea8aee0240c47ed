"""A store of a test's own, and the ways to look at it and to meddle with it."""

from pathlib import Path

import pytest

import layerstore
from layerstore import LayerService, open_driver
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

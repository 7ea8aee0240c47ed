"""A service of a test's own that writes down what it is asked, and a store in it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# A module that several test files share: in importlib mode pytest leaves sys.path alone.
if str(Path(__file__).parent) not in sys.path:
    sys.path.append(str(Path(__file__).parent))

if TYPE_CHECKING:
    from tests.objectstore.objects import Asked, Objects
else:
    from objects import Asked, Objects


@pytest.fixture
def service() -> Asked:
    """Return a service of the test's own."""
    return Asked()


@pytest.fixture
def driver(service: Asked) -> Objects:
    """Open a store in it."""
    return Objects(service)


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a move that waits for another one look as often as ever, with no time in between."""
    monkeypatch.setattr("layerstore.objectstore.move.PAUSE", 0.0)

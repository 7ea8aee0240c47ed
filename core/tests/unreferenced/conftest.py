"""A store with a trap in it, an image, and a layer that nothing refers to."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore import LayerService, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.steps.watching import Trap

# A module that several test files share: in importlib mode pytest leaves sys.path alone.
if str(Path(__file__).parent) not in sys.path:
    sys.path.append(str(Path(__file__).parent))

if TYPE_CHECKING:
    from tests.unreferenced.pushes import CONFIG, IDLE, IMAGE, USED, push
else:
    from pushes import CONFIG, IDLE, IMAGE, USED, push


@pytest.fixture
def store(url: str, trap: Trap, raw: CheckedDriver) -> LayerService:
    """Open the store with the trap in it: an image, and a layer that nothing refers to."""
    service = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))
    for data in (CONFIG, USED, IDLE):
        store_layer(service, "a", data)
    push(raw, IMAGE, "v1")
    return service

"""A registry on a store of a test's own, and a client of it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import layerstore
from layerstore import LayerService

# Modules that several test files share: in importlib mode pytest leaves sys.path alone.
if str(Path(__file__).parent) not in sys.path:
    sys.path.append(str(Path(__file__).parent))


from layerstore_registry import Registry, Settings
from layerstore_registry.access.rights import Access

if TYPE_CHECKING:
    from tests.registry_client import Client
    from tests.serving import Node, serving
else:
    from registry_client import Client
    from serving import Node, serving


@pytest.fixture(params=["memory", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LayerService]:
    """Open a store."""
    root = tmp_path / "store"
    root.mkdir()
    with layerstore.open(f"memory://{tmp_path.name}" if request.param == "memory" else f"local:{root}") as service:
        yield service


@pytest.fixture
def serve(store: LayerService) -> Callable[[Settings], Client]:
    """Serve the store as settings say."""
    return lambda settings: Client(Registry(store, settings))


@pytest.fixture
def client(store: LayerService) -> Client:
    """Talk to a registry on the store."""
    return Client(Registry(store))


@pytest.fixture
def guard(store: LayerService) -> Callable[[Access], Client]:
    """Serve the store behind an access control."""
    return lambda access: Client(Registry(store, access=access))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Serve a store of its own to all tests of a file that leave the server as it is."""
    folder = tmp_path_factory.mktemp("node")
    with serving(store=f"local:{folder / 'store'}", log=folder / "log") as node:
        yield node
    assert "Traceback" not in "".join(node.lines)

"""A store of a test's own, and the ways to look at it and to meddle with it; and another backend of hashes."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import layerstore
from layerstore import Foreign, LayerService, open_driver
from layerstore.checked import CheckedDriver
from layerstore.driver import Driver, Scanned
from layerstore.hashing import sha256
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.steps.watching import Trap

# Modules that several test files share: in importlib mode pytest leaves sys.path alone.
if str(Path(__file__).parent) not in sys.path:
    sys.path.append(str(Path(__file__).parent))


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


class Strewn(PassingDriver):
    """A driver in whose backend somebody has left things."""

    def __init__(self, inner: Driver) -> None:
        """Have nothing left yet."""
        super().__init__(inner)
        self.things: list[tuple[str, Foreign]] = []

    def leave(self, prefix: str, name: str = "thing", what: str = "a symlink") -> Foreign:
        """Leave something below a prefix, or, without a name, in its place, where whoever scans the prefix sees it."""
        foreign = Foreign(f"{prefix}/{name}" if name else prefix, what)
        self.things.append((prefix, foreign))
        return foreign

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan what lies in between, too."""
        yield from self.inner.scan(prefix)
        yield from [foreign for where, foreign in self.things if where == prefix]


@pytest.fixture
def strewn(url: str, trap: Trap) -> Strewn:
    """Open the store with the trap in it, to leave things there."""
    return Strewn(ObservedDriver(open_driver(url), trap))


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set ``LAYERSTORE_HASH`` and forget the backend, as a new process would have it."""

    def choose(value: str) -> None:
        monkeypatch.setenv("LAYERSTORE_HASH", value)
        sha256._backend.cache_clear()

    yield choose
    sha256._backend.cache_clear()

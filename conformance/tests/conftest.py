"""What all tests of the suite share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Modules that several test files, and other processes, share: in importlib mode pytest leaves sys.path alone.
if str(Path(__file__).parent) not in sys.path:
    sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def a_temporary_root_for_children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have the runs of pytest that tests start keep their directories apart.

    At its end pytest removes directories of earlier runs, and warns if another run that ends removes them, too.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path_factory.mktemp("children")))
        yield

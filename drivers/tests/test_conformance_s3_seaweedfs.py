"""The whole suite, on the S3 driver and SeaweedFS; observed through the SDK."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.s3.servers import SeaweedFS

if TYPE_CHECKING:
    from tests.s3_outside import harness_of
else:  # as pytest finds it
    from s3_outside import harness_of

pytestmark = pytest.mark.xdist_group("seaweedfs")


@pytest.fixture(scope="session")
def layerstore_harness(seaweedfs: SeaweedFS) -> Iterator[Harness]:
    """Return a store in a bucket of the server."""
    yield from harness_of(seaweedfs, "conformance")

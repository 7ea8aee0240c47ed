"""A proxy between a reader and the service that knows no ranges."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from layerstore import BackendUnavailableError, open_driver
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

pytestmark = pytest.mark.xdist_group("azurite")

DATA = bytes(range(256)) * 4


class Whole(RequestsTransport):  # type: ignore[misc]  # the SDK's transport has no types
    """A proxy that asks for all of a blob, whatever it is asked for, and passes all of it on."""

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (the SDK's)
        """Send a request without its range."""
        for name in ("Range", "x-ms-range"):
            request.headers.pop(name, None)
        return super().send(request, **kwargs)


def signature(container: str) -> str:
    """Return what reads and lists a container; unlike a key, it does not sign the range."""
    right, until = ContainerSasPermissions(read=True, list=True), datetime.now(UTC) + timedelta(hours=1)
    return generate_container_sas(
        "devstoreaccount1", container, account_key=EMULATOR_KEY, permission=right, expiry=until
    )


def test_bytes_that_begin_elsewhere_are_not_taken(azurite: Azurite) -> None:
    """If a whole object is sent instead of a part, its start is not taken for that part; all of it is read."""
    open_driver(azurite.url("ranges", create_container="true")).put("key", DATA)
    driver = open_driver(azurite.url("ranges"), transport=Whole(), sas_token=signature("ranges"))
    with driver.open_reader("key", 500) as reader, pytest.raises(BackendUnavailableError, match="from 500 on, sent"):
        reader.read()
    assert driver.get("key", 10_000) == DATA

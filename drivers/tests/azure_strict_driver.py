"""The Azure driver behind the strict transport, as a plugin: another process opens it by its URL as this one does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from layerstore.hookspecs import hookimpl
from layerstore_drivers.azure.driver import AzureDriver

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore.url import StoreURL
    from tests.azure_strict import StrictTransport
else:
    from azure_strict import StrictTransport

SCHEME = "azure+strict"


class StrictAzureDriver(AzureDriver):
    """Opened by ``azure+strict://devstoreaccount1/CONTAINER[/PREFIX]?endpoint=...``."""

    @classmethod
    def open(cls, url: StoreURL, **given: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Open as the Azure driver is opened, with the strict transport."""
        return super().open(url, transport=StrictTransport(str(given["endpoint"])), **given)

    def close(self) -> None:
        """Give the connections back too."""
        super().close()
        if self._settings.transport is not None:
            self._settings.transport.close()


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Return the driver class."""
    return StrictAzureDriver


def install(where: Path, scheme: str = SCHEME, module: str = "azure_strict_driver") -> None:
    """Make a distribution of a module in a directory, and put it on ``sys.path``; children are handed that on."""
    about = where / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[layerstore.drivers]\n{scheme} = {module}\n")
    sys.path.append(str(where))

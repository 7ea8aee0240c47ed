"""A container registry on any driver: the OCI distribution specification, served over HTTP (``layerstore serve``)."""

from layerstore_registry.application import Registry
from layerstore_registry.settings import Settings

__all__ = ["Registry", "Settings"]

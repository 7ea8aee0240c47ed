"""The entry of an image manifest that names a layer, as errors have it."""

from typing import NamedTuple


class FSLayer(NamedTuple):
    """The entry of an image manifest's ``fsLayers`` that names a layer."""

    blob_sum: str
    """The digest by which the layer was asked for, as text."""

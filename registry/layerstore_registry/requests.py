"""A request, who makes it, and what is to be told of it when it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import werkzeug.wrappers

from layerstore_registry.access.rights import Anybody, Who

if TYPE_CHECKING:
    from layerstore_registry.blobs import Part
    from layerstore_registry.body import Body
    from layerstore_registry.metrics import Metrics


class Request(werkzeug.wrappers.Request):
    """A request of a user."""

    who: Who = Anybody()
    endpoint: str = "none"
    """The kind of resource that is asked for."""
    body: Body | None = None
    """What has come of its body, if that was asked for."""
    part: Part | None = None
    """What is sent of a layer."""
    metrics: Metrics | None = None
    """Where it is counted."""

"""A request, who makes it, and what is to be told of it when it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import werkzeug.wrappers

from layerstore_registry.access.rights import Anybody, Who
from layerstore_registry.messages.body import Body

if TYPE_CHECKING:
    from layerstore_registry.messages.metrics import Metrics
    from layerstore_registry.messages.parts import Part


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

    def receive(self) -> Body:
        """Receive its body. Without a length, and not in chunks, it has no bytes."""
        length = self.content_length
        chunked = length is None and bool(self.environ.get("wsgi.input_terminated"))
        self.body = Body(self.environ["wsgi.input"], None if chunked else length or 0)
        return self.body

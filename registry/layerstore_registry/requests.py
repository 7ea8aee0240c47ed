"""A request, and who makes it."""

from __future__ import annotations

import werkzeug.wrappers

from layerstore_registry.access.rights import Anybody, Who


class Request(werkzeug.wrappers.Request):
    """A request of a user."""

    who: Who = Anybody()

"""Holding what a client is answered to have: a collection of what nothing refers to lets it be for another while.

A client that pushes asks for each layer by HEAD, sends those that are missing, and the manifest at the end, which may
be hours later. A layer of which it heard that it is there must not go in between.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import LayerStoreError
from layerstore_registry.access.rights import Scope

if TYPE_CHECKING:
    from layerstore import Digest
    from layerstore_registry.messages.requests import Request
    from layerstore_registry.settings import Settings


def hold(
    request: Request, name: str, digest: Digest, settings: Settings, renew: Callable[[str, Digest], object]
) -> None:
    """Renew a link if this is the question of a client that may push; the answer does not depend on it."""
    if request.method == "HEAD" and not settings.read_only and request.who.may(Scope(name, "push")):
        with suppress(LayerStoreError):
            renew(name, digest)

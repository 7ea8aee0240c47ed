"""What lies below a prefix, in order (clauses L1 to L5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerstore_drivers.pyfilesystem.store import Store


def children(store: Store, prefix: str) -> Iterator[str]:
    """Yield the keys and prefixes directly below a prefix; directories that hold no key are looked into, and passed."""
    with store.turn(prefix):
        store.look(prefix)
        found = store.below(prefix)
    for text in sorted(found):
        if not text.endswith("/"):
            yield text
            continue
        with store.turn(prefix):
            holds = store.holds_keys(text[:-1])
        if holds:
            yield text

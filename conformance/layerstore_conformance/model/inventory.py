"""Compare a store with a model, key by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerstore import layout
from layerstore.digest import Digest
from layerstore_conformance.kit.keys import WHOLE, keys_below
from layerstore_conformance.kit.payloads import expect_same

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.model.model import Model, ModelUpload

Uploads = Sequence[tuple[str, "ModelUpload"]]
"""With their ids."""


def check(driver: CheckedDriver, model: Model, uploads: Uploads) -> None:
    """Check that every key is there that should be, with the right bytes, and no other.

    The saved hash state of an upload that is there may be there or not.
    """
    expected = _expected(model, uploads)
    may_be = {layout.UploadKeys(each.name, uuid).state for uuid, each in uploads if each.there}
    found = set(keys_below(driver, "")) - may_be
    assert found == expected.keys(), f"keys too many or missing: {sorted(found ^ expected.keys())}"
    for key, data in expected.items():
        if data is not None:
            expect_same(driver.get(key, WHOLE), data, key)


def _expected(model: Model, uploads: Uploads) -> dict[str, bytes | None]:
    """Return every key that should be there, with its bytes if they are known."""
    there = [(layout.UploadKeys(each.name, uuid), each.stored) for uuid, each in uploads if each.there]
    links = {layout.link(name, Digest.parse(each)): target.encode() for (name, each), target in model.links.items()}
    return {
        **{keys.started_at: None for keys, _ in there},
        **{keys.data: stored for keys, stored in there if stored is not None},
        **{layout.blob(Digest.parse(each)): data for each, data in model.blobs.items()},
        **links,
    }

"""A store that is made key by key, with objects of any age, to compare whole reports with."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from layerstore import Digest, LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore.layout import UploadKeys
from layerstore_conformance.kit.aged import AgedDriver
from layerstore_conformance.kit.layers import blob, link
from layerstore_conformance.kit.payloads import digest

if TYPE_CHECKING:
    from datetime import timedelta

    from layerstore_conformance.engine.context import Context


class AgedStore:
    """A store, some of whose objects are old; of all blobs, no two have the same size."""

    def __init__(self, ctx: Context) -> None:
        """Begin with nothing."""
        self.ages: dict[str, timedelta] = {}
        self.driver = CheckedDriver(AgedDriver(ctx.open(), self.ages))
        self.service = LayerService(self.driver)
        self._ctx, self._made = ctx, 0

    def put(self, key: str, data: bytes, age: timedelta | None = None) -> str:
        """Put an object, of an age if one is given."""
        self.driver.put(key, data)
        if age is not None:
            self.ages[key] = age
        return key

    def new(self, label: str) -> bytes:
        """Return bytes of a size of their own."""
        self._made += 1
        return self._ctx.payload(label).read(600 + self._made)

    def blob(self, label: str, age: timedelta | None = None) -> bytes:
        """Put a blob, old or not, and return its bytes."""
        data = self.new(label)
        self.put(blob(data), data, age)
        return data

    def link(self, name: str, data: bytes, algorithm: str = "sha256", age: timedelta | None = None) -> str:
        """Link a blob, by any digest."""
        wanted = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        return self.put(link(name, wanted), digest(data).encode(), age)

    def trash(self, data: bytes, age: timedelta | None = None) -> str:
        """Put a copy of a blob into the trash."""
        return self.put(layout.trashed(Digest.of(data)), data, age)

    def claim(self, data: bytes) -> str:
        """Put what a finish leaves that was cut off before its move."""
        keys = UploadKeys("a", self.service.begin("a").uuid)
        return self.put(keys.intent(Digest.of(data)), digest(data).encode())

    def versions(self, ctx: Context) -> dict[str, str]:
        """Return the version of each object."""
        return {key: self.driver.stat(key).version for key in ctx.stored()}

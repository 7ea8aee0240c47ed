"""A store and its model, side by side: every step is done to both, and the results are compared.

Steps take only numbers and words, so that a list of them is a script. The number of a handle, an upload or a layer is
how many were made after it: 0 is the latest of those that are open, or there; from :data:`ALL` on, those that are
closed or gone count too. If there are too few, the count wraps round; if there is none, one is made.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from layerstore import LayerService, LayerStoreError, PathNotFoundError, layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.uploads.front import FRONT
from layerstore_conformance.kit.clocked import Clock, ClockedDriver
from layerstore_conformance.kit.keys import WHOLE, keys_below
from layerstore_conformance.kit.payloads import digest, expect_same
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.model import inventory
from layerstore_conformance.model.model import Model, ModelHandle, ModelUpload

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context

T = TypeVar("T")

NAMES: Final = ("model/a", "model/b")
"""The repositories."""

ALL: Final = 4
"""From this number on, handles and uploads are counted whether they are open, or there, or not."""

HANDLES: Final = 6
"""Handles that are kept; older ones are dropped, not closed."""

Where = Literal["end", "start", "middle", "beyond"]
Offset = Literal["none", "right", "wrong"]
By = Literal["sha256", "sha512", "another digest", "another size"]
Piece = tuple[Where, int, int]
"""Where to write, how many bytes, and the ink."""
State = Literal["missing", "garbage", "foreign"]
Damage = Literal["missing", "other", "short"]


class HandlePair(NamedTuple):
    """A handle, and its model."""

    real: LayerUpload
    model: ModelHandle


class Comparison:
    """A store below a prefix of its own, and the model of it."""

    def __init__(self, ctx: Context) -> None:
        """Begin empty."""
        self.ctx = ctx
        self.model = Model()
        self.handles: list[HandlePair] = []
        """The latest first."""
        self.uploads: list[tuple[str, ModelUpload]] = []
        """With their ids; the latest first."""
        self.layers: list[tuple[str, str]] = []
        """Repositories and digests of the finishes and mounts that have returned; the latest first."""
        self.contents: dict[str, bytes] = {}
        """The bytes of every layer so far, by each digest of its finish."""
        self._clock = Clock()
        self._prefix = f"model-{ctx.counts['state-machine runs']}"
        ctx.count("state-machine runs")
        self._end = ExitStack()
        self._end.enter_context(ctx.handles())
        self._driver = self._open()
        self._driver.put("begun", b"")  # a backend that is made when first written to is there from now on
        self._driver.delete("begun")
        self._services = [LayerService(self._open()) for _ in range(2)]

    def _open(self) -> CheckedDriver:
        below = ClockedDriver(PrefixedDriver(self.ctx.open(), self._prefix), self._clock)
        return CheckedDriver(below, "store")

    def begin(self, repository: int = 0, service: int = 0) -> None:
        """Begin an upload."""
        name = NAMES[repository]
        _, upload = self._met(("",), lambda: self._services[service].upload(name))
        assert upload is not None, "no error"
        handle = self.model.begin(name)
        self.uploads.insert(0, (upload.uuid, handle.upload))
        self._hold(upload, handle)

    def resume(self, upload: int = 0, service: int = 0, offset: Offset = "none") -> None:
        """Open an upload again."""
        uuid, model = self._upload(upload)
        given = {"none": None, "right": model.offset, "wrong": model.offset + 1}[offset]
        handle = self.model.resume(model, given)
        expected = handle if isinstance(handle, str) else ""
        _, real = self._met((expected,), lambda: self._services[service].resume(model.name, uuid, offset=given))
        if real is not None and isinstance(handle, ModelHandle):
            assert real.tell() == model.offset, f"resumed at {real.tell()}, {model.offset} bytes are stored"
            self._hold(real, handle)

    def _hold(self, real: LayerUpload, model: ModelHandle) -> None:
        self.handles.insert(0, HandlePair(real, model))
        for dropped in self.handles[HANDLES:]:
            self.model.drop(dropped.model)
        del self.handles[HANDLES:]

    def _held(self, number: int) -> HandlePair:
        found = [held for held in self.handles if number >= ALL or not held.model.closed]
        if not found:
            self.begin()
            return self.handles[0]
        return found[number % ALL % len(found)]

    def _upload(self, number: int) -> tuple[str, ModelUpload]:
        found = [each for each in self.uploads if number >= ALL or each[1].there]
        if not found:
            self.begin()
            self.flush()
            return self.uploads[0]
        return found[number % ALL % len(found)]

    def _layer(self, number: int) -> tuple[str, str]:
        if not self.layers:
            self.begin()
            self.write(size=65)
            self.finish()
        return self.layers[number % len(self.layers)]

    def write(self, handle: int = 0, where: Where = "end", size: int = 1, ink: int = 0) -> None:
        """Write somewhere; each ``ink`` has other bytes."""
        real, model = self._held(handle)
        end = len(model.content)
        offset = {"end": end, "start": 0, "middle": end // 2, "beyond": end + 100}[where]
        data = self.ctx.payload(f"ink-{ink}").read(size, offset)
        expected = self.model.write(model, offset, data)

        def write() -> None:
            real.seek(offset)
            assert real.write(data) == size, "not all is said to be written"

        self._written(real, model, self._met(expected, write)[0])

    def pour(self, handle: int = 0, size: int = 1, ink: int = 0) -> None:
        """Write a stream to the end."""
        real, model = self._held(handle)
        offset = len(model.content)
        data = self.ctx.payload(f"ink-{ink}").read(size, offset)
        expected = self.model.write(model, offset, data)

        def pour() -> None:
            real.seek(offset)
            assert real.read_from(io.BytesIO(data)) == size, "not all is said to be written"

        self._written(real, model, self._met(expected, pour)[0])

    def _written(self, real: LayerUpload, model: ModelHandle, met: str) -> None:
        if met and not model.closed:
            self.model.refused(model)
        elif model.upload.owner is model:  # of other handles, some writes may be accepted and some not
            assert real.size == len(model.content), f"it says it has {real.size} bytes, it has {len(model.content)}"
            if real.size > FRONT:  # it may have to be flushed to be read back
                self._met((self.model.flush(model),), real.flush)

    def flush(self, handle: int = 0) -> None:
        """Flush."""
        real, model = self._held(handle)
        self._met((self.model.flush(model),), real.flush)

    def ask_digest(self, handle: int = 0) -> None:
        """Compare its digest; flush, if others know of it, for it may have done so."""
        real, model = self._held(handle)
        owner = model.upload.owner is model
        expected = ("LayerClosedError",) if model.closed else ("",) if owner else ("", self.model.refusal(model))
        met, found = self._met(expected, real.digest)
        if met and not model.closed:
            self.model.refused(model)
        assert met or not owner or str(found) == digest(bytes(model.content)), "its digest is not that of its bytes"
        if model.upload.there and not met:
            self._met((self.model.flush(model),), real.flush)

    def close(self, handle: int = 0) -> None:
        """Close."""
        real, model = self._held(handle)
        self._met((self.model.close(model),), real.close)
        assert real.closed, "closed, and open"

    def finish(self, handle: int = 0, by: By = "sha256") -> None:
        """Finish, by a digest that the bytes have, or by one that they have not."""
        real, model = self._held(handle)
        data = bytes(model.content)
        wanted = {
            "sha512": f"sha512:{hashlib.sha512(data).hexdigest()}",
            "another digest": digest(data + b"another"),
        }.get(by, digest(data))
        error = {"another digest": "LayerInvalidDigestError", "another size": "LayerInvalidSizeError"}.get(by, "")
        size = len(data) + (by == "another size")
        expected = self.model.finish(model, wanted, digest(data), error)
        _, layer = self._met((expected,), lambda: real.finish(wanted, size))
        if layer is not None:
            layer.close()
            self._look_at(model.upload.name, wanted)
            self.layers.insert(0, (model.upload.name, wanted))
            self.contents[wanted] = data

    def upload_whole(self, repository: int = 0, pieces: Sequence[Piece] = (), *, resumed: bool = False) -> None:
        """Upload a layer in pieces, each written somewhere; perhaps closed and resumed before the last one."""
        self.begin(repository)
        for number, (where, size, ink) in enumerate(pieces):
            if resumed and number == len(pieces) - 1:
                self.close()
                self.resume()
            self.write(where=where, size=size, ink=ink)
        self.finish()

    def upload_again(self, layer: int = 0, repository: int = 0) -> None:
        """Upload bytes once more that have been a layer."""
        wanted = self._layer(layer)[1]
        data = self.contents[wanted]
        self.begin(repository)
        real, model = self._held(0)
        self._written(real, model, self._met(self.model.write(model, 0, data), lambda: real.write(data))[0])
        self.finish()

    def cancel(self, handle: int = 0) -> None:
        """Cancel by a handle."""
        real, model = self._held(handle)
        self.model.cancel(model)
        self._met(("",), real.cancel)

    def cancel_upload(self, upload: int = 0) -> None:
        """Cancel by the id."""
        uuid, model = self._upload(upload)
        expected = self.model.remove(model)
        self._met((expected,), lambda: self._services[0].cancel(model.name, uuid))

    def restart(self) -> None:
        """Drop every handle and service, and close none."""
        for held in self.handles:
            self.model.drop(held.model)
        self.handles = []
        self._services = [LayerService(self._open()) for _ in range(2)]
        self.ctx.count("state-machine steps")

    def damage_state(self, upload: int = 0, how: State = "garbage") -> None:
        """Delete an upload's saved hash state, or replace it by garbage or by another upload's."""
        uuid, model = self._upload(upload)
        key = layout.UploadKeys(model.name, uuid).state
        self.ctx.count("state-machine steps")
        if not model.there:
            return
        if how == "missing":
            self._driver.delete(key)
            self.model.forget_notes(model)
            return
        other_uuid, other = self._upload(upload + 1)
        data = f'{{"format": "layerstore-upload-state/1", "step": {self.ctx.counts["state-machine steps"]}}}'.encode()
        if how == "foreign":
            with suppress(PathNotFoundError):
                data = self._driver.get(layout.UploadKeys(other.name, other_uuid).state, WHOLE)
        self._driver.put(key, data)
        self.model.note(model)

    def replace_data(self, upload: int = 0, size: int = 1) -> None:
        """Put other bytes in the place of an upload's data, as another program that shares the store may do."""
        uuid, model = self._upload(upload)
        self.ctx.count("state-machine steps")
        if model.there:
            data = self.ctx.payload("replaced").read(size)
            self._driver.put(layout.UploadKeys(model.name, uuid).data, data)
            self.model.replace_data(model, data)

    def damage_blob(self, layer: int = 0, how: Damage = "other") -> None:
        """Put other bytes under a blob's key, or delete it: an upload of the layer heals it."""
        canonical = self.model.links.get(self._layer(layer))
        self.ctx.count("state-machine steps")
        if canonical not in self.model.blobs:
            return
        key = layout.blob(Digest.parse(canonical))
        data = self.model.blobs.pop(canonical)
        if how == "missing":
            self._driver.delete(key)
            return
        self.model.blobs[canonical] = data[: len(data) // 2] if how == "short" else bytes(len(data))
        self._driver.put(key, self.model.blobs[canonical])

    def fetch(self, layer: int = 0, repository: int = 0) -> None:
        """Fetch a layer, which the repository may have or not."""
        _, wanted = self._layer(layer)
        self._fetch(NAMES[repository], wanted)

    def _fetch(self, name: str, wanted: str) -> None:
        expected, data = self.model.fetch(name, wanted)
        met, layer = self._met((expected,), lambda: self._services[0].fetch(name, wanted))
        assert self._services[1].exists(name, wanted) == (not met), "it exists, and cannot be fetched"
        if layer is not None:
            with layer:
                expect_same(layer.read(), data, "a layer that was fetched")

    def mount(self, layer: int = 0, repository: int = 1) -> None:
        """Link a layer into another repository."""
        source, wanted = self._layer(layer)
        name = NAMES[repository]
        expected = self.model.mount(name, wanted, source)
        _, mounted = self._met((expected,), lambda: self._services[0].mount(name, wanted, source=source))
        if mounted is not None:
            mounted.close()
            self.layers.insert(0, (name, wanted))

    def unlink(self, layer: int = 0) -> None:
        """Take a layer out of its repository."""
        name, wanted = self._layer(layer)
        expected = self.model.unlink(name, wanted)
        self._met((expected,), lambda: self._services[1].unlink(name, wanted))

    def pass_time(self, hours: int = 1) -> None:
        """Let hours pass."""
        for key in keys_below(self._driver, layout.REPOSITORIES):
            self._driver.find(key)  # seen at this hour, unless it was before
        self._clock.now += timedelta(hours=hours)
        self.model.hour += hours
        self.ctx.count("state-machine steps")

    def purge(self, hours: int = 1) -> None:
        """Remove uploads that are older, by half an hour at least."""
        certain, unsure = self.model.old(hours + 0.5)
        older_than = timedelta(hours=hours, minutes=30)
        _, report = self._met(("",), lambda: self._services[0].purge(older_than, now=self._clock.now))
        assert report is not None, "no error"
        assert not report.failed, f"purges have failed: {report.failed}"
        removed = {entry.uuid for entry in report.removed}
        must, may = (
            {uuid for uuid, upload in self.uploads if upload in each} for each in (certain, [*certain, *unsure])
        )
        assert must <= removed <= may, f"purged {sorted(removed)}, expected {sorted(must)}, and at most {sorted(may)}"
        for uuid, upload in self.uploads:
            if uuid in removed:
                self.model.remove(upload)

    def look(self) -> None:
        """Compare everything listed and everything stored."""
        self.ctx.count("state-machine steps")
        fresh = LayerService(self._open())
        uploads = sorted((info.name, info.offset) for info in fresh.uploads())
        assert uploads == self.model.listed(), f"uploads are listed as {uploads}, there are {self.model.listed()}"
        layers = sorted((info.name, str(info.digest), info.size) for info in fresh.layers())
        assert layers == self.model.layers(), f"layers are listed as {layers}, there are {self.model.layers()}"
        inventory.check(fresh.driver, self.model, self.uploads)

    def _look_at(self, name: str, wanted: str) -> None:
        """Check the theorem: the bytes under the digest of a finish that returned hash to it."""
        said, data = self.model.fetch(name, wanted)
        assert not said, "finished"
        target = self.model.links[name, wanted]
        expect_same(self._open().get(layout.blob(Digest.parse(target)), WHOLE), data, "the layer of a finish")

    def teardown(self) -> None:
        """Look at everything, unless a step has failed, and delete it; close what was opened."""
        with self._end:
            try:
                if sys.exception() is None:
                    self.look()
            finally:
                self.handles = []
                self._driver.delete(layout.ROOT)

    def _met(self, expected: Sequence[str], act: Callable[[], T]) -> tuple[str, T | None]:
        """Act, and compare the error; return its name, empty if none, and the result."""
        self.ctx.count("state-machine steps")
        met, result, said = "", None, ""
        try:
            result = act()
        except LayerStoreError as error:
            met, said = type(error).__name__, f": {error}"
        wanted = " or ".join(name or "no error" for name in expected)
        assert met in expected, f"expected {wanted}, met {met or 'no error'}{said}"
        return met, result

"""Settled: what a call that was cut off may not have made durable is so before a finish that goes on relies on it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, LayerService, UnknownUploadError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import done
from layerstore_conformance.steps.expectations import expect_layer

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context

GROUP = "crash"

LARGE = 2 << 20
"""Bytes, more than an upload gathers in memory."""


class Volatile:
    """What a loss of power would take: keys that calls which were cut off have stored, and nobody has settled since."""

    def __init__(self) -> None:
        """Begin with none, and cut nothing off."""
        self.keys: set[str] = set()
        self._passing = -1
        self.cut = ""
        """The call that was cut off."""

    def cut_off(self, passing: int) -> None:
        """Let so many puts and moves pass, and cut the next one off."""
        self._passing, self.cut = passing, ""

    def stored(self, method: str, key: str) -> None:
        """Note a put or move that has taken effect.

        Raises:
            BackendUnavailableError: it is the one to be cut off.
        """
        self._passing -= 1
        self.keys.discard(key)
        if self._passing == -1:
            self.keys.add(key)
            self.cut = f"{method} to {key}"
            raise BackendUnavailableError(key, "cut off by the scenario")


class VolatileDriver(PassingDriver):
    """Any driver whose puts and moves, if they are cut off, are seen by all and durable when they are settled."""

    def __init__(self, inner: Driver, volatile: Volatile) -> None:
        """Begin with what is volatile already."""
        super().__init__(inner)
        self._volatile = volatile

    def put(self, key: str, data: bytes) -> None:
        """Put."""
        super().put(key, data)
        self._volatile.stored("put", key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move; what was volatile at the source is so no longer."""
        super().move(source, target, version=version)
        self._volatile.keys.discard(source)
        self._volatile.stored("move", target)

    def delete(self, key: str) -> None:
        """Delete."""
        super().delete(key)
        self._volatile.keys = {each for each in self._volatile.keys if not f"{each}/".startswith(f"{key}/")}

    def settle(self, key: str) -> bool:
        """Make durable what is there."""
        self._volatile.keys.discard(key)
        return CheckedDriver(self.inner).settle(key)


def small(upload: LayerUpload, data: bytes) -> None:
    """Write, as a new upload of which nobody knows."""
    upload.write(data)


def flushed(upload: LayerUpload, data: bytes) -> None:
    """Write and flush."""
    upload.write(data)
    upload.flush()


WAYS: dict[str, tuple[Callable[[LayerUpload, bytes], None], int]] = {
    "gathered": (small, 0),
    "in the backend": (small, LARGE),
    "flushed": (flushed, 0),
}
"""How an upload has its bytes, and how many zeros are behind the archive that it has."""

NAMED = {"sha256": digest, "tarsum": tarsum_of}


@scenario(
    *("W6", "M1", "P1"),
    kills=("moved-is-linked-unsettled",),
    rows=(162, 173),
    axes=(Axis("way", WAYS), Axis("named", NAMED), Axis("by", {"the same handle": True, "another handle": False})),
)
def a_finish_gone_on_with_survives_a_loss_of_power(
    ctx: Context,
    way: tuple[Callable[[LayerUpload, bytes], None], int],
    named: Callable[[bytes], str],
    by: bool,  # noqa: FBT001  (a point)
) -> None:
    """A finish that goes on after one that was cut off is durable when it returns: the blob, and its link.

    Whoever put the blob there may have died before it was durable. Linked all the same, it is a layer that the client
    was told of, and that a loss of power takes.
    """
    write, zeros = way
    data = archive("first", "second") + bytes(zeros)
    for index in count():
        volatile = Volatile()
        service = LayerService(CheckedDriver(VolatileDriver(ctx.open(), volatile)))
        upload = service.upload("a")
        write(upload, data)
        volatile.cut_off(index)
        if done(lambda upload=upload: upload.finish(named(data), len(data)).close()):  # type: ignore[misc]  # bound
            assert index, "a finish stores nothing"
            return
        if by or not upload.known:
            upload.finish(named(data), len(data)).close()
        else:
            try:
                service.resume("a", upload.uuid).finish(named(data), len(data)).close()
            except UnknownUploadError:
                raise AssertionError(f"cut off in a {volatile.cut}, the upload is unknown") from None
        for key in sorted(volatile.keys):  # the power fails
            ctx.driver.delete(key)
        told = f"cut off in a {volatile.cut}, gone on with, the power fails, and"
        assert ctx.service().exists("a", named(data)), f"{told} the layer is lost"
        expect_layer(ctx, "a", data)
        ctx.driver.delete("docker")
        ctx.count("moments")

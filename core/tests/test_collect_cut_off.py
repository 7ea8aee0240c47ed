"""Collecting when the backend fails half way: what is said to be removed is gone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from layerstore import BackendUnavailableError, Digest, LayerService, layout, open_driver
from layerstore.contents import links
from layerstore_conformance.kit.passing import PassingDriver


class HalfMoving(PassingDriver):
    """A driver whose first move is cut off with the bytes in both places, as clause M2 allows."""

    cut_off = False

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move; the first one out of the blobs only half."""
        if self.cut_off or not source.startswith(layout.BLOBS):
            super().move(source, target, version=version)
            return
        self.cut_off = True
        self.inner.put(target, self.inner.open_reader(source).readall())
        raise BackendUnavailableError(source, "cut off")


def store_unlinked(service: LayerService, data: bytes) -> str:
    """Store a layer that no repository has any more, and return its digest."""
    wanted = f"sha256:{sha256(data).hexdigest()}"
    with service.upload("a") as upload:
        upload.write(data)
        upload.finish(wanted).close()
    service.unlink("a", wanted)
    return wanted


def test_a_blob_whose_move_to_the_trash_was_cut_off_is_not_said_to_be_removed() -> None:
    """It is reported as failed, the next collection removes it, and nothing is left in the trash."""
    driver = HalfMoving(open_driver("memory:"))
    service, data = LayerService(driver), b"collected"
    wanted = store_unlinked(service, data)
    later = datetime.now(UTC) + timedelta(days=1)
    first = service.collect(now=later)
    assert ([str(each.digest) for each in first.failed], first.removed) == ([wanted], [])
    assert driver.stat(layout.blob(Digest.parse(wanted))).size == len(data)
    second = service.collect(now=later)
    assert {str(each.digest) for each in second.removed} == {wanted}
    assert list(driver.list("")) == []


class TwoStepped(PassingDriver):
    """A driver whose first move out of the blobs copies and then deletes, with somebody at it in between."""

    between: Callable[[], object] | None = None

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move; the first one out of the blobs in two steps."""
        between, self.between = self.between, None if source.startswith(layout.BLOBS) else self.between
        if between is None or not source.startswith(layout.BLOBS):
            super().move(source, target, version=version)
            return
        self.inner.put(target, self.inner.open_reader(source).readall())
        between()
        self.inner.delete(source)


def test_a_collection_leaves_alone_what_another_one_is_moving() -> None:
    """A layer mounted while one collection moves its blob, and another one looks at the trash, is there in the end."""
    driver = TwoStepped(open_driver("memory:"))
    service, data = LayerService(driver), b"collected"
    wanted = store_unlinked(service, data)

    def meanwhile() -> None:
        links.write(service.driver, "b", Digest.parse(wanted), Digest.parse(wanted))
        assert service.fetch("b", wanted).read() == data
        service.collect(grace=timedelta(0), now=datetime.now(UTC) - timedelta(hours=1))

    driver.between = meanwhile
    service.collect(grace=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    assert service.fetch("b", wanted).read() == data

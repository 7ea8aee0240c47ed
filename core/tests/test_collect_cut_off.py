"""Collecting when the backend fails half way: what is said to be removed is gone."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from layerstore import BackendUnavailableError, Digest, LayerService, layout, open_driver
from layerstore.passing import PassingDriver


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


def test_a_blob_whose_move_to_the_trash_was_cut_off_is_not_said_to_be_removed() -> None:
    """It is reported as failed, the next collection removes it, and nothing is left in the trash."""
    driver = HalfMoving(open_driver("memory:"))
    service, data = LayerService(driver), b"collected"
    wanted = f"sha256:{sha256(data).hexdigest()}"
    with service.upload("a") as upload:
        upload.write(data)
        upload.finish(wanted).close()
    service.unlink("a", wanted)
    later = datetime.now(UTC) + timedelta(days=1)
    first = service.collect(now=later)
    assert ([str(each.digest) for each in first.failed], first.removed) == ([wanted], [])
    assert driver.stat(layout.blob(Digest.parse(wanted))).size == len(data)
    second = service.collect(now=later)
    assert {str(each.digest) for each in second.removed} == {wanted}
    assert list(driver.list("")) == []

"""The end of a straight upload: its own move cut off, and its layer gone before it was read."""

from __future__ import annotations

import pytest

from layerstore import FencedError, LayerService, UnknownLayerError, layout, open_driver
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Trap, of

LARGE = Payload("straight").read((1 << 20) + 500)


@pytest.fixture
def store(url: str, trap: Trap) -> LayerService:
    """Open the store with the trap in it."""
    return LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))


def test_an_upload_whose_move_was_cut_off_when_it_had_fenced_is_resumed(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Ctrl-C in the middle of a move may leave the handle fenced and the data where it was: others know of it then."""
    upload = store.upload("a")
    upload.write(LARGE)

    def fence_and_interrupt() -> None:
        raw.open_writer(layout.UploadKeys("a", upload.uuid).data).discard()
        raise KeyboardInterrupt

    trap.set(of("move"), fence_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        upload.finish(digest(LARGE))
    with pytest.raises(FencedError):
        upload.finish(digest(LARGE))
    resumed = store.resume("a", upload.uuid, offset=len(LARGE))
    assert resumed.finish(digest(LARGE)).read() == LARGE
    assert list(store.uploads()) == []


def test_a_layer_that_has_gone_before_it_was_read_is_unknown(store: LayerService, raw: CheckedDriver) -> None:
    """It is opened when it is read, and says then what a fetch would."""
    upload = store.upload("a")
    upload.write(LARGE[:500])
    layer = upload.finish(digest(LARGE[:500]))
    raw.delete(layout.blob(Digest.parse(digest(LARGE[:500]))))
    with pytest.raises(UnknownLayerError):
        layer.read()

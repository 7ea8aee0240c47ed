"""The theorem, as checks that look at a store from outside.

If ``finish(digest)`` returned, the bytes under that digest, read back, hash to it; and nothing partial is visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import Digest, LayerUploadUnknownError, layout
from layerstore_conformance.payloads import difference, digest, expect_same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layerstore import LayerService
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.lifecycles import Life

WHOLE = 1 << 40
"""More bytes than any object here has."""


def keys_below(driver: CheckedDriver, prefix: str) -> Iterator[str]:
    """Yield every key below a prefix."""
    for child in driver.list(prefix):
        if child.endswith("/"):
            yield from keys_below(driver, child.rstrip("/"))
        else:
            yield child


def check_store(driver: CheckedDriver) -> None:
    """Check that every blob hashes to its name, and that every link leads to a blob."""
    for key in keys_below(driver, layout.ROOT):
        data = driver.get(key, WHOLE)
        if key.startswith(f"{layout.ROOT}/blobs/"):
            assert digest(data) == f"sha256:{key.split('/')[-2]}", f"{key} holds other bytes"
        elif key.endswith("/link"):
            hexdigits = data.decode("ascii").removeprefix("sha256:").rstrip("\n")
            assert driver.find(f"{layout.ROOT}/blobs/sha256/{hexdigits[:2]}/{hexdigits}/data"), f"{key} leads nowhere"


def check_layer(service: LayerService, life: Life) -> None:
    """Check that the finished layer is there, and holds what was written."""
    with service.fetch(life.name, life.wanted) as layer:
        expect_same(layer.read(), bytes(life.content), "the layer")


def check_upload(service: LayerService, life: Life) -> bool:
    """Check that what is stored of an upload cut off is what was promised; tell whether there is any."""
    listed = {info.uuid: info.offset for info in service.uploads(life.name)}
    if life.uuid not in listed:
        assert life.uuid is None or life.finishing or life.cancelling, "an upload that was promised is gone"
        if life.finishing:
            check_layer(service, life)
        return False
    assert not life.finished, "a finished upload is still there"
    assert not life.cancelled, "a cancelled upload is still there"
    found = stored(service.driver, life)
    assert found in life.possible, difference(life.promised, found)
    assert listed[life.uuid] == len(found), "the offset is not where the bytes end"
    return True


def stored(driver: CheckedDriver, life: Life) -> bytes:
    """Return what is stored of an upload: its data, or the blob it has become already."""
    assert life.uuid is not None, "begun"
    for key in (layout.UploadKeys(life.name, life.uuid).data, layout.blob(Digest.parse(life.wanted))):
        if driver.find(key) is not None:
            return driver.get(key, WHOLE)
    return b""


def finish_again(service: LayerService, life: Life) -> None:
    """Take an upload up where it was cut off, bring it to its end, and check what is there then."""
    assert life.uuid is not None, "checked before"
    wanted = bytes(life.content)
    upload = service.resume(life.name, life.uuid)
    if stored(service.driver, life) != wanted:
        upload.seek(0)
        upload.write(wanted)
    upload.finish(life.wanted, len(wanted)).close()
    check_layer(service, life)
    check_nothing_left(service.driver, life)


def cancel_again(service: LayerService, life: Life) -> None:
    """Cancel an upload that was cut off, and check that nothing of it is left."""
    assert life.uuid is not None, "checked before"
    service.cancel(life.name, life.uuid)
    check_nothing_left(service.driver, life)
    try:
        service.resume(life.name, life.uuid)
    except LayerUploadUnknownError:
        return
    raise AssertionError("a cancelled upload was resumed")


def check_nothing_left(driver: CheckedDriver, life: Life) -> None:
    """Check that no key of the upload is left."""
    left = list(keys_below(driver, f"{layout.uploads(life.name)}/{life.uuid}"))
    assert not left, f"left of the upload: {left}"

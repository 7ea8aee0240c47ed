"""The theorem, as checks that look at a store from outside.

If ``finish(digest)`` returned, the bytes under that digest, read back, hash to it; and nothing partial is visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from layerstore import Digest, UnknownUploadError, Unpublished, layout
from layerstore_conformance.kit.keys import WHOLE, keys_below
from layerstore_conformance.kit.payloads import difference, digest, expect_same

if TYPE_CHECKING:
    from layerstore import LayerService
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.promises.promise import Promise

Ending = Callable[["LayerService", "Promise"], None]
"""Ends an upload that was cut off: :func:`finish_again` or :func:`cancel_again`."""


def check_store(driver: CheckedDriver) -> None:
    """Check that every blob hashes to its name, and that every link leads to a blob."""
    for key in keys_below(driver, layout.ROOT):
        data = driver.get(key, WHOLE)
        if key.startswith(f"{layout.ROOT}/blobs/"):
            assert digest(data) == f"sha256:{key.split('/')[-2]}", f"{key} holds other bytes"
        elif key.endswith("/link"):
            hexdigits = data.decode("ascii").removeprefix("sha256:").rstrip("\n")
            assert driver.find(f"{layout.ROOT}/blobs/sha256/{hexdigits[:2]}/{hexdigits}/data"), f"{key} leads nowhere"


def check_layer(service: LayerService, promise: Promise) -> None:
    """Check that the finished layer is there, with the accepted bytes."""
    _expect_layer(service, promise.name, bytes(promise.content), "the layer")


def check_kept(service: LayerService, promise: Promise) -> None:
    """Check that the layers of earlier uploads are there, with their bytes."""
    for name, content in promise.kept:
        _expect_layer(service, name, content, "the layer of an earlier upload")


def check_upload(service: LayerService, promise: Promise) -> bool:
    """Check that an upload that was cut off is as promised; return whether it is there."""
    listed = {info.uuid: info.offset for info in service.uploads(promise.name)}
    if promise.uuid not in listed:
        assert not promise.known or _is_ending(promise), "an upload that was promised is gone"
        if promise.finished or (promise.finishing and promise.known):
            check_layer(service, promise)
        return False
    assert not promise.finished, "a finished upload is still there"
    assert not promise.cancelled, "a cancelled upload is still there"
    assert not promise.purged, "a purged upload is still there"
    if promise.purging and not _can_be_resumed(service, promise):
        return False
    found = stored(service.driver, promise)
    assert found in promise.possible, difference(promise.promised, found)
    offset = listed[promise.uuid]
    assert offset == len(found), f"the upload is listed at offset {offset}, and {len(found)} bytes are stored"
    return True


def stored(driver: CheckedDriver, promise: Promise) -> bytes:
    """Return the stored bytes of an upload: its data, or, once a finish has begun, its blob."""
    assert promise.uuid is not None, "begun"
    places = [layout.UploadKeys(promise.name, promise.uuid).data]
    if promise.finishing:
        places.append(layout.blob(Digest.parse(promise.wanted)))
    for key in places:
        if driver.find(key) is not None:
            return driver.get(key, WHOLE)
    return b""


def finish_again(service: LayerService, promise: Promise) -> None:
    """Resume an upload where it was cut off, write the rest, finish it, and check the layer."""
    assert promise.uuid is not None, "checked before"
    found, wanted = stored(service.driver, promise), bytes(promise.content)
    upload = service.resume(promise.name, promise.uuid, offset=len(found))
    if found != wanted:
        assert str(upload.digest()) == digest(found), "the digest of the resumed upload is not that of the stored bytes"
        same = _same_up_to(found, wanted)
        upload.seek(same)
        upload.write(wanted[same:])
    upload.finish(promise.wanted, len(wanted)).close()
    check_layer(service, promise)
    check_nothing_left(service.driver, promise)


def cancel_again(service: LayerService, promise: Promise) -> None:
    """Cancel an upload that was cut off, and check that nothing of it is left."""
    assert promise.uuid is not None, "checked before"
    service.cancel(promise.name, promise.uuid)
    check_nothing_left(service.driver, promise)
    try:
        service.resume(promise.name, promise.uuid)
    except UnknownUploadError:
        return
    raise AssertionError("a cancelled upload was resumed")


def check_nothing_left(driver: CheckedDriver, promise: Promise) -> None:
    """Check that no key of the upload is left."""
    left = list(keys_below(driver, f"{layout.uploads(promise.name)}/{promise.uuid}"))
    assert not left, f"left of the upload: {left}"


def check_reclaimed(service: LayerService, promise: Promise) -> None:
    """Purge all uploads, as an operator does in the end, and check that only layers are left.

    Every upload that was flushed must be listed, unless its end has begun and was cut off. A scrub must report the keys
    of an upload that is not listed.
    """
    uploads = layout.uploads(promise.name)
    there = {child.split("/")[-2] for child in service.driver.list(uploads) if child[-1] == "/"}
    taken = {each.name.split("/")[-2] for each in service.driver.scan(uploads) if isinstance(each, Unpublished)}
    hidden = there - {info.uuid for info in service.uploads(promise.name)}
    assert not hidden or not promise.known or _is_ending(promise), f"keys of uploads that are not listed: {hidden}"
    _check_reported(service, promise, hidden)
    report = service.purge(timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    removed = {entry.uuid for entry in report.removed}
    assert removed == there | taken, f"a purge of everything has left something: {report}"
    kept = re.compile(rf"{layout.BLOBS}/|{layout.REPOSITORIES}/.*/_layers/")
    left = [key for key in keys_below(service.driver, "") if not kept.match(key)]
    assert not left, f"left of uploads that were purged: {left}"


def check_cut_off(service: LayerService, promise: Promise, ending: Ending) -> None:
    """Check the theorem on a store whose only user was cut off, with this promise.

    Nothing partial is visible; the stored bytes are at least those that were flushed and at most those that were
    accepted; an upload that is there can be ended by ``ending``; and a purge removes everything else.
    """
    check_store(service.driver)
    check_kept(service, promise)
    if check_upload(service, promise):
        ending(service, promise)
    check_reclaimed(service, promise)
    check_store(service.driver)
    check_kept(service, promise)


def _check_reported(service: LayerService, promise: Promise, hidden: set[str]) -> None:
    found = (
        {finding.key for finding in service.scrub(name=promise.name) if finding.kind == "leftover"} if hidden else ()
    )
    for uuid in hidden:
        if service.driver.find(layout.UploadKeys(promise.name, uuid).started_at) is not None:
            continue  # condemned, and not removed yet
        assert f"{layout.uploads(promise.name)}/{uuid}/" in found, f"a scrub does not report the keys of {uuid}"


def _is_ending(promise: Promise) -> bool:
    return promise.finishing or promise.cancelling or promise.purging


def _can_be_resumed(service: LayerService, promise: Promise) -> bool:
    assert promise.uuid is not None, "checked before"
    try:
        service.resume(promise.name, promise.uuid)  # and dropped: a resume changes nothing
    except UnknownUploadError:
        return False
    return True


def _same_up_to(one: bytes, other: bytes) -> int:
    end = min(len(one), len(other))
    return next((at for at in range(end) if one[at] != other[at]), end)


def _expect_layer(service: LayerService, name: str, content: bytes, what: str) -> None:
    with service.fetch(name, digest(content)) as layer:
        expect_same(layer.read(), content, what)

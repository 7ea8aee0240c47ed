"""Finishing: verified, moved, linked, removed; cut off anywhere, repeated; and never a layer that is not its digest."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import layerstore
from layerstore import (
    BackendUnavailableError,
    Digest,
    FencedError,
    InvalidArchiveError,
    LayerClosedError,
    LayerExistsError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    LayerService,
    LayerUpload,
    PathNotFoundError,
    UnknownLayerError,
    UnknownUploadError,
    Writer,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.tarsum import tarsums
from layerstore.uploads.spool import Verify
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.promises.theorem import check_store

DATA = Payload("finish").read(40_000)
OTHER = Payload("other").read(40_000)
WHOLE = 1 << 30


def tar(mtime: int, content: bytes = DATA) -> bytes:
    """Make an archive; the tarsum knows nothing of times."""
    stream, member = io.BytesIO(), tarfile.TarInfo("one")
    member.size, member.mtime, member.uname = len(content), mtime, "root"
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


ARCHIVE, LATER = tar(0), tar(1)
SUMS = tarsums(io.BytesIO(ARCHIVE))
TARSUM = f"tarsum.v1+sha256:{SUMS.current}"
NAMES = {
    "sha256": digest(ARCHIVE),
    "sha384": f"sha384:{hashlib.sha384(ARCHIVE).hexdigest()}",
    "sha512": f"sha512:{hashlib.sha512(ARCHIVE).hexdigest()}",
    "tarsum": TARSUM,
    "tarsum of 2014": f"tarsum.v1+sha256:{SUMS.original}",
}
WRONG = {name: text[:-1] + ("1" if text[-1] == "0" else "0") for name, text in NAMES.items()}


class Watch:
    """An observer that notes what is changed, and springs one trap, before or after a call."""

    def __init__(self) -> None:
        """Begin noting."""
        self.calls: list[Call] = []
        self.changes: list[str] = []
        self.trap: Callable[[str, Call], bool] | None = None
        self.action: Callable[[], object] = refuse

    def before(self, call: Call) -> None:
        """Spring the trap."""
        self.calls.append(call)
        self._spring("before", call)

    def after(self, call: Call, result: object) -> None:
        """Note the call, and spring the trap."""
        if call.method in ("put", "publish", "move", "delete"):
            self.changes.append(f"{call.method} {call.key.partition('/_')[2]}")
        self._spring("after", call)

    def at(self, side: str, method: str, ending: str, action: Callable[[], object]) -> None:
        """Lie in wait for a method on a key that ends as said."""
        self.trap = lambda here, call: (here, call.method) == (side, method) and call.key.endswith(ending)
        self.action = action

    def at_number(self, side: str, number: int) -> None:
        """Refuse before or after the call of this number from now on."""
        wanted = len(self.calls) + number + 1
        self.trap, self.action = lambda here, _: (here, len(self.calls)) == (side, wanted), refuse

    def _spring(self, side: str, call: Call) -> None:
        if self.trap and self.trap(side, call):
            self.trap = None
            self.action()


def refuse() -> None:
    """Fail as a backend fails that is away for a moment."""
    raise BackendUnavailableError("key", "injected")


@pytest.fixture
def watch() -> Watch:
    """Begin watching."""
    return Watch()


@pytest.fixture
def store(url: str, watch: Watch) -> LayerService:
    """Open the store through a driver that is watched."""
    return LayerService(ObservedDriver(open_driver(url), watch))


def begin(store: LayerService, content: bytes = ARCHIVE, name: str = "a") -> LayerUpload:
    """Begin an upload and write some bytes."""
    upload = store.upload(name)
    upload.write(content)
    return upload


def flushed(store: LayerService, content: bytes = ARCHIVE, name: str = "a") -> LayerUpload:
    """Begin an upload that others know of."""
    upload = begin(store, content, name)
    upload.flush()
    return upload


def finish(store: LayerService, content: bytes = ARCHIVE, wanted: str | None = None, name: str = "a") -> None:
    """Make a layer of some bytes."""
    begin(store, content, name).finish(wanted or digest(content)).close()


def check_layer(url: str, wanted: str, content: bytes = ARCHIVE, name: str = "a") -> None:
    """Look for the layer through another door, and for anything that is left of an upload."""
    store = layerstore.open(url)
    with store.fetch(name, wanted) as layer:
        assert layer.read() == content
    assert [key for key in keys_below(store.driver, layout.ROOT) if "/_uploads/" in key] == []
    check_store(store.driver)


@pytest.mark.parametrize("wanted", NAMES.values(), ids=NAMES)
def test_a_layer_is_finished_by_any_digest(url: str, store: LayerService, wanted: str) -> None:
    """A layer is there by the digest that it was finished by, and by its sha256."""
    layer = begin(store).finish(wanted, len(ARCHIVE))
    assert (str(layer.digest), str(layer.canonical), layer.read()) == (wanted, digest(ARCHIVE), ARCHIVE)
    check_layer(url, wanted)
    check_layer(url, digest(ARCHIVE))


def test_a_parsed_digest_finishes(url: str, store: LayerService) -> None:
    """``finish`` takes a ``Digest`` as well as its text."""
    begin(store).finish(Digest.parse(digest(ARCHIVE)))
    check_layer(url, digest(ARCHIVE))


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_digest_leaves_the_upload_as_it_was(url: str, store: LayerService, name: str) -> None:
    """The error tells what the bytes are; nothing is visible; and the right digest finishes after all."""
    upload = flushed(store)
    with pytest.raises(LayerInvalidDigestError) as caught:
        upload.finish(WRONG[name])
    assert (caught.value.digest, caught.value.actual) == (WRONG[name], NAMES[name.removesuffix(" of 2014")])
    assert list(store.layers()) == []
    assert [info.offset for info in store.uploads()] == [len(ARCHIVE)]
    upload.write(b"more")
    upload.seek(0)
    upload.write(OTHER)
    upload.finish(upload.digest())
    assert store.exists("a", digest(OTHER + (ARCHIVE + b"more")[len(OTHER) :]))


def test_a_wrong_digest_leaves_the_upload_resumable(url: str, store: LayerService) -> None:
    """Another process finishes with the right one."""
    upload = flushed(store)
    with pytest.raises(LayerInvalidDigestError):
        upload.finish(WRONG["sha256"])
    layerstore.open(url).resume("a", upload.uuid, offset=len(ARCHIVE)).finish(digest(ARCHIVE))
    check_layer(url, digest(ARCHIVE))


@pytest.mark.parametrize("size", [0, len(ARCHIVE) - 1, len(ARCHIVE) + 1])
def test_a_wrong_size_leaves_the_upload_as_it_was(url: str, raw: CheckedDriver, store: LayerService, size: int) -> None:
    """The error tells both; nothing is visible; and the right size finishes after all."""
    upload = begin(store)
    with pytest.raises(LayerInvalidSizeError) as caught:
        upload.finish(digest(ARCHIVE), size)
    assert (caught.value.size, caught.value.actual) == (size, len(ARCHIVE))
    assert list(raw.list(f"{layout.ROOT}/blobs")) == []
    upload.finish(digest(ARCHIVE), len(ARCHIVE))
    check_layer(url, digest(ARCHIVE))


def test_a_size_is_of_the_bytes_not_of_the_position(url: str, store: LayerService) -> None:
    """Where the handle stands does not matter."""
    upload = begin(store)
    upload.seek(5)
    upload.finish(digest(ARCHIVE), len(ARCHIVE))
    check_layer(url, digest(ARCHIVE))


def test_a_finish_is_done_in_this_order(store: LayerService, watch: Watch) -> None:
    """Cut off between any two of these, it can be repeated; the order is what makes that true."""
    upload = flushed(store)
    watch.changes.clear()
    upload.finish(NAMES["sha512"])
    here, hexdigits = f"uploads/{upload.uuid}", digest(ARCHIVE)[7:]
    assert watch.changes == [
        f"publish {here}/data",
        f"put {here}/intent/{hexdigits}",
        f"move {here}/data",
        f"put layers/sha512/{NAMES['sha512'][7:]}/link",
        f"put layers/sha256/{hexdigits}/link",
        f"delete {here}/startedat",
        f"delete {here}",
    ]


def test_a_wrong_digest_changes_nothing(store: LayerService, watch: Watch) -> None:
    """But for the flush that comes first, a refused finish writes nothing."""
    upload = flushed(store)
    watch.changes.clear()
    for wrong in WRONG.values():
        with pytest.raises(LayerInvalidDigestError):
            upload.finish(wrong)
    assert set(watch.changes) == {f"publish uploads/{upload.uuid}/data"}


@pytest.mark.parametrize("blob", [b"", ARCHIVE[:-1], ARCHIVE + b"x", b"X" + ARCHIVE[1:], ARCHIVE])
def test_a_damaged_blob_is_healed(url: str, raw: CheckedDriver, store: LayerService, blob: bytes) -> None:
    """A blob that is there already is not trusted: the verified bytes replace it."""
    raw.put(layout.blob(Digest.parse(digest(ARCHIVE))), blob)
    finish(store)
    check_layer(url, digest(ARCHIVE))


class Rotten(ObservedDriver):
    """A backend that changes the first byte it is given of an object, and says nothing."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that does so."""
        writer = super().open_writer(key)
        write_at = writer.write_at

        def spoil(offset: int, data: memoryview) -> None:
            write_at(offset, memoryview(bytes([data[0] ^ 1]) + data[1:]) if offset == 0 else data)

        writer.write_at = spoil  # type: ignore[method-assign]  # one byte of one method differs
        return writer


def test_rereading_catches_a_backend_that_changed_a_byte(url: str, raw: CheckedDriver, watch: Watch) -> None:
    """With ``verify="reread"`` such bytes never become a layer."""
    upload = begin(LayerService(Rotten(open_driver(url), watch), verify="reread"))
    with pytest.raises(LayerInvalidDigestError) as caught:
        upload.finish(digest(ARCHIVE))
    assert caught.value.actual == digest(bytes([ARCHIVE[0] ^ 1]) + ARCHIVE[1:])
    assert list(raw.list(f"{layout.ROOT}/blobs")) == []


def test_resuming_believes_what_the_backend_accepted(url: str, watch: Watch) -> None:
    """The price of the default: it hashes what it gave, and a backend that changed that is not found out."""
    flushed(LayerService(Rotten(open_driver(url), watch))).finish(digest(ARCHIVE))
    with layerstore.open(url).fetch("a", digest(ARCHIVE)) as layer:
        assert layer.read(1) == bytes([ARCHIVE[0] ^ 1])


def test_a_tarsum_is_a_name_in_its_repository_only(url: str, raw: CheckedDriver, store: LayerService) -> None:
    """No blob lies under a tarsum, and another repository knows nothing of it."""
    finish(store, wanted=TARSUM)
    finish(store, name="b")
    assert (store.exists("a", TARSUM), store.exists("b", TARSUM)) == (True, False)
    assert [key for key in keys_below(raw, f"{layout.ROOT}/blobs") if SUMS.current in key] == []
    with pytest.raises(UnknownLayerError):
        store.fetch("b", TARSUM)


def test_a_tarsum_names_other_bytes_in_another_repository(url: str, store: LayerService) -> None:
    """A tarsum in one repository does not bind another."""
    finish(store, ARCHIVE, TARSUM, "a")
    finish(store, LATER, TARSUM, "b")
    check_layer(url, TARSUM, ARCHIVE, "a")
    check_layer(url, TARSUM, LATER, "b")


def test_a_tarsum_that_is_taken_is_never_pointed_elsewhere(url: str, store: LayerService) -> None:
    """The first bytes keep it; the others stay an upload, that its sha256 finishes."""
    finish(store, ARCHIVE, TARSUM)
    upload = begin(store, LATER)
    with pytest.raises(LayerExistsError) as caught:
        upload.finish(TARSUM)
    assert (caught.value.name, caught.value.digest) == ("a", TARSUM)
    assert not store.exists("a", digest(LATER))
    upload.finish(digest(LATER))
    check_layer(url, TARSUM, ARCHIVE)
    check_layer(url, digest(LATER), LATER)


def test_a_tarsum_is_taken_again_by_the_same_bytes(url: str, store: LayerService) -> None:
    """Uploading a layer once more under its tarsum is no conflict."""
    for _ in range(2):
        finish(store, ARCHIVE, TARSUM)
    check_layer(url, TARSUM)


@pytest.mark.parametrize("damage", [b"", b"sha256:", b"x" * 200])
def test_a_damaged_tarsum_link_is_free(url: str, raw: CheckedDriver, store: LayerService, damage: bytes) -> None:
    """A link that leads nowhere is nobody's."""
    raw.put(layout.link("a", Digest.parse(TARSUM)), damage)
    finish(store, ARCHIVE, TARSUM)
    check_layer(url, TARSUM)


@pytest.mark.parametrize("damage", [None, b"", b"sha256:", b"x" * 200])
@pytest.mark.parametrize("method", ["open_writer", "open_reader", "publish", "write_at"])
def test_of_two_that_race_for_a_tarsum_the_first_keeps_it(
    url: str, raw: CheckedDriver, store: LayerService, watch: Watch, method: str, damage: bytes | None
) -> None:
    """Wherever another process finishes other bytes under the same tarsum, what it was told stays true."""
    key, upload = layout.link("a", Digest.parse(TARSUM)), begin(store, LATER)
    if damage is not None:
        raw.put(key, damage)
    watch.at("before", method, key, lambda: finish(layerstore.open(url), ARCHIVE, TARSUM))
    try:
        upload.finish(TARSUM)
    except LayerExistsError:
        assert watch.trap is None, "nobody raced"
    assert watch.trap is None or layerstore.open(url).fetch("a", TARSUM).read() == LATER
    assert watch.trap is not None or layerstore.open(url).fetch("a", TARSUM).read() == ARCHIVE


def test_who_loses_a_tarsum_late_finishes_by_its_sha256(url: str, store: LayerService, watch: Watch) -> None:
    """The data has become a blob by then: the upload can only be finished by a name that is free."""
    upload = begin(store, LATER)
    link = layout.link("a", Digest.parse(TARSUM))
    watch.at("before", "open_writer", link, lambda: finish(layerstore.open(url), ARCHIVE, TARSUM))
    for _ in range(2):
        with pytest.raises(LayerExistsError):
            upload.finish(TARSUM)
    upload.finish(digest(LATER))
    check_layer(url, TARSUM, ARCHIVE)
    check_layer(url, digest(LATER), LATER)


def test_what_is_no_archive_has_no_tarsum(url: str, store: LayerService) -> None:
    """The upload stays, and its sha256 finishes it."""
    upload = begin(store, DATA)
    with pytest.raises(InvalidArchiveError):
        upload.finish(TARSUM)
    upload.finish(digest(DATA))
    check_layer(url, digest(DATA), DATA)


@pytest.mark.parametrize("wanted", NAMES.values(), ids=NAMES)
def test_a_finish_is_repeated(url: str, store: LayerService, wanted: str) -> None:
    """Asked again, by the same digest or its sha256, a handle returns the layer again."""
    upload = begin(store)
    for each in (wanted, wanted, digest(ARCHIVE)):
        assert str(upload.finish(each).digest) == each
    check_layer(url, wanted)


def test_a_finished_upload_is_not_finished_as_something_else(store: LayerService) -> None:
    """By a digest that was not asked for before, the handle is closed."""
    upload = begin(store)
    upload.finish(digest(ARCHIVE))
    with pytest.raises(LayerClosedError):
        upload.finish(NAMES["sha512"])


def test_a_repeated_finish_makes_no_layer_anew(store: LayerService) -> None:
    """Unlinked meanwhile, the layer is unknown: it is not linked behind anyone's back."""
    upload = begin(store)
    upload.finish(digest(ARCHIVE))
    store.unlink("a", digest(ARCHIVE))
    with pytest.raises(UnknownLayerError):
        upload.finish(digest(ARCHIVE))


def spilled(store: LayerService) -> LayerUpload:
    """Write more than is gathered, in small pieces, and do not flush."""
    upload = store.upload("a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layerstore.uploads.front.FRONT", 10_000)
        for at in range(0, len(ARCHIVE), 3000):
            upload.write(ARCHIVE[at : at + 3000])
    return upload


def resumed(store: LayerService) -> LayerUpload:
    """Write, lose the state, and resume."""
    with flushed(store) as upload:
        pass
    store.driver.delete(layout.UploadKeys("a", upload.uuid).state)
    return store.resume("a", upload.uuid)


def calls_of_a_finish(url: str, wanted: str, start: Callable[[LayerService], LayerUpload], verify: Verify) -> range:
    """Number the driver calls of a finish that nothing disturbs."""
    watch = Watch()
    upload = start(LayerService(ObservedDriver(open_driver(f"{url}-whole"), watch), verify=verify))
    begun = len(watch.calls)
    upload.finish(wanted)
    return range(len(watch.calls) - begun)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("verify", ["resume", "reread"])
@pytest.mark.parametrize("start", [begin, spilled, flushed, resumed])
@pytest.mark.parametrize("wanted", NAMES.values(), ids=NAMES)
def test_a_finish_that_failed_at_any_call_is_retried(
    url: str, wanted: str, start: Callable[[LayerService], LayerUpload], verify: Verify, side: str
) -> None:
    """Refused once, before or after whichever driver call, the same handle finishes when asked again."""
    failed, numbers = 0, calls_of_a_finish(url, wanted, start, verify)
    for number in numbers:
        watch, here = Watch(), f"{url}-{number}"
        upload = start(LayerService(ObservedDriver(open_driver(here), watch), verify=verify))
        watch.at_number(side, number)
        try:
            upload.finish(wanted, len(ARCHIVE))
        except BackendUnavailableError:
            failed += 1
            upload.finish(wanted, len(ARCHIVE))
        check_layer(here, wanted)
    assert failed >= max(3, len(numbers) - 3)  # a tarsum's link is looked for in vain, which is a failure by itself


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("start", [begin, spilled, flushed, resumed])
def test_a_finish_that_failed_at_any_call_is_cancelled(
    url: str, start: Callable[[LayerService], LayerUpload], side: str
) -> None:
    """Refused once, the upload can be given up: nothing is left of it, and what is visible is whole."""
    for number in calls_of_a_finish(url, digest(ARCHIVE), start, "resume"):
        watch, raw = Watch(), open_driver(f"{url}-{number}")
        upload = start(LayerService(ObservedDriver(raw, watch)))
        watch.at_number(side, number)
        with pytest.raises(BackendUnavailableError):
            upload.finish(digest(ARCHIVE))
        upload.cancel()
        assert [key for key in keys_below(raw, layout.ROOT) if "/_uploads/" in key] == []
        check_store(raw)


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_straight_finish_whose_move_failed_is_closed_and_resumed(
    url: str, store: LayerService, watch: Watch, side: str
) -> None:
    """Nobody else knew of it before; closed, it is found again, whether its data has become a blob or not."""
    upload = spilled(store)
    watch.at(side, "move", "/data", refuse)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(ARCHIVE))
    assert not upload.known
    with suppress(FencedError):
        upload.close()
    assert (upload.closed, upload.known) == (True, True)
    layerstore.open(url).resume("a", upload.uuid, offset=len(ARCHIVE)).finish(digest(ARCHIVE))
    check_layer(url, digest(ARCHIVE))


@pytest.mark.parametrize("purged", [False, True])
def test_a_first_flush_that_is_beaten_makes_no_upload(
    url: str, store: LayerService, raw: CheckedDriver, watch: Watch, purged: bool
) -> None:
    """Taken away between its bytes and its start, an upload is unknown; taken over there by a purge, it is fenced."""
    upload = begin(store)
    keys = layout.UploadKeys("a", upload.uuid)
    watch.at("before", "put", "/startedat", lambda: raw.open_writer(keys.data) if purged else raw.delete(keys.prefix))
    with pytest.raises(FencedError if purged else UnknownUploadError):
        upload.flush()
    assert not upload.known
    assert (raw.find(keys.started_at) is not None) is purged


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_cancel_that_failed_is_repeated(
    store: LayerService, raw: CheckedDriver, watch: Watch, side: str, number: int
) -> None:
    """Refused once, cancelling again leaves nothing."""
    upload = begin(store)
    upload.flush()
    watch.at_number(side, number)
    with pytest.raises(BackendUnavailableError):
        upload.cancel()
    upload.cancel()
    assert list(keys_below(raw, layout.ROOT)) == []


def moved(store: LayerService, watch: Watch, content: bytes = ARCHIVE, name: str = "a") -> LayerUpload:
    """Cut a finish off just after the move, and resume."""
    upload = flushed(store, content, name)
    watch.at("after", "move", "/data", refuse)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(content))
    return store.resume(name, upload.uuid)


def test_a_moved_upload_is_where_its_blob_ends(store: LayerService, watch: Watch) -> None:
    """Cut off after the move, an upload has its offset still."""
    upload = moved(store, watch)
    assert (upload.tell(), upload.size) == (len(ARCHIVE), len(ARCHIVE))
    assert [info.offset for info in store.uploads("a")] == [len(ARCHIVE)]
    assert store.resume("a", upload.uuid, offset=len(ARCHIVE)).seek(0, io.SEEK_END) == len(ARCHIVE)


@pytest.mark.parametrize("wanted", NAMES.values(), ids=NAMES)
def test_a_moved_upload_is_finished(url: str, store: LayerService, watch: Watch, wanted: str) -> None:
    """By the digest that was asked for, or by another one that is right."""
    moved(store, watch).finish(wanted, len(ARCHIVE))
    check_layer(url, wanted)


@pytest.mark.parametrize("wanted", WRONG.values(), ids=WRONG)
def test_a_moved_upload_is_not_finished_by_a_wrong_digest(
    url: str, store: LayerService, watch: Watch, wanted: str
) -> None:
    """The right one finishes it after that."""
    upload = moved(store, watch)
    with pytest.raises(LayerInvalidDigestError) as caught:
        upload.finish(wanted)
    assert caught.value.digest == wanted
    assert caught.value.actual in NAMES.values()
    assert not store.exists("a", digest(ARCHIVE))
    upload.finish(digest(ARCHIVE))
    check_layer(url, digest(ARCHIVE))


def test_a_moved_upload_is_not_finished_by_a_wrong_size(url: str, store: LayerService, watch: Watch) -> None:
    """A size is compared with the blob's."""
    upload = moved(store, watch)
    with pytest.raises(LayerInvalidSizeError) as caught:
        upload.finish(digest(ARCHIVE), 1)
    assert caught.value.actual == len(ARCHIVE)
    upload.finish(digest(ARCHIVE), len(ARCHIVE))
    check_layer(url, digest(ARCHIVE))


REFUSED: dict[str, Callable[[LayerUpload], Any]] = {
    "write": lambda upload: upload.write(b"x"),
    "read_from": lambda upload: upload.read_from(io.BytesIO(b"x")),
    "digest": lambda upload: upload.digest(),
}


@pytest.mark.parametrize("action", REFUSED.values(), ids=REFUSED)
def test_a_moved_upload_takes_no_more(store: LayerService, watch: Watch, action: Callable[[LayerUpload], Any]) -> None:
    """Its data is a blob, and is not written to."""
    with pytest.raises(LayerClosedError, match="has become a blob"):
        action(moved(store, watch))


def test_a_moved_upload_is_closed_and_resumed(url: str, store: LayerService, watch: Watch) -> None:
    """There is nothing to flush, and nothing is lost."""
    with moved(store, watch) as upload:
        upload.flush()
    layerstore.open(url).resume("a", upload.uuid).finish(digest(ARCHIVE))
    check_layer(url, digest(ARCHIVE))


def test_a_moved_upload_is_cancelled(store: LayerService, raw: CheckedDriver, watch: Watch) -> None:
    """Nothing is left of the upload; no repository has the blob."""
    moved(store, watch).cancel()
    assert list(keys_below(raw, layout.REPOSITORIES)) == []


@pytest.mark.parametrize("blob", [b"", ARCHIVE[:-1], b"X" + ARCHIVE[1:]])
def test_a_blob_that_was_damaged_since_is_not_linked(
    store: LayerService, raw: CheckedDriver, watch: Watch, blob: bytes
) -> None:
    """A moved upload is believed no more than any other: its blob is read back."""
    upload = moved(store, watch)
    raw.put(layout.blob(Digest.parse(digest(ARCHIVE))), blob)
    with pytest.raises(LayerInvalidDigestError):
        upload.finish(digest(ARCHIVE))
    assert not store.exists("a", digest(ARCHIVE))


def test_a_blob_that_went_since_is_not_linked(store: LayerService, raw: CheckedDriver, watch: Watch) -> None:
    """Purged between resuming and finishing, there is nothing to make a layer of."""
    upload = moved(store, watch)
    raw.delete(layout.blob(Digest.parse(digest(ARCHIVE))))
    with pytest.raises(PathNotFoundError):
        upload.finish(digest(ARCHIVE))
    assert not store.exists("a", digest(ARCHIVE))


def test_a_blob_that_went_while_it_was_verified_is_not_made_anew(
    store: LayerService, raw: CheckedDriver, watch: Watch
) -> None:
    """Making the blob durable, before it is linked, makes none of no bytes."""
    upload, blob = moved(store, watch), layout.blob(Digest.parse(digest(ARCHIVE)))
    watch.at("before", "open_writer", "/data", lambda: raw.delete(blob))
    with pytest.raises(PathNotFoundError):
        upload.finish(digest(ARCHIVE))
    assert raw.find(blob) is None


def test_a_blob_that_is_moved_once_more_while_it_is_verified_is_linked(
    url: str, store: LayerService, raw: CheckedDriver, watch: Watch
) -> None:
    """Of two that finish the same bytes, one may move them over the other's."""
    upload, blob = moved(store, watch), layout.blob(Digest.parse(digest(ARCHIVE)))
    watch.at("before", "publish", "/data", lambda: raw.put(blob, ARCHIVE))
    upload.finish(digest(ARCHIVE)).close()
    assert layerstore.open(url).exists("a", digest(ARCHIVE))


def lost_race(url: str, store: LayerService, watch: Watch) -> str:
    """Let a second handle take an upload over between the first one's intent and its move; return the upload's id.

    The second writes other bytes, and is cut off after its own move.
    """
    upload, cut = flushed(store), Watch()
    cut.at("after", "move", "/data", refuse)
    second = LayerService(ObservedDriver(open_driver(url), cut))

    def overtake() -> None:
        later = second.resume("a", upload.uuid)
        later.seek(0)
        later.write(OTHER + bytes(50_000))
        with pytest.raises(BackendUnavailableError):
            later.finish(later.digest())

    watch.at("before", "move", "/data", overtake)
    with pytest.raises(LayerInvalidDigestError):
        upload.finish(digest(ARCHIVE))
    return upload.uuid


def test_the_move_of_a_handle_that_was_overtaken_moves_nothing(
    url: str, raw: CheckedDriver, store: LayerService, watch: Watch
) -> None:
    """The data is no longer at the version that was verified: no blob is made of it, and its intent leads nowhere."""
    uuid = lost_race(url, store, watch)
    assert raw.find(layout.blob(Digest.parse(digest(ARCHIVE)))) is None
    assert len(list(raw.list(layout.UploadKeys("a", uuid).intents))) == 2
    check_store(raw)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["no such blob", "blob of another repository"])
def test_the_intent_of_a_lost_race_is_in_nobodys_way(
    url: str, raw: CheckedDriver, store: LayerService, watch: Watch, elsewhere: bool
) -> None:
    """With two intents the upload is finished as what its data has become, also where both blobs are there."""
    if elsewhere:
        finish(layerstore.open(url), ARCHIVE, name="b")
    content = OTHER + bytes(50_000)
    upload = begin(store)
    upload.flush()
    raw.put(layout.UploadKeys("a", upload.uuid).intent(Digest.parse(digest(ARCHIVE))), b"")
    upload.seek(0)
    upload.write(content)
    watch.at("after", "move", "/data", refuse)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(content))
    store.resume("a", upload.uuid).finish(digest(content), len(content))
    check_layer(url, digest(content), content)


@pytest.mark.parametrize("algorithm", ["sha512", "tarsum.v1+sha256"])
def test_a_moved_upload_of_two_intents_is_told_by_reading(
    url: str, store: LayerService, watch: Watch, algorithm: str
) -> None:
    """Asked for by another digest, each blob is read until one has it."""
    finish(layerstore.open(url), LATER, name="b")
    finish(layerstore.open(url), ARCHIVE, name="b")
    upload = moved(store, watch)
    for content in (LATER, tar(2), ARCHIVE):
        store.driver.put(layout.UploadKeys("a", upload.uuid).intent(Digest.parse(digest(content))), b"")
    wanted = NAMES["sha512"] if algorithm == "sha512" else TARSUM
    layer = store.resume("a", upload.uuid).finish(wanted)
    assert str(layer.digest) == wanted
    assert tarsums(io.BytesIO(layer.read())).current == SUMS.current


@pytest.mark.parametrize("content", [ARCHIVE, DATA], ids=["the longer", "the shorter"])
def test_a_layer_of_one_of_two_blobs_has_its_own_size(store: LayerService, watch: Watch, content: bytes) -> None:
    """An upload that may have become two blobs is as long as the longer one; a layer is as long as its own."""
    finish(store, DATA, name="b")
    upload = moved(store, watch)
    store.driver.put(layout.UploadKeys("a", upload.uuid).intent(Digest.parse(digest(DATA))), b"")
    layer = store.resume("a", upload.uuid, offset=len(ARCHIVE)).finish(digest(content), len(content))
    assert (layer.size, layer.seek(0, io.SEEK_END)) == (len(content), len(content))


def test_a_moved_upload_whose_blob_was_healed_has_the_size_of_the_healed_one(
    store: LayerService, raw: CheckedDriver, watch: Watch
) -> None:
    """The size is of the bytes that were read back, not of those that were there when the upload was resumed."""
    blob = layout.blob(Digest.parse(digest(ARCHIVE)))
    uuid = moved(store, watch).uuid
    raw.put(blob, ARCHIVE[:-1])
    upload = store.resume("a", uuid)
    raw.put(blob, ARCHIVE)
    assert upload.finish(digest(ARCHIVE), len(ARCHIVE)).size == len(ARCHIVE)


@pytest.mark.parametrize("wanted", [NAMES["sha256"], NAMES["sha512"]])
def test_bytes_that_were_replaced_before_they_were_read_back_are_not_finished(
    url: str, raw: CheckedDriver, store: LayerService, watch: Watch, wanted: str
) -> None:
    """Another handle takes over after the flush: what is read would not be what was published."""
    upload = resumed(store)

    def overtake() -> None:
        with layerstore.open(url).resume("a", upload.uuid) as later:
            later.write(OTHER)

    watch.at("before", "open_reader", "/data", overtake)
    with pytest.raises(FencedError, match="at another version"):
        upload.finish(wanted)
    assert list(raw.list(f"{layout.ROOT}/blobs")) == []


@pytest.mark.parametrize("first", ["flush", "finish"])
def test_of_two_handles_that_finish_only_the_later_does(
    url: str, raw: CheckedDriver, store: LayerService, first: str
) -> None:
    """The earlier one is fenced while the later one writes, whatever it tries."""
    early = begin(store)
    early.flush()
    late = store.resume("a", early.uuid)
    late.seek(0)
    late.write(OTHER)
    with pytest.raises(FencedError):
        early.flush() if first == "flush" else early.finish(digest(ARCHIVE))
    late.finish(late.digest())
    assert [str(info.digest) for info in store.layers()] == [digest(OTHER + ARCHIVE[len(OTHER) :])]
    check_store(raw)


def test_an_earlier_handle_finishes_what_the_later_one_moved(url: str, store: LayerService, watch: Watch) -> None:
    """Both mean the same bytes: whoever asks next goes on with the finish that was cut off."""
    early = begin(store)
    early.flush()
    late = store.resume("a", early.uuid)
    watch.at("after", "move", "/data", refuse)
    with pytest.raises(BackendUnavailableError):
        late.finish(digest(ARCHIVE))
    early.finish(digest(ARCHIVE))
    check_layer(url, digest(ARCHIVE))
    with pytest.raises(UnknownUploadError):
        late.finish(digest(ARCHIVE))

"""Finished layers: fetching, asking, mounting, unlinking, listing; and a layer as the file object that others take."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import layerstore
from layerstore import (
    Digest,
    Foreign,
    FSLayer,
    InvalidOffsetError,
    LayerClosedError,
    LayerExistsError,
    LayerService,
    UnknownLayerError,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.tarsum import tarsums
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.observed import Counts, ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.payloads import Payload, digest

UUID = f"{'0' * 8}-0000-0000-0000-{'0' * 12}"

if TYPE_CHECKING:
    from tests.conftest import Strewn

DATA = Payload("layer").read(10_000)
OTHER = Payload("other").read(700)
SHA256 = Digest.parse(digest(DATA))
SHA512 = f"sha512:{hashlib.sha512(DATA).hexdigest()}"
WHOLE = 1 << 20


def tar(mtime: int = 0, **members: bytes) -> bytes:
    """Make an archive; the tarsum knows nothing of times."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), mtime
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


ARCHIVE, LATER = tar(0, one=DATA, two=OTHER), tar(1, one=DATA, two=OTHER)
TARSUM = f"tarsum.v1+sha256:{tarsums(io.BytesIO(ARCHIVE)).current}"


def store_layer(store: LayerService, name: str, data: bytes = DATA, wanted: str | None = None) -> None:
    """Make a layer of some bytes."""
    upload = store.upload(name)
    upload.write(data)
    upload.finish(wanted or digest(data)).close()


@pytest.fixture
def store(url: str) -> LayerService:
    """Open it."""
    return layerstore.open(url)


@pytest.fixture
def counted(url: str) -> tuple[LayerService, Counts]:
    """Open the store through a driver that counts."""
    counts = Counts.zero()
    return LayerService(ObservedDriver(open_driver(url), counts)), counts


def test_a_layer_reads_as_what_was_uploaded(url: str, store: LayerService) -> None:
    """Another opening of the store fetches the bytes that were finished."""
    store_layer(store, "a/b")
    with layerstore.open(url).fetch("a/b", SHA256) as layer:
        assert layer.read() == DATA


def test_a_layer_says_what_it_is(store: LayerService, raw: CheckedDriver) -> None:
    """Name, digest asked for, canonical digest, size, and when it was linked."""
    store_layer(store, "a/b", wanted=SHA512)
    layer = store.fetch("a/b", SHA512)
    assert (layer.name, str(layer.digest), layer.canonical, layer.size) == ("a/b", SHA512, SHA256, len(DATA))
    assert layer.created_at == raw.stat(layout.link("a/b", layer.digest)).modified
    assert repr(layer) == f"<Layer a/b@{SHA512} 10000 bytes>"


@pytest.mark.parametrize("name", [str(SHA256), SHA512])
def test_a_layer_exists_under_each_of_its_digests(store: LayerService, name: str) -> None:
    """Finished by its sha512, a layer has its sha256 for a name, too."""
    assert not store.exists("a", name)
    store_layer(store, "a", wanted=SHA512)
    assert store.exists("a", name)
    assert not store.exists("b", name)


def test_a_layer_that_is_not_there_is_named_in_the_error(store: LayerService) -> None:
    """The error carries the repository and the manifest's entry."""
    store_layer(store, "elsewhere")
    with pytest.raises(UnknownLayerError) as caught:
        store.fetch("a", SHA256)
    assert (caught.value.name, caught.value.fs_layer) == ("a", FSLayer(str(SHA256)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        b"sha256:../../x",
        f"{SHA256}\n".encode(),
        digest(OTHER).encode(),
        SHA512.encode(),
        TARSUM.encode(),
        f"{SHA256}".encode() * 9,
    ],
)
def test_a_damaged_link_leads_nowhere(store: LayerService, raw: CheckedDriver, text: bytes) -> None:
    """A link of a sha256 that says anything but that sha256 is no link, also where what it says is a layer."""
    store_layer(store, "a", OTHER)
    store_layer(store, "a")
    raw.put(layout.link("a", SHA256), text)
    assert not store.exists("a", SHA256)
    with pytest.raises(UnknownLayerError):
        store.fetch("a", SHA256)


EMPTY = f"sha256:{hashlib.sha256().hexdigest()}"
EMPTY512 = f"sha512:{hashlib.sha512().hexdigest()}"
DISPROVED = {
    "no bytes": (str(SHA256), str(SHA256), b""),
    "no bytes, by another name": (SHA512, str(SHA256), b""),
    "bytes, where none belong": (EMPTY, EMPTY, b"x"),
    "bytes, by another name": (EMPTY512, str(SHA256), DATA),
    "no bytes, by a name of some": (SHA512, EMPTY, b""),
}


@pytest.mark.parametrize(("name", "target", "content"), DISPROVED.values(), ids=DISPROVED)
def test_a_blob_that_its_size_disproves_is_no_layer(
    store: LayerService, raw: CheckedDriver, name: str, target: str, content: bytes
) -> None:
    """The digest of no bytes is known, and so is that no others have it; nothing is read to see that."""
    raw.put(layout.blob(Digest.parse(target)), content)
    raw.put(layout.link("a", Digest.parse(name)), target.encode())
    assert not store.exists("a", name)
    with pytest.raises(UnknownLayerError):
        store.fetch("a", name)
    with pytest.raises(UnknownLayerError):
        store.mount("b", name, source="a")
    assert not store.exists("b", name)
    assert list(store.layers()) == []
    assert store.upload("a", expected=name).tell() == 0


def test_a_blob_that_its_size_disproves_is_healed_by_an_upload(store: LayerService, raw: CheckedDriver) -> None:
    """A blob that is there already is not taken for good."""
    raw.put(layout.blob(SHA256), b"")
    raw.put(layout.link("a", SHA256), str(SHA256).encode())
    store_layer(store, "a")
    assert store.fetch("a", SHA256).read() == DATA


def test_a_layer_of_no_bytes_is_one(store: LayerService) -> None:
    """By each of its digests."""
    store.upload("a").finish(EMPTY512).close()
    for name in (EMPTY, EMPTY512):
        assert store.exists("a", name)
        assert store.fetch("a", name).read() == b""
        assert store.mount("b", name, source="a").size == 0


def test_a_link_to_no_blob_is_no_layer(store: LayerService, raw: CheckedDriver) -> None:
    """A layer whose bytes are gone is not there, and no driver error."""
    store_layer(store, "a")
    raw.delete(layout.blob(SHA256))
    assert not store.exists("a", SHA256)
    assert list(store.layers("a")) == []
    with pytest.raises(UnknownLayerError):
        store.fetch("a", SHA256)


def test_tarfile_reads_a_layer(store: LayerService) -> None:
    """A layer is the file object that ``tarfile`` takes, going back and forth."""
    store_layer(store, "a", ARCHIVE)
    with store.fetch("a", digest(ARCHIVE)) as layer, tarfile.open(fileobj=layer) as archive:
        assert archive.getnames() == ["one", "two"]
        assert [stream.read() for name in ("two", "one") if (stream := archive.extractfile(name))] == [OTHER, DATA]


def test_zipfile_reads_a_layer(store: LayerService) -> None:
    """A layer is the file object that ``zipfile`` takes, which begins at its end."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("one", DATA)
    store_layer(store, "a", stream.getvalue())
    with store.fetch("a", digest(stream.getvalue())) as layer, zipfile.ZipFile(layer) as archive:
        assert archive.read("one") == DATA


def test_shutil_copies_a_layer(store: LayerService) -> None:
    """A layer is a source for ``shutil.copyfileobj``."""
    store_layer(store, "a")
    target = io.BytesIO()
    with store.fetch("a", SHA256) as layer:
        shutil.copyfileobj(layer, target, 999)
    assert target.getvalue() == DATA


def test_a_buffered_reader_takes_a_layer(store: LayerService) -> None:
    """A layer is the raw end of an ``io.BufferedReader``, which closes it."""
    store_layer(store, "a")
    layer = store.fetch("a", SHA256)
    with io.BufferedReader(layer, 64) as buffered:
        assert (buffered.peek(1)[:1], buffered.read(), buffered.seek(-3, 2)) == (DATA[:1], DATA, len(DATA) - 3)
    assert layer.closed


def test_a_layer_is_read_into_a_buffer(store: LayerService) -> None:
    """``readinto`` fills what it is given, and is at the end after the last byte."""
    store_layer(store, "a", OTHER)
    layer, buffer = store.fetch("a", digest(OTHER)), bytearray(500)
    assert [layer.readinto(buffer) for _ in range(3)] == [500, 200, 0]
    assert bytes(buffer) == OTHER[500:] + OTHER[200:500]


def test_seeking_to_the_end_of_a_layer_costs_no_read(counted: tuple[LayerService, Counts]) -> None:
    """How long a layer is, is known without reading it."""
    store, counts = counted
    store_layer(store, "a")
    layer = store.fetch("a", SHA256)
    before = counts.bytes_read
    assert (layer.seek(0, io.SEEK_END), layer.tell(), layer.read(1)) == (len(DATA), len(DATA), b"")
    assert (layer.seekable(), layer.readable(), layer.writable()) == (True, True, False)
    assert counts.bytes_read == before


def test_a_layer_has_nothing_before_its_start(store: LayerService) -> None:
    """A seek to a negative offset is refused, and the position stays."""
    store_layer(store, "a")
    layer = store.fetch("a", SHA256)
    layer.seek(5)
    with pytest.raises(InvalidOffsetError):
        layer.seek(-6, io.SEEK_CUR)
    assert layer.read(3) == DATA[5:8]


CLOSED: dict[str, Callable[[layerstore.Layer], Any]] = {
    "read": lambda layer: layer.read(1),
    "readall": lambda layer: layer.readall(),
    "readinto": lambda layer: layer.readinto(bytearray(1)),
    "seek": lambda layer: layer.seek(0),
    "tell": lambda layer: layer.tell(),
}


@pytest.mark.parametrize("action", CLOSED.values(), ids=CLOSED)
def test_a_closed_layer_refuses(store: LayerService, action: Callable[[layerstore.Layer], Any]) -> None:
    """Closed, and closed again, a layer says that it is closed."""
    store_layer(store, "a")
    layer = store.fetch("a", SHA256)
    layer.close()
    layer.close()
    with pytest.raises(LayerClosedError, match="is closed"):
        action(layer)


def test_a_layer_gives_its_reader_back(store: LayerService) -> None:
    """Closing a layer closes the reader below."""
    store_layer(store, "a")
    layer = store.fetch("a", SHA256)
    reader = layer._opened()
    layer.close()
    assert reader.closed


def test_a_layer_whose_constructor_failed_is_collected_quietly(recwarn: pytest.WarningsRecorder) -> None:
    """There is no reader to close yet, and no message without a traceback to follow."""
    with pytest.raises(TypeError):
        layerstore.Layer()  # type: ignore[call-arg]  # that it fails is the point
    assert not recwarn.list


def test_a_mounted_layer_is_there_without_a_byte_copied(counted: tuple[LayerService, Counts], url: str) -> None:
    """Mounting writes links, and reads nothing of the layer."""
    store, counts = counted
    store_layer(store, "source")
    written, read = counts.bytes_written, counts.bytes_read
    layer = store.mount("target/repo", SHA256, source="source")
    assert (counts.bytes_written - written, counts.calls["move"]) == (len(str(SHA256)), 0)
    assert counts.bytes_read - read <= 3 * len(str(SHA256))
    assert (layer.name, layer.read()) == ("target/repo", DATA)
    assert layerstore.open(url).exists("target/repo", SHA256)


def test_a_layer_mounted_by_its_sha512_is_there_by_its_sha256(store: LayerService) -> None:
    """A mounted layer has its canonical name in the new repository, too."""
    store_layer(store, "source", wanted=SHA512)
    assert store.mount("target", SHA512, source="source").digest == Digest.parse(SHA512)
    assert store.exists("target", SHA256)


def test_what_the_source_lacks_is_not_mounted(store: LayerService) -> None:
    """That another repository has a layer does not help: the source must have it."""
    store_layer(store, "elsewhere")
    with pytest.raises(UnknownLayerError) as caught:
        store.mount("target", SHA256, source="source")
    assert caught.value.name == "source"
    assert not store.exists("target", SHA256)


def test_a_tarsum_that_is_taken_is_not_mounted_over(store: LayerService) -> None:
    """Other bytes have the tarsum in the target already, and keep it."""
    store_layer(store, "source", ARCHIVE, TARSUM)
    store_layer(store, "target", LATER, TARSUM)
    with pytest.raises(LayerExistsError):
        store.mount("target", TARSUM, source="source")
    assert store.fetch("target", TARSUM).read() == LATER


def test_an_unlinked_layer_is_gone_from_its_repository_only(store: LayerService, raw: CheckedDriver) -> None:
    """The bytes stay, and so does what other repositories have."""
    store_layer(store, "a")
    store.mount("b", SHA256, source="a")
    store.unlink("a", SHA256)
    assert (store.exists("a", SHA256), store.exists("b", SHA256)) == (False, True)
    assert raw.get(layout.blob(SHA256), WHOLE) == DATA


def test_an_unlinked_name_leaves_the_others(store: LayerService) -> None:
    """A layer that is known by two digests keeps the other one."""
    store_layer(store, "a", wanted=SHA512)
    store.unlink("a", SHA512)
    assert (store.exists("a", SHA512), store.exists("a", SHA256)) == (False, True)


def test_unlinking_what_is_not_linked_is_an_error(store: LayerService) -> None:
    """Unlinked once, a layer is unknown."""
    store_layer(store, "a")
    store.unlink("a", SHA256)
    with pytest.raises(UnknownLayerError) as caught:
        store.unlink("a", SHA256)
    assert caught.value.fs_layer == FSLayer(str(SHA256))


def test_repositories_are_those_with_a_layer_an_upload_or_a_manifest(store: LayerService, raw: CheckedDriver) -> None:
    """Each is named once, also where one lies below another, and nothing else is."""
    assert list(store.repositories()) == []
    store_layer(store, "a/b")
    store_layer(store, "a/b/c")
    store.upload("a/b").close()
    store.upload("only-upload").close()
    raw.put(f"{layout.REPOSITORIES}/x/_manifests/tags/latest/current/link", b"sha256:...")
    raw.put(f"{layout.REPOSITORIES}/stray", b"")
    assert list(store.repositories()) == ["a/b", "a/b/c", "only-upload", "x"]


@pytest.mark.parametrize("after", ["", "a", "a/b", "a/b/c", "a-b", "a/a", "a/b/d", "0", "b/c", "c"])
def test_a_listing_of_repositories_goes_on_after_any_name(store: LayerService, after: str) -> None:
    """In the order of paths, whether that name is there or not."""
    names = ["a", "a/b", "a/b/c", "a-b", "a-b/c", "a.b", "b/c"]
    for name in reversed(names):
        store.begin(name)
    assert list(store.repositories()) == names
    assert list(store.repositories(after=after)) == [name for name in names if name.split("/") > after.split("/")]


def test_what_lies_before_a_name_is_not_asked_for(counted: tuple[LayerService, Counts]) -> None:
    """A page of a listing does not cost what all pages before it did."""
    store, counts = counted
    for name in ("a/b/c", "b/c", "c"):
        store.begin(name)
    assert list(store.repositories(after="b")) == ["b/c", "c"]
    assert counts.calls["list"] + counts.calls["scan"] == 4  # the top, b, b/c, c


def test_layers_are_listed_under_each_digest(store: LayerService, raw: CheckedDriver) -> None:
    """A listing tells repository, digest, size and time of every link."""
    store_layer(store, "a", wanted=SHA512)
    store_layer(store, "a", ARCHIVE, TARSUM)
    listed = {str(info.digest): (info.name, info.size) for info in store.layers("a")}
    assert listed == {
        str(SHA256): ("a", len(DATA)),
        SHA512: ("a", len(DATA)),
        digest(ARCHIVE): ("a", len(ARCHIVE)),
        TARSUM: ("a", len(ARCHIVE)),
    }
    info = next(info for info in store.layers("a") if info.digest == SHA256)
    assert info.created_at == raw.stat(layout.link("a", SHA256)).modified


def test_layers_of_all_repositories_are_listed(store: LayerService) -> None:
    """Without a name, every repository's are."""
    for name in ("a", "b/c"):
        store_layer(store, name)
    assert [(info.name, info.digest) for info in store.layers()] == [("a", SHA256), ("b/c", SHA256)]
    assert [info.name for info in store.layers("b/c")] == ["b/c"]


def test_what_is_no_layer_is_not_listed(store: LayerService, raw: CheckedDriver) -> None:
    """A directory that is no digest, and a link that is damaged, spoil no listing."""
    store_layer(store, "a")
    raw.put(f"{layout.layers('a')}/sha256/not-hex/link", b"x")
    raw.put(f"{layout.layers('a')}/sha256/{'0' * 64}/link", b"damaged")
    raw.put(f"{layout.layers('a')}/sha256/stray", b"x")
    assert [info.digest for info in store.layers()] == [SHA256]


@pytest.mark.parametrize("path", ["UPPER", "a/B", "-a", "_layers", "x" * 200 + "/" + "y" * 200])
def test_what_is_no_repository_is_not_listed(store: LayerService, raw: CheckedDriver, path: str) -> None:
    """A directory with no repository's name that looks like one spoils no listing."""
    store_layer(store, "a")
    raw.put(f"{layout.REPOSITORIES}/{path}/_layers/sha256/{'0' * 64}/link", b"x")
    assert list(store.repositories()) == ["a"]
    assert [info.name for info in store.layers()] == ["a"]
    assert list(store.uploads()) == []


PLACES = (
    layout.REPOSITORIES,
    f"{layout.REPOSITORIES}/a",
    layout.layers("a"),
    layout.links("a", "sha256"),
    layout.uploads("a"),
)
LISTINGS: dict[str, tuple[Callable[[LayerService], Iterable[object]], int]] = {
    "repositories": (lambda store: store.repositories(), 2),
    "layers": (lambda store: store.layers(), 4),
    "layers of one": (lambda store: store.layers("a"), 2),
    "uploads": (lambda store: store.uploads(), 3),
    "uploads of one": (lambda store: store.uploads("a"), 1),
}


@pytest.mark.parametrize(("listing", "met"), LISTINGS.values(), ids=LISTINGS)
def test_what_is_not_understood_is_passed_over_and_told_of_once(
    store: LayerService,
    strewn: Strewn,
    caplog: pytest.LogCaptureFixture,
    listing: Callable[[LayerService], Iterable[object]],
    met: int,
) -> None:
    """One such thing spoils no listing: all else is listed, and one warning names the first and counts the rest."""
    store_layer(store, "a")
    store.upload("a").close()
    whole = list(listing(store))
    for prefix in PLACES:
        strewn.leave(prefix)
    assert list(listing(LayerService(strewn))) == whole != []
    (record,) = caplog.records
    more = f", and {met - 1} more" if met > 1 else ""
    message = rf"passed over docker/.*/thing, not understood: a symlink{more}; scrub lists all"
    assert re.fullmatch(message, record.getMessage())
    assert (record.name, record.levelname) == ("layerstore", "WARNING")


def test_the_same_thing_is_counted_once(strewn: Strewn, caplog: pytest.LogCaptureFixture) -> None:
    """A symlink above all is met in every listing of a driver's; a listing that meets nothing says nothing."""
    list(LayerService(strewn).layers())
    assert caplog.records == []
    store_layer(LayerService(strewn), "a")
    for prefix in PLACES:
        strewn.things.append((prefix, Foreign("docker", "a symlink")))
    list(LayerService(strewn).layers())
    assert [record.getMessage() for record in caplog.records] == [
        "passed over docker, not understood: a symlink; scrub lists all"
    ]


class Blank(PassingDriver):
    """Lists names that are no keys, as a container does that others write to."""

    def list(self, prefix: str) -> Iterator[str]:
        """Add two."""
        yield from self.inner.list(prefix)
        yield from (f"{prefix}/my repo/", f"{prefix}/umläut")


def test_a_name_that_is_no_key_spoils_no_listing(store: LayerService, url: str) -> None:
    """One in the whole store made every listing of all fail."""
    store_layer(store, "a")
    store.upload("a").close()
    blank = LayerService(Blank(open_driver(url)))
    assert list(blank.layers()) == list(store.layers())
    assert list(blank.uploads()) == list(store.uploads())
    assert list(blank.repositories()) == ["a"]


def test_listing_layers_asks_for_the_algorithms_that_are_there(
    counted: tuple[LayerService, Counts],
) -> None:
    """Of a repository with one: its own prefix, the algorithm's, and a link and a blob for each layer."""
    store, counts = counted
    store_layer(store, "a")
    counts.calls.clear()
    assert len(list(store.layers("a"))) == 1
    assert dict(counts.calls) == {"list": 2, "open_reader": 2, "read_at": 1, "stat": 1}


def test_uploads_are_listed_with_their_offsets(store: LayerService, raw: CheckedDriver) -> None:
    """A listing tells what is stored, when the upload was begun, and when it was last written to."""
    with store.upload("a") as upload:
        upload.write(OTHER)
    (info,) = store.uploads()
    assert (info.name, info.uuid, info.offset, info.started_at) == ("a", upload.uuid, len(OTHER), upload.started_at)
    assert info.modified == raw.stat(layout.UploadKeys("a", upload.uuid).data).modified
    assert info.started_at.tzinfo is UTC


def test_an_upload_without_a_byte_is_listed_at_its_start(store: LayerService, raw: CheckedDriver) -> None:
    """Closed before anything was written, an upload is there at offset 0; so is one that has no data at all."""
    with store.upload("a"):
        pass
    keys = layout.UploadKeys("b", UUID)
    raw.put(keys.started_at, b"2015-01-21T16:42:05Z")
    (closed,), (without,) = store.uploads("a"), store.uploads("b")
    assert (closed.offset, without.offset) == (0, 0)
    assert without.modified == without.started_at


def test_an_upload_that_was_not_flushed_is_nobodys_business(store: LayerService, raw: CheckedDriver) -> None:
    """It is not listed, cannot be resumed, and its repository is none; what was written is its handle's alone."""
    upload = store.upload("a")
    upload.write(DATA)
    assert (list(store.uploads()), list(store.repositories()), list(keys_below(raw, ""))) == ([], [], [])
    with pytest.raises(layerstore.UnknownUploadError):
        store.resume("a", upload.uuid)
    with pytest.raises(layerstore.UnknownUploadError):
        store.cancel("a", upload.uuid)
    assert upload.finish(digest(DATA)).read() == DATA


def test_what_is_no_upload_is_not_listed(store: LayerService, raw: CheckedDriver) -> None:
    """A directory that is no UUID, and bytes without a beginning, are no uploads."""
    upload = store.upload("a")
    upload.flush()
    raw.put(f"{layout.uploads('a')}/not-a-uuid/startedat", b"x")
    raw.put(f"{layout.uploads('a')}/{'0' * 8}-0000-0000-0000-{'0' * 12}/data", b"x")
    assert [info.uuid for info in store.uploads()] == [upload.uuid]


def test_looking_takes_nothing_away(store: LayerService, raw: CheckedDriver) -> None:
    """Data that an upload has left, or that nobody else knows of, is removed by cancel or purge, not by a look."""
    keys = layout.UploadKeys("a", UUID)
    raw.put(keys.data, b"x")
    assert list(store.uploads()) == []
    assert raw.get(keys.data, 10) == b"x"
    with pytest.raises(layerstore.UnknownUploadError):
        store.resume("a", keys.uuid)
    assert raw.get(keys.data, 10) == b"x"
    with pytest.raises(layerstore.UnknownUploadError):
        store.cancel("a", keys.uuid)
    assert raw.find(keys.data) is None


def test_a_finished_upload_is_not_listed(store: LayerService) -> None:
    """Data that has become a layer is no upload any more."""
    store_layer(store, "a")
    assert list(store.uploads()) == []


STARTED = {
    b"2015-01-21T16:42:05Z": datetime(2015, 1, 21, 16, 42, 5, tzinfo=UTC),
    b"2015-01-21T16:42:05.123456789Z": datetime(2015, 1, 21, 16, 42, 5, 123456, tzinfo=UTC),
    b"2015-01-21T16:42:05+02:00": datetime(2015, 1, 21, 14, 42, 5, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "moment"), STARTED.items())
def test_a_beginning_is_read_as_a_registry_writes_it(
    store: LayerService, raw: CheckedDriver, text: bytes, moment: datetime
) -> None:
    """RFC 3339 with a zone or a fraction of a second is understood."""
    upload = store.upload("a")
    upload.flush()
    raw.put(layout.UploadKeys("a", upload.uuid).started_at, text)
    assert store.resume("a", upload.uuid).started_at == moment


@pytest.mark.parametrize("text", [b"", b"yesterday", b"\xff", b"0001-01-01T00:00:00+23:59", b"2015-02-30T00:00:00Z"])
def test_a_damaged_beginning_is_no_end(store: LayerService, raw: CheckedDriver, text: bytes) -> None:
    """An upload whose beginning cannot be read is as old as the object that should tell."""
    upload, key = store.upload("a"), layout.UploadKeys
    raw.put(key("a", upload.uuid).started_at, text)
    moment = raw.stat(key("a", upload.uuid).started_at).modified
    assert store.resume("a", upload.uuid).started_at == moment
    assert [info.started_at for info in store.uploads()] == [moment]


def test_a_beginning_is_written_as_a_registry_reads_it(store: LayerService, raw: CheckedDriver) -> None:
    """RFC 3339 in UTC, to the second."""
    upload = store.upload("a")
    upload.flush()
    text = raw.get(layout.UploadKeys("a", upload.uuid).started_at, 64).decode()
    assert text == f"{upload.started_at:%Y-%m-%dT%H:%M:%S}Z"


def test_a_service_closes_its_driver(url: str) -> None:
    """Leaving a ``with`` block, and closing again, closes the driver once."""
    closed = []

    class Closing(ObservedDriver):
        def close(self) -> None:
            closed.append(self)

    with LayerService(Closing(open_driver(url), Counts.zero())) as store:
        store.upload("a")
    store.close()
    assert len(closed) == 1


def test_a_policy_that_is_none_is_refused(url: str) -> None:
    """The policies are ``resume`` and ``reread``."""
    with pytest.raises(ValueError, match="resume, reread, not 'never'"):
        layerstore.open(url, verify="never")  # type: ignore[arg-type]  # that it is refused is the point

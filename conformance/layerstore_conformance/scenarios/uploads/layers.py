"""Layers: when they were linked, what becomes of one whose blob goes, and by which names an archive is found."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    LayerStoreError,
    UnknownLayerError,
    layout,
)
from layerstore.tarsum import tarsums
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.layers import begin, blob, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import fetched
from layerstore_conformance.steps.watching import Trap, fail, number, of, watched

if TYPE_CHECKING:
    from layerstore import Layer, LayerService, LayerUpload
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "upload"


def _put_until_later(driver: CheckedDriver, key: str, data: bytes, than: str) -> None:
    """Put an object until it is younger than another one, for clocks of backends may be coarse."""
    driver.put(key, data)
    while driver.stat(key).modified <= driver.stat(than).modified:
        driver.put(key, data)


@scenario("S1", kills=("created-when-the-blob-was",))
def a_layer_was_created_when_it_was_linked(ctx: Context) -> None:
    """The ``created_at`` of a layer, fetched or listed, is when this repository got it, not when its bytes came."""
    data, driver = ctx.payload("created").read(700), ctx.open()
    store(ctx.service(), "first", data)
    key = link("later", digest(data))
    _put_until_later(driver, key, digest(data).encode(), blob(data))
    linked = driver.stat(key).modified
    with ctx.service().fetch("later", digest(data)) as layer:
        assert layer.created_at == linked, f"linked at {linked}, fetched as of {layer.created_at}"
    (info,) = ctx.service().layers("later")
    assert info.created_at == linked, f"linked at {linked}, listed as of {info.created_at}"


@scenario("S1", kills=("status-by-the-start",))
def a_status_says_when_bytes_were_last_stored(ctx: Context) -> None:
    """The ``modified`` of an upload, by its status or in a listing, is when its data was last stored."""
    driver, uuid = ctx.open(), begin(ctx.service(), "a", b"some")
    keys = layout.UploadKeys("a", uuid)
    begun = driver.stat(keys.started_at).modified
    with ctx.service().resume("a", uuid) as upload:
        while driver.stat(keys.data).modified <= begun:
            upload.write(b"more")
            upload.flush()
    (listed,) = ctx.service().uploads("a")
    stored = driver.stat(keys.data).modified
    told = (ctx.service().status("a", uuid).modified, listed.modified)
    assert told == (stored, stored), f"stored at {stored}, told {told}"


@scenario("R2", "R6", kills=("layer-beyond-its-end-is-read",))
def a_layer_is_read_from_beyond_its_end(ctx: Context) -> None:
    """Beyond the end of a layer every way to read returns nothing, and a seek back reads on."""
    data = ctx.payload("beyond").read(3000)
    store(ctx.service(), "a", data)
    with ctx.service().fetch("a", digest(data)) as layer:
        for offset in (len(data), len(data) + 1, len(data) + (1 << 40)):
            layer.seek(offset)
            found = (layer.readall(), layer.read(), layer.read(5), layer.readinto(bytearray(5)), layer.tell())
            assert found == (b"", b"", b"", 0, offset), f"at {offset} of {len(data)} bytes: {found}"
        layer.seek(-10, io.SEEK_END)
        ctx.same(layer.readall(), data[-10:], "after a seek back")


def _into(layer: Layer, count: int) -> bytes:
    buffer = bytearray(count)
    return bytes(buffer[: layer.readinto(buffer)])


WAYS: dict[str, Callable[[Layer, int], bytes]] = {
    "read": lambda layer, count: layer.read(count),
    "readall": lambda layer, count: layer.readall()[:count],
    "readinto": _into,
    "two reads": lambda layer, count: layer.read(count // 2) + layer.read(count - count // 2),
}


@scenario("R6", "R2", kills=("a-seek-before-the-first-read-is-lost",), axes=(Axis("way", WAYS),))
def a_layer_is_read_from_where_it_was_sought(ctx: Context, way: Callable[[Layer, int], bytes]) -> None:
    """A layer is read from where it was sought, also if that was before its first read, finished or fetched."""
    data, service = ctx.payload("sought").read(3000), ctx.service()
    for kind in ("finished", "fetched"):
        for seeks in ((700,), (2000, 700), (-2300, 0, 700), (3000, 700)):
            with _finished(service, data) if kind == "finished" else service.fetch("a", digest(data)) as layer:
                for offset in seeks:
                    layer.seek(offset, io.SEEK_END if offset < 0 else io.SEEK_SET)
                assert layer.tell() == 700, f"sought to 700, at {layer.tell()}"
                ctx.same(way(layer, 500), data[700:1200], f"of a {kind} layer, sought to {seeks} before its first read")
                layer.seek(100)
                ctx.same(way(layer, 50), data[100:150], f"of a {kind} layer, sought back")


def _finished(service: LayerService, data: bytes) -> Layer:
    upload = service.upload("a")
    upload.write(data)
    return upload.finish(digest(data))


@scenario("R3", "E1", kills=("a-finished-layer-that-went-is-a-missing-key",))
def a_finished_layer_whose_blob_went_is_unknown(ctx: Context) -> None:
    """A layer that a finish returned, and whose blob is gone when it is first read, raises UnknownLayerError."""
    data = ctx.payload("gone").read(3000)
    upload = ctx.service().upload("a")
    upload.write(data)
    layer = upload.finish(digest(data))
    ctx.open().delete(blob(data))
    with refused(UnknownLayerError) as refusal:
        layer.read(1)
    layer.close()
    assert (refusal.error.name, refusal.error.fs_layer.blob_sum) == ("a", digest(data))


@scenario("R3", "S1", kills=("a-layer-of-no-bytes-is-any-layer",))
def a_layer_whose_blob_has_no_bytes_is_unknown(ctx: Context) -> None:
    """An empty blob is the layer of no bytes, and no other one; a blob with bytes is not the layer of no bytes.

    A disk that was full, or a copy that was cut off, leaves an empty file under a layer's name.
    """
    data, driver, service = ctx.payload("emptied").read(700), ctx.open(), ctx.service()
    for name, right, wrong in (("a", data, b""), ("b", b"", data)):
        store(service, name, right)
        driver.put(blob(right), wrong)
        assert not service.exists(name, digest(right)), f"there is a layer of {len(right)} bytes that has {len(wrong)}"
        assert not service.renew(name, digest(right)), f"renewed a layer of {len(right)} bytes that has {len(wrong)}"
        with refused(UnknownLayerError):
            service.fetch(name, digest(right))
        driver.put(blob(right), right)
        assert service.exists(name, digest(right))
        ctx.same(fetched(ctx, name, digest(right)), right, "mended")


@scenario("M1", "R3", kills=("mount-does-not-look-again",))
def a_mount_whose_blob_goes_meanwhile_is_refused(ctx: Context) -> None:
    """A mount raises UnknownLayerError if the blob is gone once it is linked: a push must not be told that it is there.

    A collection that began before the mount may delete it.
    """
    data, trap = ctx.payload("collected").read(700), Trap("after")
    store(ctx.service(), "source", data)
    service = watched(ctx, trap)
    trap.set(of("put", "/target/"), lambda: ctx.open().delete(blob(data)))
    with refused(UnknownLayerError):
        service.mount("target", digest(data), source="source").close()
    assert trap.sprung


@scenario("W5", "P1", kills=("damaged-claim-keeps-its-end",))
def a_damaged_link_of_a_tarsum_is_written_anew(ctx: Context) -> None:
    """A finish by a tarsum whose link is damaged, be it shorter or longer than a link, leaves a whole one."""
    for index, damaged in enumerate((b"", b"sha256:", b"x" * 71, b"x" * 90)):
        data = archive(f"file-{index}")
        ctx.open().put(link("a", tarsum_of(data)), damaged)
        upload = ctx.service().upload("a")
        upload.write(data)
        upload.finish(tarsum_of(data)).close()
        assert ctx.service().exists("a", tarsum_of(data)), f"unknown after a link of {len(damaged)} bytes was damaged"
        ctx.same(fetched(ctx, "a", tarsum_of(data)), data, f"over a damaged link of {len(damaged)} bytes")


@scenario("P1", "R1", kills=("tarsum-by-one-formula",))
def an_archive_is_found_by_both_of_its_tarsums(ctx: Context) -> None:
    """An archive is finished, and found, by the tarsum of either formula of its label."""
    data = archive("z-last", "a-first", owner="somebody")
    sums = tarsums(io.BytesIO(data))
    assert len(set(sums)) == 2, "the two tarsums are the same"
    for index, each in enumerate(sums):
        upload = ctx.service().upload(f"a/{index}")
        upload.write(data)
        upload.finish(f"tarsum.v1+sha256:{each}", len(data)).close()
        ctx.same(fetched(ctx, f"a/{index}", f"tarsum.v1+sha256:{each}"), data, f"by tarsum {index}")


def _fenced(service: LayerService) -> None:
    first = service.upload("a")
    first.write(b"first")
    first.flush()
    service.resume("a", first.uuid).close()
    with _closed(first):
        first.write(b"second")
        first.flush()


@contextmanager
def _closed(upload: LayerUpload) -> Iterator[None]:
    """Close an upload at the end of the block, whatever it says then."""
    try:
        yield
    finally:
        with suppress(LayerStoreError):
            upload.close()


def _of_an_upload(act: Callable[[LayerUpload], object]) -> Callable[[LayerService], object]:
    def ask(service: LayerService) -> None:
        upload = service.upload("a")
        upload.write(b"some bytes")
        with _closed(upload):
            act(upload)

    return ask


ID = "0" * 8 + "-0000-0000-0000-" + "0" * 12

ASKS: dict[str, Callable[[LayerService], object]] = {
    "an unknown layer": lambda service: service.fetch("a", digest(b"unknown")),
    "unlinking an unknown layer": lambda service: service.unlink("a", digest(b"unknown")),
    "mounting an unknown layer": lambda service: service.mount("b", digest(b"unknown"), source="a"),
    "an upload of a layer that is there": lambda service: service.upload("a", expected=store(service, "a", b"there")),
    "an unknown upload": lambda service: service.resume("a", ID),
    "the status of an unknown upload": lambda service: service.status("a", ID),
    "cancelling an unknown upload": lambda service: service.cancel("a", ID),
    "another offset": lambda service: service.resume("a", begin(service, "a", b"bytes"), offset=2),
    "no name": lambda service: service.exists("No Name", digest(b"")),
    "no digest": lambda service: service.exists("a", "md5:0"),
    "no id": lambda service: service.status("a", "../b"),
    "another digest": _of_an_upload(lambda upload: upload.finish(digest(b"others"))),
    "another size": _of_an_upload(lambda upload: upload.finish(digest(b"some bytes"), 2)),
    "no archive": _of_an_upload(lambda upload: upload.finish(tarsum_of(archive("file")))),
    "a negative offset": _of_an_upload(lambda upload: upload.seek(-1)),
    "a closed upload": _of_an_upload(lambda upload: [upload.close(), upload.flush()]),
    "a fenced upload": _fenced,
}


@scenario("E1", kills=("subject-is-not-pickled", "subject-is-lost-by-naming"))
def an_error_of_a_service_travels_between_processes(ctx: Context) -> None:
    """Every error that a service or an upload raises has the same message when it was pickled or made of its ``args``.

    A pool of workers sends the error to who waits; one that cannot be made anew breaks the pool.
    """
    for name, ask in ASKS.items():
        with refused(LayerStoreError) as refusal:
            ask(ctx.service())
        _travels(refusal.error, name)
    _travels(BackendUnavailableError("key", "reset").about("upload 5").named("memory"), "named after its subject")
    for index in range(1000):
        trap = Trap()
        service = watched(ctx, trap)
        uuid = begin(service, "failing", b"bytes")
        trap.set(number(index), fail)
        with suppress(BackendUnavailableError):
            _go_on(service, uuid, f"call {index}")
        if not trap.sprung:
            break


def _go_on(service: LayerService, uuid: str, name: str) -> None:
    try:
        service.status("failing", uuid)
        upload = service.resume("failing", uuid, offset=5)
        upload.write(b" and more")
        upload.flush()
        upload.finish(digest(b"bytes and more")).close()
    except BackendUnavailableError as error:
        _travels(error, name)
        raise


def _travels(error: Exception, name: str) -> None:
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301  (pickled in the same line)
    except Exception as failure:
        raise AssertionError(f"{name}: {type(error).__name__} does not pickle: {failure}") from failure
    for each in (copy, type(error)(*error.args)):
        assert (type(each), str(each)) == (type(error), str(error)), f"{name}: {each} instead of {error}"

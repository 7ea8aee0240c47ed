"""The requests of each call and of each whole use: exact numbers, by the names of Microsoft's documentation.

docs/azure.md quotes these tables. On Azurite, opening a reader takes one request more than on an account.
"""

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob import ContainerClient

import layerstore
from layerstore import FencedError, LayerService, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore.driver import Writer
from layerstore_drivers.azure.client import _Transport
from layerstore_drivers.azure.emulator import Azurite
from layerstore_drivers.azure.found import MOVING, new_mark

if TYPE_CHECKING:
    from tests.azure_strict import ACCOUNT, Asked
else:
    from azure_strict import ACCOUNT, Asked

pytestmark = pytest.mark.xdist_group("azurite")

BLOCK = 1 << 20
LAYER = bytes(range(256)) * (3 * BLOCK // 256) + b"the end"
"""Three blocks, and a short one."""

_numbers = itertools.count()


class Counting(_Transport):
    """The driver's own transport, which counts what is asked."""

    def __init__(self, endpoint: str) -> None:
        """Begin with nothing."""
        super().__init__(endpoint, 60)
        self.asked: list[str] = []

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Send a request."""
        self.asked.append(Asked(request).name)
        return super().send(request, **kwargs)

    def counted(self, act: Callable[[], object]) -> dict[str, int]:
        """Return what is asked while something is done."""
        self.asked.clear()
        act()
        return dict(Counter(self.asked))


@pytest.fixture(scope="module")
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """Return one container; every test has a prefix of its own in it."""
    with ContainerClient(azurite.endpoint, f"requests-{os.getpid()}", ACCOUNT) as client:
        client.create_container()
        yield client
        client.delete_container()


@pytest.fixture
def wire(azurite: Azurite) -> Iterator[Counting]:
    """Return a transport that counts."""
    transport = Counting(azurite.endpoint)
    yield transport
    transport.close()


@pytest.fixture
def url(azurite: Azurite, container: ContainerClient) -> str:
    """Return the URL of an empty store."""
    return azurite.url(str(container.container_name), f"trial-{next(_numbers)}", block_size=str(BLOCK))


@contextmanager
def writing(driver: CheckedDriver, key: str) -> Iterator[Writer]:
    """Open a writer, which is not flushed at the end: it may be fenced by then."""
    writer = driver.open_writer(key)
    yield writer
    writer.discard()


@pytest.fixture
def driver(url: str, wire: Counting) -> Iterator[CheckedDriver]:
    """Return a driver with an object of two blocks under ``key``, and one below ``folder``."""
    with closing(layerstore.open_driver(url, transport=wire)) as opened:
        with writing(opened, "key") as writer:
            writer.write(LAYER[: BLOCK + 1])
            writer.flush()
        del writer
        opened.put("folder/key", b"data")
        yield opened


@pytest.fixture
def store(url: str, wire: Counting) -> Iterator[LayerService]:
    """Return a store."""
    with layerstore.open(url, transport=wire) as opened:
        yield opened


def as_seen_from(driver: CheckedDriver, *, emulated: bool) -> None:
    """Have the driver take the server for Azurite, or for an account's."""
    driver.inner._blobs.emulated = emulated  # type: ignore[attr-defined]  # Azure's


Asks = dict[str, int]

CALLS: dict[str, tuple[Callable[[CheckedDriver], object], Asks]] = {
    "put": (lambda driver: driver.put("key", b"data"), {"Put Blob": 1}),
    "stat": (lambda driver: driver.stat("key"), {"Get Blob Properties": 1}),
    "find, of nothing": (lambda driver: driver.find("none"), {"Get Blob Properties": 1}),
    "open_reader": (lambda driver: driver.open_reader("key").close(), {"Get Blob Properties": 1}),
    "get": (lambda driver: driver.get("folder/key", 9), {"Get Blob Properties": 1, "Get Blob": 1}),
    "open_writer, new": (
        lambda driver: driver.open_writer("new").discard(),
        {"Get Blob Properties": 1, "Put Block List": 1},
    ),
    "open_writer": (
        lambda driver: driver.open_writer("key").discard(),
        {"Get Blob Properties": 1, "Get Block List": 1, "Set Blob Metadata": 1},
    ),
    "open_writer, of what was put": (
        lambda driver: driver.open_writer("folder/key").discard(),
        {"Get Blob Properties": 1, "Get Block List": 1, "Get Blob": 1, "Put Block": 1, "Put Block List": 1},
    ),
    "move": (
        lambda driver: driver.move("key", "to"),
        {"Get Blob Properties": 1, "Set Blob Metadata": 1, "Copy Blob": 1, "Delete Blob": 1},
    ),
    "list": (lambda driver: list(driver.list("folder")), {"List Blobs": 1}),
    "scan": (lambda driver: list(driver.scan("folder")), {"List Blobs": 1}),
    "delete": (lambda driver: driver.delete("key"), {"Delete Blob": 1, "List Blobs": 1}),
    "delete, of a prefix": (lambda driver: driver.delete("folder"), {"Delete Blob": 2, "List Blobs": 1}),
}
"""A call of an object that was published and that nobody has open."""


@pytest.mark.parametrize("name", CALLS, ids=lambda name: name.replace(",", "").replace(" ", "-"))
def test_a_call_asks_for_what_the_documents_tell(driver: CheckedDriver, wire: Counting, name: str) -> None:
    """Every request is paid for, and waited for: docs/azure.md has these numbers."""
    act, asked = CALLS[name]
    assert wire.counted(lambda: act(driver)) == asked


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_write_of_blocks_asks_once_for_each(driver: CheckedDriver, wire: Counting, blocks: int) -> None:
    """Bytes of n blocks are n requests, and a commit when they are published; without new bytes it is a look."""
    with writing(driver, "new") as writer:
        assert wire.counted(lambda: writer.write(LAYER[: BLOCK - 1])) == {}

        def rest() -> None:
            writer.write(LAYER[BLOCK - 1 : blocks * BLOCK])
            writer.flush()

        assert wire.counted(rest) == {"Put Block": blocks, "Put Block List": 1}
        assert wire.counted(writer.flush) == {"Get Blob Properties": 1}


def test_a_move_of_what_a_writer_has_just_published_needs_no_look(driver: CheckedDriver, wire: Counting) -> None:
    """The writer knows what the blob is; the claim is on condition of its ETag."""
    with writing(driver, "key") as writer:
        writer.flush()
        asked = {"Set Blob Metadata": 1, "Copy Blob": 1, "Delete Blob": 1}
        assert wire.counted(lambda: driver.move("key", "to", version=writer.version)) == asked


def test_a_move_looks_where_its_own_writer_is_behind(driver: CheckedDriver, url: str) -> None:
    """If another driver has replaced the object since, the claim is refused, and the move looks at the new one."""
    with writing(driver, "key") as writer, closing(layerstore.open_driver(url)) as elsewhere:
        writer.flush()
        elsewhere.put("key", b"another")
        with pytest.raises(FencedError):
            driver.move("key", "to", version=writer.version)
        assert driver.get("key", 9) == b"another"


def test_a_move_at_another_version_than_the_writers_is_refused(driver: CheckedDriver) -> None:
    """A writer's knowledge is used only for the version that it has published."""
    before = driver.stat("key").version
    with writing(driver, "key") as writer:
        writer.write(b"more")
        writer.flush()
        with pytest.raises(FencedError):
            driver.move("key", "to", version=before)
    assert driver.find("to") is None


def test_a_move_waits_for_another_one_that_its_writer_has_met(
    driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer opened on a claimed object knows of the claim; the other move may go on first."""
    blobs = driver.inner._blobs  # type: ignore[attr-defined]  # Azure's
    found = blobs.find("key")
    blobs.note("key", {**found.noted(new_mark()), MOVING: f"{new_mark()} elsewhere"}, found.etag)
    monkeypatch.setattr("layerstore_drivers.azure.move.time.sleep", lambda _: driver.delete("key"))
    with writing(driver, "key") as writer:
        writer.flush()
        with pytest.raises(PathNotFoundError):
            driver.move("key", "to")


def test_a_move_of_any_version_takes_what_is_there_now(driver: CheckedDriver, url: str) -> None:
    """The knowledge of a writer of this driver is no more than a hint."""
    with writing(driver, "key") as writer, closing(layerstore.open_driver(url)) as elsewhere:
        writer.flush()
        elsewhere.put("key", b"another")
        driver.move("key", "to")
        assert driver.get("to", 9) == b"another"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _upload(store: LayerService, data: bytes) -> None:
    with store.upload("demo") as upload:
        upload.write(data)
        upload.finish(_digest(data))


def test_a_small_layer_is_two_writes_and_a_look(store: LayerService, wire: Counting) -> None:
    """From its beginning to the end: the blob, the link, and whether the blob is still there."""
    asked = wire.counted(lambda: _upload(store, LAYER[:4096]))
    assert asked == {"Put Blob": 2, "Get Blob Properties": 1}


def test_a_layer_of_blocks_asks_once_for_each_and_for_eight_things_more(store: LayerService, wire: Counting) -> None:
    """Beside its blocks: two to reserve the key, and those of the finish."""
    asked = wire.counted(lambda: _upload(store, LAYER))
    reserved = {"Get Blob Properties": 1, "Put Block List": 1}
    assert asked == Counter(FINISH) + Counter(reserved) + Counter({"Put Block": 4})


FINISH = {
    "Put Block List": 1,  # publish
    "Set Blob Metadata": 1,  # move: claim
    "Copy Blob": 1,
    "Delete Blob": 1,
    "Put Blob": 1,  # the link
    "Get Blob Properties": 1,  # the blob is still there
}
"""Of a layer of blocks that was never flushed, beside the block that it ends with."""


def test_a_finish_of_blocks_asks_six_things_beside_the_last_block(store: LayerService, wire: Counting) -> None:
    """One commits, three move, one links, one looks: each is needed for a promise (docs/azure.md)."""
    with store.upload("demo") as upload:
        upload.write(LAYER)
        asked = wire.counted(lambda: upload.finish(_digest(LAYER)))
    assert asked.pop("Put Block") >= 1  # the last; others may still be on their way
    assert asked == FINISH


def test_an_upload_that_is_kept_asks_for_what_others_need(store: LayerService, wire: Counting) -> None:
    """Begin and close; resume, write and finish: what a push over two connections comes to."""
    begun: list[str] = []

    def begin() -> None:
        with store.upload("demo") as upload:
            begun.append(upload.uuid)

    def go_on() -> None:
        with store.resume("demo", begun[0]) as upload:
            upload.write(LAYER[:4096])
            upload.finish(_digest(LAYER[:4096]))

    assert wire.counted(begin) == {"Get Blob Properties": 2, "Put Block List": 2, "Put Blob": 1}
    assert wire.counted(go_on) == {
        "Get Blob Properties": 4,
        "Get Blob": 1,  # when it began
        "Set Blob Metadata": 2,  # fence, claim
        "Put Block": 1,
        "Put Block List": 1,
        "Put Blob": 2,  # intent, link
        "Copy Blob": 1,
        "List Blobs": 2,
        "Delete Blob": 4,
    }


@pytest.mark.parametrize(
    ("emulated", "asked"),
    [(False, {"Get Blob Properties": 1, "Get Blob": 3}), (True, {"Get Blob Properties": 3, "Get Blob": 2})],
    ids=["account", "azurite"],
)
def test_a_layer_is_found_and_read_by_few_requests(
    store: LayerService, wire: Counting, *, emulated: bool, asked: Asks
) -> None:
    """The link, a look at the blob, its first bytes, and the rest; Azurite brings none with the properties."""
    _upload(store, LAYER)
    as_seen_from(store.driver, emulated=emulated)

    def read() -> None:
        with store.fetch("demo", _digest(LAYER)) as layer:
            assert layer.read() == LAYER

    assert wire.counted(read) == asked


def test_an_account_brings_bytes_with_the_properties(driver: CheckedDriver, wire: Counting) -> None:
    """Where Azurite's flaw need not be worked around, a small object is one request, from opening to end."""
    as_seen_from(driver, emulated=False)
    assert wire.counted(lambda: driver.get("folder/key", 9)) == {"Get Blob": 1}


def test_a_layer_that_is_read_back_asks_for_what_it_was_spared(url: str, wire: Counting) -> None:
    """With verify="reread" an upload is one that others know of, and its bytes are fetched before the move."""
    with layerstore.open(url, transport=wire, verify="reread") as store:
        assert wire.counted(lambda: _upload(store, LAYER)) == {
            "Get Blob Properties": 3,  # reserve; still ours; read back
            "Put Block": 4,
            "Put Block List": 2,
            "Put Blob": 3,  # startedat, intent, link
            "Get Blob": 2,
            "Set Blob Metadata": 1,
            "Copy Blob": 1,
            "List Blobs": 2,
            "Delete Blob": 4,
        }

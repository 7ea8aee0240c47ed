"""The toolkit for object stores: how many requests each call makes, and of which kind."""

from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

from layerstore import LayerService
from layerstore.checked import CheckedDriver
from layerstore.objectstore import Limits, ObjectStoreDriver

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects, write
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects, write


def finish(service: Asked, driver: Objects, data: bytes) -> list[str]:
    """Upload a layer, and return the requests that its finish makes."""
    upload = LayerService(CheckedDriver(driver, "objects")).upload("demo")
    upload.write(data)
    return service.asked(lambda: upload.finish(f"sha256:{sha256(data).hexdigest()}"))


def test_put_and_stat_are_one_request_each(service: Asked, driver: Objects) -> None:
    """A small object is stored by one request, and known by one."""
    assert service.asked(lambda: driver.put("a", b"data")) == ["put"]
    assert service.asked(lambda: driver.stat("a")) == ["get"]


def test_an_object_in_pieces_is_known_by_one_request_too(service: Asked, driver: Objects) -> None:
    """What a writer has published is no dearer to stat."""
    write(driver, "a", bytes(5 * LEAST))
    assert service.asked(lambda: driver.stat("a")) == ["get"]


def test_a_small_layer_is_two_puts_and_a_look(service: Asked, driver: Objects) -> None:
    """A small layer costs the requests of the blob and the link, and the look whether the blob is still there."""
    assert finish(service, driver, b"small") == ["put", "put", "get"]


def test_a_large_layer_of_one_piece_is_finished_by_a_copy(service: Asked) -> None:
    """Finishing stores the last piece, publishes, claims, copies, removes head and piece, links and looks."""
    driver = Objects(service, piece=2 << 20)
    data = bytes(3 << 19)
    assert finish(service, driver, data) == ["put", "put", "put", "compose", "delete", "delete", "put", "get"]
    assert driver.is_plain(
        f"docker/registry/v2/blobs/sha256/{sha256(data).hexdigest()[:2]}/{sha256(data).hexdigest()}/data"
    )


def test_a_large_layer_of_many_pieces_is_composed_by_the_service(service: Asked) -> None:
    """However many pieces a layer has, no byte of them comes back, and they go in one request."""
    driver = Objects(service, piece=1 << 20)
    upload = LayerService(CheckedDriver(driver, "objects")).upload("demo")
    data = bytes(7 << 19)
    upload.write(data)
    asked = service.asked(lambda: upload.finish(f"sha256:{sha256(data).hexdigest()}"))
    assert asked[-7:] == ["put", "put", "compose", "delete", "delete_many", "put", "get"]
    assert "get" not in asked[:-1]
    assert all(".layerstore" not in name and "_uploads" not in name for name in service.objects)


def test_a_thousand_keys_are_deleted_by_four_requests(service: Asked, driver: Objects) -> None:
    """The key's pieces are listed, it is deleted, and what is below it is listed and deleted in batches."""
    for number in range(1000):
        driver.put(f"a/{number}", b"")
    assert service.asked(lambda: driver.delete("a")) == ["list", "delete", "list", "delete_many"]
    assert not service.objects


def test_one_key_is_deleted_by_three_requests(service: Asked, driver: Objects) -> None:
    """What lies below it, and its pieces, have to be asked for."""
    driver.put("a", b"")
    assert service.asked(lambda: driver.delete("a")) == ["list", "delete", "list"]


def test_a_writer_is_opened_by_two_requests(service: Asked, driver: Objects) -> None:
    """Of a new object as of one that is in pieces: look, and put a head."""
    assert service.asked(lambda: driver.open_writer("a").flush()) == ["get", "put", "put"]
    assert service.asked(lambda: driver.open_writer("a")) == ["get", "put"]


def test_a_small_flush_is_two_requests(service: Asked, driver: Objects) -> None:
    """The first puts a piece and a head; later ones delete the piece that they have replaced."""
    writer = driver.open_writer("a")
    writer.write(b"first")
    assert service.asked(writer.flush) == ["put", "put"]
    writer.write(b"second")
    assert service.asked(writer.flush) == ["put", "put", "delete"]
    assert len(service.objects) == 2


def test_a_plain_object_is_moved_by_a_copy_and_another(service: Asked, driver: Objects) -> None:
    """It gets a head to claim it by, and its pieces become the target; nothing is left behind."""
    driver.put("a", bytes(3 * LEAST))
    asked = service.asked(lambda: driver.move("a", "b"))
    assert asked == ["get", "compose", "put", "compose", "delete", "delete"]
    assert list(service.objects) == ["b"]


def test_an_object_is_read_in_few_requests(service: Asked, driver: Objects) -> None:
    """The request that opens it brings the first bytes, and one that is as long as it is asked for goes on."""
    driver.put("a", bytes(6 << 20))
    with closing(driver.open_reader("a")) as reader:
        service.log.clear()
        assert reader.readall() == bytes(6 << 20)
    assert service.log == ["get"]


def test_the_service_is_probed_once(service: Asked) -> None:
    """Conditions are tried out before the first write, on a name of no importance, which is gone afterwards."""
    driver = ObjectStoreDriver.__new__(Objects)
    ObjectStoreDriver.__init__(driver, service, piece=LEAST)
    assert service.asked(lambda: driver.put("a", b"")) == [*["put"] * 4, "delete", "put", "delete", "put"]
    assert service.asked(lambda: driver.put("b", b"")) == ["put"]
    assert sorted(service.objects) == ["a", "b"]


def test_thirty_prefixes_are_listed_by_one_request(service: Asked, driver: Objects) -> None:
    """Where all that lies below fits a page, that is enough."""
    for number in range(30):
        driver.put(f"a/{number}/link", b"")
    assert service.asked(lambda: list(driver.list("a"))) == ["list"]


def test_more_than_a_page_takes_a_look_below_each_prefix_that_it_has_not_shown() -> None:
    """The service names the children; whether one has anything published below it is asked for each."""
    service = Asked(Limits(least_part=LEAST, page=4))
    driver = Objects(service)
    for number in range(6):
        driver.put(f"a/{number}/link", b"")
    assert list(driver.list("a")) == [f"a/{number}/" for number in range(6)]
    service.log.clear()
    assert len(list(driver.list("a"))) == 6
    assert service.log == ["list"] * 5  # two pages of children, and two prefixes that the first page has not shown

"""The toolkit for object stores: listing, scanning and deleting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from layerstore.driver import Foreign, Unpublished
from layerstore.objectstore import Limits, Page
from layerstore.objectstore.head import RESERVED
from layerstore.objectstore.memory import MemoryService

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects


def test_a_reserved_key_is_not_listed_and_is_told_when_scanned(driver: Objects) -> None:
    """Nor is a prefix with nothing else below it."""
    driver.open_writer("a/b")
    driver.put("c", bytes(RESERVED))
    assert list(driver.list("")) == ["c"]
    [unpublished, _] = driver.scan("")
    assert isinstance(unpublished, Unpublished)
    assert unpublished.name == "a/"
    assert [each.name for each in driver.scan("a") if isinstance(each, Unpublished)] == ["a/b"]


def test_pieces_without_a_head_are_told_when_scanned_until_they_are_deleted(service: Asked, driver: Objects) -> None:
    """A writer that was killed has left them, and the delete of its key takes them away."""
    writer = driver.open_writer("a/b")
    writer.write(bytes(3 * LEAST))
    writer._stager.settle()
    service.delete("a/b")
    assert [each.name for each in driver.scan("a") if isinstance(each, Unpublished)] == ["a/b"]
    assert list(driver.list("a")) == []
    driver.delete("a")
    assert not service.objects


@pytest.mark.parametrize("backwards", [False, True])
def test_a_key_that_is_taken_again_tells_the_latest_time(backwards: bool) -> None:
    """Pieces of an earlier writer may still be there, and the service may list them before the head, or after it."""

    class Ordered(MemoryService):
        def list(self, prefix: str, after: str, most: int, *, deep: bool) -> Page:
            page = super().list(prefix, after, most, deep=deep)
            return Page(page.objects[::-1], page.prefixes, page.after) if backwards else page

    driver = Objects(service := Ordered(Limits(least_part=LEAST)))
    earlier = driver.open_writer("a/b")
    earlier.write(bytes(3 * LEAST))
    earlier._stager.settle()
    driver.open_writer("a/b")
    latest = max(each.modified for each in service.objects.values())
    assert len({each.modified for each in service.objects.values()}) > 1
    for prefix in ("", "a"):
        assert [each.modified for each in driver.scan(prefix) if isinstance(each, Unpublished)] == [latest]


def test_a_key_that_is_reserved_while_it_is_listed_may_be_gone(service: Asked, driver: Objects) -> None:
    """It is no object."""
    driver.open_writer("a")
    service.before = service.at(1, lambda call, name: service.delete("a"))
    assert list(driver.list("")) == []


@pytest.mark.parametrize("page", [1000, 3])
def test_foreign_things_are_told_apart(page: int) -> None:
    """Names that are no keys are foreign, markers of folders and harmless things are not."""
    service = Asked(Limits(least_part=LEAST, page=page))
    driver = Objects(service)
    for name in ("p/a", "p/ä", "p/.hidden/x", "p/q/no key", "p/marker/", "p/.DS_Store", "p/my r/.layerstore/x/1"):
        service.put(name, b"" if name.endswith("/") else b"data", {})
    driver.put("p/q/key", b"")
    driver.open_writer("p/taken")
    driver.open_writer("p/z/taken")
    found = list(driver.scan("p"))
    assert [each for each in found if isinstance(each, str)] == ["p/a", "p/q/"]
    assert sorted(each.name for each in found if isinstance(each, Foreign)) == ["p/.hidden/", "p/my r/", "p/ä"]
    assert sorted(each.name for each in found if isinstance(each, Unpublished)) == ["p/taken", "p/z/"]


def test_a_prefix_with_but_a_foreign_thing_says_which(service: Asked, driver: Objects) -> None:
    """A prefix that is a key is foreign if nothing in it is an object, whatever writers have taken there."""
    service.put("p/q/no key", b"", {})
    driver.open_writer("p/q/taken")
    [foreign] = driver.scan("p")
    assert foreign == Foreign("p/q/", "no object, and 'p/q/no key', which is no key")


def test_a_delete_takes_markers_and_leaves_foreign_things(service: Asked, driver: Objects) -> None:
    """What another program has put below the prefix under a name that is no key stays."""
    for name in ("p/a", "p/b/", "p/no key"):
        service.put(name, b"", {})
    driver.delete("p")
    assert list(service.objects) == ["p/no key"]


def test_a_service_that_lists_in_another_order_is_listed_in_order() -> None:
    """No order of the service's is relied on."""

    class Shuffled(MemoryService):
        def list(self, prefix: str, after: str, most: int, *, deep: bool) -> Page:
            page = super().list(prefix, after, most, deep=deep)
            return Page(page.objects[::-1], page.prefixes[::-1], page.after)

    driver = Objects(Shuffled(Limits(least_part=LEAST, page=4)))
    for key in ("a", "a-", "a/b", "a0", "b/c", "c/d"):
        driver.put(key, b"")
    assert list(driver.list("")) == ["a", "a-", "a/", "a0", "b/", "c/"]

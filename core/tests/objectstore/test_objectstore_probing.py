"""The toolkit for object stores: a service that does not keep to conditions is found out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from layerstore.errors import (
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.objectstore import Limits, ObjectStoreDriver
from layerstore.objectstore.memory import MemoryService
from layerstore.objectstore.probe import check_conditions

if TYPE_CHECKING:
    from tests.objectstore.objects import LEAST, Asked, Objects
else:  # as pytest finds it
    from objects import LEAST, Asked, Objects


class Ignoring(MemoryService):
    """A service that answers 200 and ignores conditions, or refuses what it should not."""

    def __init__(self, how: str) -> None:
        """Do something wrong."""
        super().__init__(Limits(least_part=LEAST))
        self.how = how

    def put(self, name: str, data: bytes, metadata: Mapping[str, str], etag: str | None = None) -> str:
        """Store."""
        if self.how == "quoted" and etag:
            raise FencedError(name)
        ignored = {"none": etag == "", "match": bool(etag)}.get(self.how)
        return super().put(name, data, metadata, None if ignored else etag)

    def delete(self, name: str, etag: str | None = None) -> None:
        """Delete."""
        super().delete(name, None if self.how == "delete" else etag)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("none", "stores an object although If-None-Match"),
        ("match", "replaces an object although If-Match"),
        ("delete", "deletes an object although If-Match"),
        ("quoted", "refuses what a condition allows"),
    ],
)
def test_a_service_that_does_not_keep_to_conditions_is_refused_before_the_first_write(how: str, said: str) -> None:
    """One clear line, and nothing is left of the trial; reading needs no conditions."""
    service = Ignoring(how)
    driver = ObjectStoreDriver.__new__(Objects)
    ObjectStoreDriver.__init__(driver, service, piece=LEAST)
    service.objects["there"] = service_object(b"data")
    for act in (lambda: driver.put("a", b""), lambda: driver.open_writer("a"), lambda: driver.move("there", "b")):
        with pytest.raises(UnsupportedOperationError, match=said):
            act()
    assert list(service.objects) == ["there"]
    assert list(driver.list("")) == ["there"]


def service_object(data: bytes) -> Any:  # noqa: ANN401  (the service's own)
    """Return an object as a service in memory keeps it."""
    service = MemoryService()
    service.put("x", data, {})
    return service.objects["x"]


def test_a_move_of_nothing_puts_nothing(service: Asked) -> None:
    """Not even to try out conditions: some services make a missing bucket of the first object."""
    driver = ObjectStoreDriver.__new__(Objects)
    ObjectStoreDriver.__init__(driver, service, piece=LEAST)

    def move() -> None:
        with pytest.raises(PathNotFoundError):
            driver.move("a", "b")

    assert service.asked(move) == ["get"]


def test_a_trial_whose_answer_was_lost_is_no_refusal(service: Asked) -> None:
    """The client has asked again, and met what it had stored itself."""
    service.before = service.at(0, lambda call, name: MemoryService.put(service, name, b"first", {}))
    check_conditions(service, "")
    assert not service.objects

"""Handles, drivers and services are held once: none can be copied, and nothing half made gives back another's."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from layerstore import LayerClosedError, LayerService, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.observed import Counts, ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver, PassingReader, PassingWriter
from layerstore_conformance.kit.payloads import Payload, digest

DATA = Payload("owned").read(1000)
LARGE = Payload("owned, and large").read(600_000)


@dataclass
class Holder:
    """Something of a user's own that holds a handle."""

    held: object


COPIES: dict[str, Callable[[Any], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "pickle 0": lambda held: pickle.dumps(held, 0),
    "reduce": lambda held: held.__reduce__(),
    "reduce_ex": lambda held: held.__reduce_ex__(2),
    "getstate": lambda held: held.__getstate__(),
    "asdict": lambda held: asdict(Holder(held)),
    "deepcopy of a holder": lambda held: copy.deepcopy(Holder([held])),
}


class Kinds:
    """One of each kind, and a check that it works."""

    def __init__(self, url: str) -> None:
        """Open them."""
        driver = open_driver(url)
        driver.put("key", DATA)
        self.service = LayerService(driver)
        self.upload = self.service.upload("a")
        self.upload.write(LARGE)
        done = self.service.upload("a")
        done.write(DATA)
        self.layer = done.finish(digest(DATA))
        self.reader, self.writer = driver.open_reader("key"), driver.open_writer("written")
        self.writer.write(DATA)
        self.drivers: dict[str, Any] = {
            "CheckedDriver": driver,
            "the driver itself": driver.inner,
            "PassingDriver": PassingDriver(driver),
            "ObservedDriver": ObservedDriver(driver, Counts.zero()),
        }
        watched = self.drivers["ObservedDriver"]
        self.watching = {"a watched reader": watched.open_reader("key"), "a watched writer": watched.open_writer("new")}
        self.watching["a watched writer"].write(DATA)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield all."""
        mine = {"LayerUpload": self.upload, "Layer": self.layer, "Reader": self.reader, "Writer": self.writer}
        yield from (mine | {"LayerService": self.service} | self.drivers | self.watching).items()

    def check(self) -> None:
        """See that each goes on as if nothing had been."""
        assert self.reader.read() == DATA
        assert self.layer.read() == DATA
        assert self.watching["a watched reader"].read() == DATA
        for writer, key in ((self.writer, "written"), (self.watching["a watched writer"], "new")):
            writer.close()
            assert self.drivers["CheckedDriver"].get(key, 5000) == DATA
        assert self.upload.finish(digest(LARGE)).read() == LARGE
        for driver in self.drivers.values():
            assert driver.stat("key").size == len(DATA)


@pytest.fixture(params=["memory", "local"])
def kinds(url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Kinds:
    """Open one of each kind."""
    return Kinds(url if request.param == "memory" else f"local://{tmp_path}/store")


def test_whatever_is_held_once_cannot_be_copied(kinds: Kinds) -> None:
    """By no means that Python has; the error says so, and the original goes on."""
    for name, held in kinds:
        for how, make in COPIES.items():
            with pytest.raises(TypeError, match=f"a {type(held).__name__} cannot be copied or pickled") as caught:
                make(held)
            assert "open another" in str(caught.value), f"{how} of {name}"
    gc.collect()
    kinds.check()


def unmade(held: Any) -> Any:  # noqa: ANN401  (any kind)
    """Make another one of a kind, without its constructor."""
    return held.__new__(type(held))


@pytest.mark.thorough
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_what_is_half_made_closes_nothing(kinds: Kinds) -> None:
    """Made without its constructor, with the original's attributes or none, it is collected and nothing happens."""
    for _, held in kinds:
        for attributes in (dict[str, Any](), vars(held)):
            half = unmade(held)
            vars(half).update(attributes)
            del half
            gc.collect()
    kinds.check()


def test_who_has_a_handles_attributes_is_refused(kinds: Kinds) -> None:
    """It is no handle: using it, closing it and cancelling it change nothing."""
    refused: list[tuple[Any, Callable[[Any], object], Callable[[Any], object]]] = [
        (kinds.upload, lambda half: half.cancel(), lambda half: half._release()),
        (kinds.layer, lambda half: half.read(), lambda half: half.close()),
        (kinds.reader, lambda half: half.read(), lambda half: half.close()),
        (kinds.writer, lambda half: half.write(b"x"), lambda half: half.discard()),
    ]
    for held, use, give_back in refused:
        half = unmade(held)
        vars(half).update(vars(held))
        with pytest.raises(LayerClosedError):
            use(half)
        give_back(half)
    kinds.check()


class Cut(Exception):  # noqa: N818  (it is no error of anything)
    """A constructor that did not come to its end."""


def raising_at(kind: type[Any], number: int) -> type[Any]:
    """Return a kind whose constructor raises when it sets its so many-eth attribute."""

    class Raising(kind):  # type: ignore[misc]  # which kind is known to the caller
        def __setattr__(self, name: str, value: object) -> None:
            if len(vars(self)) == number and name not in (*vars(self), "closed", "__IOBase_closed"):
                raise Cut
            super().__setattr__(name, value)

    return Raising


@pytest.mark.thorough
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [PassingReader, PassingWriter])
def test_a_constructor_that_raises_closes_nothing(url: str, kind: type[Any]) -> None:
    """At whatever attribute it does: what was to be passed on to is still its opener's."""
    driver: CheckedDriver = open_driver(url)
    driver.put("key", DATA)
    inner = driver.open_reader("key") if kind is PassingReader else driver.open_writer("key")
    for number in range(10):
        made = None
        with suppress(Cut):
            made = raising_at(kind, number)(inner)
        gc.collect()
        assert not inner.closed, f"closed by one that was cut off at attribute {number}"
        if made is not None:
            break
    assert 3 <= number < 9

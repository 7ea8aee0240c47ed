"""Dropping links beside pushes, mounts, deletes and other collections: what was answered is there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from layerstore import LayerService, UnknownLayerError, layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.watching import Trap

if TYPE_CHECKING:
    from tests.unreferenced.pushes import IDLE, IMAGE, USED, gc, image, layer, push, revision
else:
    from pushes import IDLE, IMAGE, USED, gc, image, layer, push, revision


def push_safely(store: LayerService, *layers: bytes, tags: tuple[str, ...] = ()) -> bytes | None:
    """Store an image as a registry does, and return it; None if something is missing that it refers to."""
    data = image(*layers)
    push(store.driver, data)
    if not all(store.renew("a", digest(each)) for each in layers):
        store.driver.delete(revision(data))
        return None
    for tag in tags:
        store.driver.put(layout.tag("a", tag), digest(data).encode())
    if links.renew(store.driver, revision(data)) is None:
        return push_safely(store, *layers)
    return data


def push_idle(store: LayerService) -> bytes | None:
    """Push an image of the layer that nothing has referred to."""
    return push_safely(store, IDLE, tags=("v2",))


def push_after_asking(store: LayerService) -> bytes | None:
    """Push it after asking whether the layer is there, and upload it if it is not."""
    if not store.renew("a", digest(IDLE)):
        store_layer(store, "a", IDLE)
    return push_idle(store)


def mount(store: LayerService) -> None:
    """Mount the layer elsewhere."""
    with suppress(UnknownLayerError):
        store.mount("b", digest(IDLE), source="a").close()


def collect(store: LayerService) -> None:
    """Collect, too."""
    gc(store, untagged=True)


def unlink(store: LayerService) -> None:
    """Remove the layer."""
    with suppress(UnknownLayerError):
        store.unlink("a", digest(IDLE))


def check(store: LayerService, raw: CheckedDriver, rival: object, pushed: list[object], moment: str) -> None:
    """Check that what was answered is so."""
    assert store.fetch("a", digest(USED)).read() == USED, moment
    assert raw.find(revision(IMAGE)) is not None, moment
    if pushed and isinstance(pushed[0], bytes):
        assert raw.find(revision(pushed[0])) is not None, moment
        assert store.fetch("a", digest(IDLE)).read() == IDLE, moment
    if rival is unlink:
        assert raw.find(layer(IDLE)) is None, moment
    if raw.find(layer(IDLE, "b")) is not None:
        assert store.fetch("b", digest(IDLE)).read() == IDLE, moment
    texts = {raw.get(key, 99)[:7] for key in keys_below(raw, layout.REPOSITORIES) if key.endswith("/link")}
    assert texts == {b"sha256:"}, moment


RIVALS = [push_idle, push_after_asking, mount, collect, unlink]


@pytest.mark.parametrize("rival", RIVALS)
def test_whoever_comes_between_what_was_answered_is_there(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, rival: Callable[[LayerService], object]
) -> None:
    """Before each call of a collection in turn; when both are done, no link is condemned, either."""
    for number in itertools.count():
        store_layer(other, "a", IDLE)
        answers: list[object] = []
        trap.set(lambda at, _, n=number: at == n, lambda a=answers: a.append(rival(other)))  # type: ignore[misc]  # of this turn
        gc(store, untagged=True)
        check(other, raw, rival, answers, f"{rival.__name__} before {trap.calls[min(number, len(trap.calls) - 1)]}")
        for left in (revision(image(IDLE)), layout.tag("a", "v2"), f"{layout.REPOSITORIES}/b"):
            raw.delete(left)
        if not trap.sprung:
            break
    assert number > 60, "the rival came, and came before every call"


@pytest.mark.parametrize("work", [push_idle, push_after_asking])
def test_a_collection_in_the_middle_of_a_push_takes_nothing_that_was_answered(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, work: Callable[[LayerService], object]
) -> None:
    """Before each call of a push in turn: it is refused, or whole."""
    for number in itertools.count():
        store_layer(other, "a", IDLE)
        trap.set(lambda at, _, n=number: at == n, lambda: collect(other))  # type: ignore[misc]  # of this turn
        answer = work(store)
        check(other, raw, work, [answer], f"before {trap.calls[min(number, len(trap.calls) - 1)]}")
        for left in (revision(image(IDLE)), layout.tag("a", "v2")):
            raw.delete(left)
        if not trap.sprung:
            break
    assert number > 9, "the collection came, and came before every call"

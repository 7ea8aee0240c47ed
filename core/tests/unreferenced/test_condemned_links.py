"""Condemned links: a link all the same, renewed by those who need it, and ended by the next collection."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from layerstore import BackendUnavailableError, LayerService
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.watching import Trap, fail, of

if TYPE_CHECKING:
    from tests.unreferenced.pushes import HOUR, IDLE, USED, at_look, gc, image, later, layer, push, unlinked
else:
    from pushes import HOUR, IDLE, USED, at_look, gc, image, later, layer, push, unlinked


@pytest.mark.parametrize("method", ["open_writer", "stat", "write_at"])
def test_a_layer_uploaded_again_before_it_is_condemned_is_young(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, method: str
) -> None:
    """It was old when it was picked; the upload's client has its time to store a manifest."""
    moment = raw.stat(layer(IDLE)).modified + timedelta(days=1, microseconds=1)
    picked = itertools.count()
    trap.set(
        lambda _, call: (call.method, call.key) == (method, layer(IDLE)) and next(picked) == (method == "stat"),
        lambda: store_layer(other, "a", IDLE),
    )
    assert (unlinked(store.collect(now=moment, unreferenced=True)), trap.sprung) == ([], True)
    assert raw.get(layer(IDLE), 99) == digest(IDLE).encode()


def killed(store: LayerService, trap: Trap) -> None:
    """Have a collection be killed when it has condemned a link, and cannot spell it as before."""

    def die() -> None:
        trap.set(of("open_writer"), fail)
        raise KeyboardInterrupt

    trap.set(at_look(2), die)
    with pytest.raises(KeyboardInterrupt):
        gc(store)


def test_a_condemned_link_is_a_link(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """A collection was killed: the layer is served and listed, no blob is collected, and a scrub finds nothing."""
    killed(store, trap)
    assert raw.get(layer(IDLE), 99) == b"SHA" + digest(IDLE).encode()[3:]
    assert (store.fetch("a", digest(IDLE)).read(), store.exists("a", digest(IDLE))) == (IDLE, True)
    assert digest(IDLE) in {str(each.digest) for each in store.layers("a")}
    assert store.collect(now=later()).removed == []
    assert {finding.kind for finding in store.scrub()} == {"ok"}
    with store.mount("b", digest(IDLE), source="a"):
        assert raw.get(layer(IDLE, "b"), 99) == digest(IDLE).encode()


@pytest.mark.parametrize("wanted", [False, True])
def test_what_a_killed_collection_has_condemned_is_ended_by_the_next(
    store: LayerService, raw: CheckedDriver, trap: Trap, wanted: bool
) -> None:
    """Spelled as before if something refers to it by now, and else dropped."""
    killed(store, trap)
    push(raw, image(IDLE), "v2") if wanted else None
    assert unlinked(gc(store)) == ([] if wanted else [layer(IDLE)])
    assert not wanted or raw.get(layer(IDLE), 99) == digest(IDLE).encode()


def test_a_condemned_link_that_is_renewed_is_as_before(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """And if that fails, whoever asks does not hear that the layer is there to stay."""
    killed(store, trap)
    trap.set(of("open_writer"), fail)
    with pytest.raises(BackendUnavailableError):
        store.renew("a", digest(IDLE))
    assert store.renew("a", digest(IDLE))
    assert raw.get(layer(IDLE), 99) == digest(IDLE).encode()


def test_a_young_link_is_renewed_without_a_write(store: LayerService, trap: Trap) -> None:
    """It has time enough."""
    trap.set(of("open_writer"), fail)
    assert (store.renew("a", digest(IDLE)), trap.sprung) == (True, False)


@pytest.mark.parametrize("wanted", [digest(b"none"), f"tarsum.v1+sha256:{'0' * 64}"])
def test_what_is_not_there_is_not_renewed(store: LayerService, raw: CheckedDriver, wanted: str) -> None:
    """No link, a damaged one, one that leads elsewhere, and one without a blob."""
    assert not store.renew("a", wanted)
    for text in (b"damaged", digest(USED).encode(), b"sha512:" + b"0" * 128):
        raw.put(layer(b"none"), text)
        assert not store.renew("a", digest(b"none"))
    raw.put(layer(b"none"), digest(b"none").encode())
    assert not store.renew("a", digest(b"none"))


class Aging:
    """The time, some of which has passed."""

    @staticmethod
    def now(zone: object) -> datetime:
        """Return a moment at which a link is old."""
        del zone
        return datetime.now(UTC) + links.RENEWED_AFTER + HOUR


@pytest.mark.parametrize("failing", [False, True])
def test_an_old_link_is_made_young(
    store: LayerService, raw: CheckedDriver, trap: Trap, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    """The client that asked has as long as after an upload; if that fails, the layer is there all the same."""
    monkeypatch.setattr(links, "datetime", Aging)
    before = raw.stat(layer(IDLE)).modified
    trap.set(of("open_writer" if failing else "none"), fail)
    assert store.renew("a", digest(IDLE))
    assert (raw.stat(layer(IDLE)).modified > before, trap.sprung) == (not failing, failing)
    moment = before + timedelta(days=1, microseconds=1)
    assert unlinked(store.collect(now=moment, unreferenced=True)) == ([layer(IDLE)] if failing else [])


@pytest.mark.parametrize("method", ["stat", "open_writer", "write_at", "publish"])
def test_a_link_that_goes_while_it_is_renewed_stays_gone(
    store: LayerService, raw: CheckedDriver, trap: Trap, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A delete came between: the answer is that it is not there."""
    monkeypatch.setattr(links, "datetime", Aging)
    trap.set(of(method, "_layers"), lambda: raw.delete(layer(IDLE)))
    assert (store.renew("a", digest(IDLE)), raw.find(layer(IDLE)), trap.sprung) == (False, None, True)

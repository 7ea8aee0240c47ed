"""Links that somebody renews, or puts anew, while a collection condemns and drops what nothing refers to."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, LayerService
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.aged import AgedDriver
from layerstore_conformance.kit.layers import blob, link, store
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.ages import SMALL
from layerstore_conformance.steps.watching import Trap, fail, number, of, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.observed import Call
    from layerstore_conformance.steps.watching import When

GROUP = "upkeep"

DAY = timedelta(days=1)
"""The grace of a link by default."""

OLD = timedelta(hours=30)


def _condemned(data: bytes) -> bytes:
    return links.CONDEMNED + digest(data).encode()[len(links.PLAIN) :]


@scenario("F2", "E1", kills=("renewed-if-it-can-be-read", "fenced-renew-is-done"), rows=(120, 152))
def a_link_that_was_renewed_is_not_condemned(ctx: Context) -> None:
    """If a renewal of a condemned link says that the layer is there, the link is condemned no longer.

    So it is if any call of the renewal fails, and if another one condemns, renews or drops the link before any call.
    Else it raises an error of the driver. A manifest that is accepted then refers to a layer that is dropped.
    """
    data, driver = ctx.payload("renewed").read(SMALL), ctx.open()
    key = link("a", digest(data))
    driver.put(blob(data), data)
    rivals: dict[str, Callable[[], object]] = {
        "a failure": fail,
        "one who condemns it": lambda: links.write_into(driver, key, links.CONDEMNED),
        "one who renews it": lambda: links.renew(driver, key),
        "one who puts it anew": lambda: driver.put(key, digest(data).encode()),
        "one who drops it": lambda: driver.delete(key),
    }
    for name, rival in rivals.items():
        for index in itertools.count():
            trap = Trap()
            service = watched(ctx, trap)
            driver.put(key, _condemned(data))
            trap.set(number(index), rival)
            try:
                there = service.renew("a", digest(data))
            except BackendUnavailableError:
                assert trap.sprung, "renewing failed by itself"
                assert rival is fail, f"{name} comes before call {index}, and renewing fails"
                continue
            if not trap.sprung:
                break
            ctx.count("moments")
            if any(call.method == "publish" for call in trap.calls[:index]):
                continue  # it was renewed by then
            text = driver.get(key, 99) if driver.find(key) else None
            told = f"{name} comes before {trap.calls[index].method}, the answer is {there}, and the link is {text!r}"
            assert there == (text == digest(data).encode()), told
            assert there or name == "one who drops it", told


@scenario("S1", "F2", kills=("renewed-if-condemned",), rows=(120, 152))
def a_renewed_link_stays_for_as_long_as_a_new_one(ctx: Context) -> None:
    """A collection drops no link that was renewed within the grace, however old it was, and by whichever digest.

    A registry renews a link when it says that it has the layer; the manifest may come hours later.
    """
    ages: dict[str, timedelta] = {}
    driver = CheckedDriver(AgedDriver(ctx.open(), ages))
    service, kept, data = LayerService(driver), list[str](), b""
    for age in (timedelta(minutes=11), DAY - timedelta(hours=1), OLD):
        for algorithm in ("sha256", "sha512"):
            data = ctx.payload(f"{algorithm}-{age.seconds}").read(SMALL)
            wanted = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
            driver.put(blob(data), data)
            driver.put(link("a", wanted), digest(data).encode())
            ages[link("a", wanted)] = age
            assert service.renew("a", wanted), f"{wanted} is not there"
            kept.append(wanted)
    idle, new = (store(service, "a", ctx.payload(label).read(SMALL)) for label in ("idle", "new"))
    ages[link("a", idle)] = OLD
    now = driver.stat(link("a", new)).modified + DAY - timedelta(minutes=5)
    dropped = [str(each.digest) for each in service.collect(dry_run=True, unreferenced=True, now=now).dropped.removed]
    assert dropped == [idle], f"renewed were {kept}, dropped are {dropped}"


@scenario("E1", "S1", kills=("unwritten-renew-hides-the-layer",), rows=(120, 174))
def a_link_that_cannot_be_renewed_is_there_all_the_same(ctx: Context) -> None:
    """If an old link that is not condemned can be read and not be written, a renewal says that the layer is there.

    A store that is full, or read only for a while, still serves its layers.
    """
    data, ages = ctx.payload("read only").read(SMALL), dict[str, timedelta]()
    driver = CheckedDriver(AgedDriver(ctx.open(), ages))
    wanted = store(LayerService(driver), "a", data)
    ages[link("a", wanted)] = OLD
    for method in ("open_writer", "write_at", "publish"):
        trap = Trap()
        trap.set(of(method), fail)
        service = LayerService(CheckedDriver(ObservedDriver(driver, trap), driver.scheme))
        assert service.renew("a", wanted), f"not there, after a failed {method}"
        assert trap.sprung, f"renewed without {method}"
        assert driver.get(link("a", wanted), 99) == wanted.encode()


def _at(wanted: int, key: str) -> When:
    """Be true for the call of this number among those on a key that look how old it is, or change it."""
    seen = -1

    def is_it(_: int, call: Call) -> bool:
        nonlocal seen
        counts = call.key.endswith(key) and call.method not in ("open_reader", "read_at")
        seen += counts
        return counts and seen == wanted

    return is_it


@scenario("F2", "S1", "M4", kills=("condemned-at-any-age", "gc-unreferenced-drops-any-version"), rows=(120, 152))
def a_link_that_is_put_during_a_collection_is_neither_condemned_nor_dropped(ctx: Context) -> None:
    """If a mount, a finish or a renewal makes an old link young before any call on it, a collection leaves it alone.

    Its client goes on to store a manifest, and was told that the layer is there.
    """
    data, ages = ctx.payload("young").read(SMALL), dict[str, timedelta]()
    key = link("a", digest(data))
    service = LayerService(CheckedDriver(AgedDriver(ctx.open(), ages)))
    store(service, "source", data)
    rivals: dict[str, Callable[[], object]] = {
        "a mount": lambda: service.mount("a", digest(data), source="source").close(),
        "a finish": lambda: store(service, "a", data),
        "a renewal": lambda: service.renew("a", digest(data)),
    }
    for name, rival in rivals.items():
        for index in itertools.count():
            service.driver.put(key, digest(data).encode())
            ages[key] = OLD
            trap, said = Trap(), list[object]()
            trap.set(_at(index, key), lambda rival=rival, said=said: said.append(rival()))  # type: ignore[misc]  # bound for this turn
            watching = ObservedDriver(AgedDriver(ctx.driver, ages), trap)
            report = LayerService(CheckedDriver(watching)).collect(unreferenced=True)
            if not trap.sprung:
                break
            ctx.count("moments")
            found = service.driver.get(key, 99) if service.driver.find(key) else None
            told = f"{name} comes before call {index} on the link"
            assert found == digest(data).encode(), f"{told}, and the link is {found!r}"
            assert report.dropped.removed == [], f"{told}, and dropped are {report.dropped.removed}"

"""Links that no manifest refers to are dropped; none that somebody has come to need, whoever comes between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from layerstore import Digest, LayerService, layout
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.ages import SMALL, later
from layerstore_conformance.steps.expectations import expect_layer
from layerstore_conformance.steps.rivals import turns
from layerstore_conformance.steps.watching import change

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "upkeep"


def manifest(*layers: bytes) -> bytes:
    """Write the manifest of an image."""
    described = [{"digest": digest(layer)} for layer in layers]
    return json.dumps({"schemaVersion": 2, "config": described[0], "layers": described}).encode()


def push(service: LayerService, name: str, data: bytes) -> bool:
    """Store an image of a layer, as a registry does, and return whether it is there: else it is taken away again."""
    image = manifest(data)
    key = layout.revision(name, Digest.of(image))
    service.driver.put(layout.blob(Digest.of(image)), image)
    service.driver.put(key, digest(image).encode())
    if service.renew(name, digest(data)):
        return True
    service.driver.delete(key)
    return False


@scenario("M4", "S2", kills=("gc-unreferenced-drops-all", "gc-unreferenced-drops-nothing"), rows=(120,))
def a_layer_goes_if_no_manifest_refers_to_it(ctx: Context) -> None:
    """Its link goes, and its blob; a layer that a manifest refers to stays, and so does what is younger than a day."""
    service, used, idle = ctx.service(), ctx.payload("used").read(SMALL), ctx.payload("idle").read(SMALL)
    for data in (used, idle):
        store(service, "a", data)
    assert push(service, "a", used)
    assert service.collect(unreferenced=True).dropped.removed == []
    report = service.collect(now=later(), unreferenced=True)
    assert [str(each.digest) for each in report.dropped.removed] == [digest(idle)]
    assert [str(each.digest) for each in report.removed] == [digest(idle)]
    expect_layer(ctx, "a", used)
    assert not ctx.service().exists("a", digest(idle))


@scenario(
    "F2",
    "S2",
    "M4",
    kills=("gc-unreferenced-looks-once", "gc-unreferenced-drops-any-version", "renewed-link-stays-condemned"),
    rows=(120, 152),
)
def a_layer_that_a_manifest_comes_to_refer_to_stays(ctx: Context) -> None:
    """If an image is pushed before any change that a collection makes, it is refused, or whole when both are done."""
    pushed = 0
    for index, trap, service in turns(ctx):
        data = ctx.payload(f"coming-{index}").read(SMALL)
        store(ctx.service(), "a", data)
        answers: list[bool] = []
        trap.set(change(index), lambda d=data, a=answers: a.append(push(ctx.service(), "a", d)))  # type: ignore[misc]  # of this turn
        service.collect(now=later(), unreferenced=True)
        if answers == [True]:
            pushed += 1
            expect_layer(ctx, "a", data)
            assert ctx.read(link("a", digest(data))) == digest(data).encode(), "the link is still condemned"
        ctx.open().delete(f"{layout.REPOSITORIES}/a")
    assert pushed, "no push was taken"

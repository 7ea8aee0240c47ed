"""Links that no manifest refers to are dropped; none that somebody has come to need, whoever comes between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from layerstore import Digest, LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import link, store
from layerstore_conformance.kit.odd_json import ODD, OTHER_TYPES
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.remembered import RememberedDriver
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


def _odd_manifests() -> dict[str, bytes]:
    """Return documents, by what they are, that are no manifests, or of which nobody can know what they refer to."""
    whole: dict[str, object] = {"schemaVersion": 2, "config": {"digest": digest(b"")}, "layers": []}
    changed: dict[str, dict[str, object]] = {}
    for value in OTHER_TYPES:
        changed |= {f"version {value!r}": {"schemaVersion": value}, f"type {value!r}": {"mediaType": value}}
        changed |= {f"digest {value!r}": {"config": {"digest": value}}}
        changed |= {
            f"digest {value!r} below": {"layers": [{"digest": digest(b"")}, {"annotations": {"digest": value}}]}
        }
        changed |= {} if isinstance(value, list) else {f"layers {value!r}": {"layers": value}}
        changed |= {} if value is None else {f"subject {value!r}": {"subject": value}}
    found = {what: whole | members for what, members in changed.items()}
    for value in OTHER_TYPES:
        found[f"child {value!r}"] = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [value]}
    return ODD | {what: json.dumps(body).encode() for what, body in found.items()}


INDEX = "application/vnd.oci.image.index.v1+json"


@scenario(
    *("M4", "L3", "E1"),
    kills=("gc-unreferenced-guesses", "deep-manifest-is-an-error", "digests-of-other-types-are-passed-over"),
    rows=(120,),
)
def whatever_a_manifest_is_its_repository_stays_whole(ctx: Context) -> None:
    """If a manifest is other JSON, or has members of other types, nothing of its repository is dropped, and it is told.

    The collection goes on with the other repositories: whoever may push there cannot stop it.
    """
    odd, driver = list(_odd_manifests().items()), ctx.driver
    those = {f"odd/{index}": odd[index] for index in ctx.sample(range(len(odd)), len(odd))}
    layers = dict.fromkeys(["idle", *those], digest(b"idle"))
    driver.put(layout.blob(Digest.parse(digest(b"idle"))), b"idle")
    for name, wanted in layers.items():
        driver.put(link(name, wanted), wanted.encode())
    for name, (_, document) in those.items():
        driver.put(layout.blob(Digest.of(document)), document)
        driver.put(layout.revision(name, Digest.of(document)), digest(document).encode())
    service = LayerService(CheckedDriver(RememberedDriver(ctx.open())))
    dropped = service.collect(dry_run=True, now=later(), unreferenced=True).dropped
    guessed = [what for name, (what, _) in those.items() if name not in dropped.skipped]
    assert guessed == [], f"taken for manifests: {guessed}"
    assert [each.name for each in dropped.removed] == ["idle"], f"dropped: {dropped.removed}"

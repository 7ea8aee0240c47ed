"""Objects that should be small and are not: of each, a service reads the first bytes, whatever is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from layerstore import LayerService, LayerStoreError, layout
from layerstore.checked import CheckedDriver
from layerstore.contents.manifest import LARGEST
from layerstore.hashing.uploadstate import MAX_DOCUMENT
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.images import Images
from layerstore_conformance.kit.layers import begin, link
from layerstore_conformance.kit.remembered import RememberedDriver
from layerstore_conformance.kit.swollen import SwollenDriver
from layerstore_conformance.steps.ages import WEEK, later

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "leaks"

MIB = 1 << 20

SWOLLEN = 48 * MIB
"""Bytes of the object that should be small: more than may be held of any."""


def _resumed(service: LayerService, uuid: str) -> None:
    with closing(service.resume("a", uuid)) as upload:
        upload.digest()


@scenario("C6", kills=("state-is-read-whole", "gets-the-whole-object", "manifest-is-read-whole"), rows=(42,))
def what_should_be_small_is_not_read_whole(ctx: Context) -> None:
    """A link, tag, start, state or manifest that is many megabytes long is read up to a limit, by every method.

    Another program, or an attacker who may write there, would else take all memory of every process that looks.
    """
    service = ctx.service()
    images = Images(service, "a")
    images.layer("layer")
    images.image("image", "layer")
    images.tag("latest", "image")
    wanted, keys = str(images.digests["layer"]), layout.UploadKeys("a", begin(service, "a", bytes(3000)))
    small = {"a link": link("a", wanted), "a tag": layout.tag("a", "latest")}
    small |= {"a revision": layout.revision("a", images.digests["image"])}
    small |= {"a start": keys.started_at, "a state": keys.state, "a manifest": layout.blob(images.digests["image"])}
    asks: dict[str, Callable[[LayerService], object]] = {
        "exists": lambda service: service.exists("a", wanted),
        "renew": lambda service: service.renew("a", wanted),
        "fetch": lambda service: service.fetch("a", wanted).close(),
        "mount": lambda service: service.mount("b", wanted, source="a").close(),
        "layers": lambda service: list(service.layers()),
        "uploads": lambda service: list(service.uploads()),
        "status": lambda service: service.status("a", keys.uuid),
        "resume": lambda service: _resumed(service, keys.uuid),
        "purge": lambda service: service.purge(WEEK, dry_run=True),
        "collect": lambda service: service.collect(dry_run=True, now=later(), unreferenced=True, untagged=True),
        "a scrub of links": lambda service: list(service.scrub(after="f" * 64)),
    }
    driver, read = RememberedDriver(ctx.open()), set[str]()
    for what, key in small.items():
        limit = LARGEST + 1 if what == "a manifest" else MAX_DOCUMENT
        for name, ask in asks.items():
            swollen = SwollenDriver(driver, key, SWOLLEN)
            with suppress(LayerStoreError):
                ask(LayerService(CheckedDriver(swollen)))
            assert swollen.most <= limit, f"{name} reads {swollen.most} bytes of {what}, which has at most {limit}"
            read |= {what} if swollen.asked else set()
    assert read == set(small), f"nothing reads {set(small) - read}"

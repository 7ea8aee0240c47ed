"""Signed URLs: a layer is given away by a URL of its driver if, and only if, it could be fetched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from layerstore import Digest, LayerService, UnknownLayerError, layout
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.layers import blob, link
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.watching import Trap, number

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context

GROUP = "verify"

LASTS = (timedelta(seconds=1), timedelta(minutes=20), timedelta(days=7))


class SigningDriver(PassingDriver):
    """Any driver, with URLs that say what they are of."""

    def redirect_url(self, key: str, lasts: timedelta) -> str | None:
        """Return a URL of a key that is there."""
        self.inner.stat(key)
        return f"signed://{key}?{lasts.total_seconds()}"


class UnsigningDriver(PassingDriver):
    """Any driver, which could sign and has no key for it."""

    def redirect_url(self, key: str, lasts: timedelta) -> str | None:
        """Return None."""
        del key, lasts
        return None


DATA = archive("first", "second")
OTHER = archive("second", "first")
NAMES = (digest(DATA), tarsum_of(DATA), f"sha512:{'0' * 128}")
"""The digests by which it is asked for: the last one is another's, and its link points here all the same."""

DAMAGES: dict[str, Callable[[CheckedDriver, str], None]] = {
    "nothing": lambda driver, wanted: None,
    "no link": lambda driver, wanted: driver.delete(link("a", wanted)),
    "an empty link": lambda driver, wanted: driver.put(link("a", wanted), b""),
    "a damaged link": lambda driver, wanted: driver.put(link("a", wanted), b"sha256:short"),
    "a link to what is not there": lambda driver, wanted: driver.put(link("a", wanted), digest(OTHER).encode("ascii")),
    "no blob": lambda driver, wanted: driver.delete(blob(DATA)),
    "an empty blob": lambda driver, wanted: driver.put(blob(DATA), b""),
}


def make(ctx: Context) -> None:
    """Make a store in which a repository has the layer by each name."""
    ctx.driver.delete("docker")
    ctx.driver.put(blob(DATA), DATA)
    for wanted in NAMES:
        ctx.driver.put(layout.link("a", Digest.parse(wanted)), digest(DATA).encode("ascii"))


def can_be_fetched(service: LayerService, name: str, wanted: str) -> bool:
    """Return whether a layer can be fetched."""
    try:
        service.fetch(name, wanted).close()
    except UnknownLayerError:
        return False
    return True


@scenario(
    *("R3", "S3"),
    kills=("signed-url-of-no-layer", "signed-url-lasts-always-the-same"),
    rows=(144,),
    axes=(Axis("damage", DAMAGES),),
)
def a_layer_has_a_signed_url_if_it_can_be_fetched(ctx: Context, damage: Callable[[CheckedDriver, str], None]) -> None:
    """A layer that can be fetched has the URL of its blob, for as long as asked; any other raises UnknownLayerError.

    A registry sends its clients to that URL, and cannot take its answer back when they find nothing there.
    """
    services = [
        LayerService(CheckedDriver(kind(ctx.open()))) for kind in (SigningDriver, UnsigningDriver, PassingDriver)
    ]
    for wanted in NAMES:
        make(ctx)
        damage(ctx.driver, wanted)
        for name in ("a", "b"):
            there = can_be_fetched(services[0], name, wanted)
            for service, signs in zip(services, (True, False, False), strict=True):
                if not there:
                    with refused(UnknownLayerError):
                        service.redirect_url(name, wanted)
                    continue
                for lasts in LASTS:
                    url = service.redirect_url(name, wanted, lasts=lasts)
                    expected = f"signed://{blob(DATA)}?{lasts.total_seconds()}" if signs else None
                    assert url == expected, f"the URL is {url}, not {expected}"
                assert (service.redirect_url(name, wanted) is not None) == signs


def _signing(driver: Driver, trap: Trap) -> LayerService:
    return LayerService(CheckedDriver(SigningDriver(ObservedDriver(driver, trap))))


@scenario("R3", "E4", kills=("signed-url-of-what-goes-is-a-missing-key",), rows=(144,))
def a_layer_that_goes_while_its_url_is_signed_is_unknown(ctx: Context) -> None:
    """If a layer goes at any moment while its URL is signed, the URL is returned, or the layer is unknown."""
    for what in (lambda: ctx.driver.delete(blob(DATA)), lambda: ctx.driver.delete("docker")):
        for wanted in NAMES[:2]:
            outcomes = []
            for index in range(20):
                make(ctx)
                trap = Trap()
                service = _signing(ctx.driver, trap)
                trap.set(number(index), what)
                try:
                    outcomes.append(service.redirect_url("a", wanted))
                except UnknownLayerError:
                    outcomes.append("unknown")
                if not trap.sprung:
                    break
                ctx.count("moments")
            assert outcomes[-1] == f"signed://{blob(DATA)}?1200.0", f"nothing has gone, and it is {outcomes[-1]}"
            assert set(outcomes[:-1]) == {"unknown"}, f"gone before one of its calls: {outcomes}"

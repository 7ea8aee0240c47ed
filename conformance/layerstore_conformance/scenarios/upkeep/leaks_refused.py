"""Leaks of what is refused, fails, or meets another user: its error is kept, and yet every handle is released."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from layerstore import Digest, LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.collection import uncollected
from layerstore_conformance.kit.layers import blob, link
from layerstore_conformance.kit.ledger import LedgerDriver
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.ages import LONG_AGO, WEEK, later
from layerstore_conformance.steps.watching import Trap, fail, number

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "leaks"

DATA = b"a layer that has been finished " * 50
MORE = b"and an upload that has not " * 40
BEGUN = layout.UploadKeys("a", "01234567-89ab-cdef-0123-456789abcdef")
MOVED = layout.UploadKeys("a", "11234567-89ab-cdef-0123-456789abcdef")


def fetch(service: LayerService) -> None:
    """Fetch a layer, and read it."""
    with service.fetch("a", digest(DATA)) as layer:
        layer.read()


def mount(service: LayerService) -> None:
    """Mount a layer in another repository, and read it."""
    with service.mount("b", digest(DATA), source="a") as layer:
        layer.read()


def go_on(service: LayerService) -> None:
    """Resume an upload at its offset, and write to it."""
    with service.resume("a", BEGUN.uuid, offset=len(MORE)) as upload:
        upload.write(MORE)


def go_on_anywhere(service: LayerService) -> None:
    """Resume an upload, and finish it by a digest that is read back."""
    with service.resume("a", BEGUN.uuid) as upload:
        upload.finish(digest(MORE), len(MORE)).close()


def finish_moved(service: LayerService) -> None:
    """Go on with a finish, and read the layer."""
    with (
        service.resume("a", MOVED.uuid, offset=len(DATA)) as upload,
        upload.finish(digest(DATA), len(DATA)) as layer,
    ):
        layer.read()


def upload(service: LayerService) -> None:
    """Upload a layer."""
    with service.upload("a", expected=digest(MORE)) as new:
        new.write(MORE)
        new.flush()
        new.finish(digest(MORE)).close()


Act = Callable[[LayerService], object]

CALLS: dict[str, Act] = {
    "fetch": fetch,
    "exists": lambda service: service.exists("a", digest(DATA)),
    "renew": lambda service: service.renew("a", digest(DATA)),
    "redirect_url": lambda service: service.redirect_url("a", digest(DATA)),
    "status": lambda service: [service.status("a", keys.uuid) for keys in (BEGUN, MOVED)],
    "layers": lambda service: list(service.layers()),
    "uploads": lambda service: list(service.uploads()),
    **{each.__name__.replace("_", " "): each for each in (mount, go_on, go_on_anywhere, finish_moved, upload)},
    "cancel": lambda service: service.cancel("a", BEGUN.uuid),
    "scrub": lambda service: list(service.scrub(jobs=1)),
    "purge": lambda service: service.purge(WEEK, now=later()),
    "collect": lambda service: service.collect(grace=timedelta(0), now=later()),
}


READS = {"fetch", "exists", "renew", "redirect_url", "status", "layers", "uploads"}
"""Those that leave the store as it was."""


def make(ctx: Context) -> None:
    """Make a store with a layer, an upload, and an upload whose data has become the layer's blob."""
    driver = ctx.driver
    driver.delete("docker")
    driver.put(blob(DATA), DATA)
    driver.put(link("a", digest(DATA)), digest(DATA).encode("ascii"))
    for keys in (BEGUN, MOVED):
        driver.put(keys.started_at, LONG_AGO)
    driver.put(BEGUN.data, MORE)
    driver.put(MOVED.intent(Digest.parse(digest(DATA))), digest(DATA).encode("ascii"))


def expect_released(ctx: Context, trap: Trap, act: Act, what: str) -> None:
    """Do something, and check that no handle is open afterwards, though its error is kept as a log keeps it."""
    ledger = LedgerDriver(ctx.open())
    kept: list[Exception] = []
    with uncollected():
        try:
            act(LayerService(CheckedDriver(ObservedDriver(ledger, trap))))
        except Exception as error:  # noqa: BLE001  (any error: what it leaves is looked at)
            kept.append(error)
        told = f" it raised {type(kept[0]).__name__};" if kept else ""
        assert not ledger.held, f"{what}:{told} still open are {ledger.held}"


PURGED = "an upload that a purge has begun with"

DAMAGES: dict[str, Callable[[CheckedDriver], None]] = {
    "nothing": lambda driver: None,
    "an empty blob": lambda driver: driver.put(blob(DATA), b""),
    "another blob": lambda driver: driver.put(blob(DATA), DATA[:-1] + b"x"),
    "no blob": lambda driver: driver.delete(blob(DATA)),
    "a damaged link": lambda driver: driver.put(link("a", digest(DATA)), b"sha256:short"),
    "a longer upload": lambda driver: driver.put(BEGUN.data, MORE + b"more"),
    "no upload": lambda driver: driver.delete(BEGUN.prefix),
    PURGED: lambda driver: driver.move(BEGUN.data, BEGUN.purged),
    "an upload without a start": lambda driver: driver.delete(BEGUN.started_at),
    "a damaged state": lambda driver: driver.put(BEGUN.state, b"{"),
    "no finish to go on with": lambda driver: driver.delete(MOVED.started_at),
}


@scenario(
    *("T4", "E4"),
    kills=("layer-that-is-refused-stays-open", "upload-that-is-refused-stays-open"),
    rows=(163,),
    profile="default",
    axes=(Axis("damage", DAMAGES),),
)
def every_handle_is_released_when_a_call_is_refused(ctx: Context, damage: Callable[[CheckedDriver], None]) -> None:
    """Whatever a call finds, a damaged layer or an upload at another offset, it releases each handle that it opened.

    A server keeps an error for its log, and with it whatever the call held: a descriptor for each refused request.
    """
    changed = True
    for name, call in CALLS.items():
        if changed:
            make(ctx)
            damage(ctx.driver)
        expect_released(ctx, Trap(), call, name)
        changed = name not in READS


MEETS: dict[str, tuple[str, ...]] = {
    "fetch": ("an empty blob", "no blob"),
    **dict.fromkeys(("mount", "redirect_url", "layers"), ("an empty blob",)),
    "finish moved": ("no blob",),
    "go on": ("a longer upload", "no upload", PURGED),
    "go on anywhere": ("a longer upload", PURGED),
    **dict.fromkeys(("status", "uploads"), ("no upload",)),
}
"""What another user of the store may do to what a call is about."""

FAILURES = 4
"""Moments of each call at which it fails, except in the full profile."""


@scenario(
    *("T4", "E4"),
    kills=("layer-that-is-refused-stays-open", "upload-that-is-refused-stays-open"),
    rows=(163, 174),
    profile="default",
    axes=(Axis("name", {each: each for each in CALLS}),),
)
def every_handle_is_released_whatever_a_call_meets(ctx: Context, name: str) -> None:
    """If the backend fails, or another user changes the store, at any moment of a call, it releases each handle."""
    make(ctx)
    whole = Trap()
    expect_released(ctx, whole, CALLS[name], "undisturbed")
    moments, changed = range(len(whole.calls)), name not in READS
    for what in ("a failure", *MEETS.get(name, ())):
        sampled = what == "a failure" and ctx.profile != "full"
        for moment in ctx.sample(moments, FAILURES) if sampled else moments:
            if changed:
                make(ctx)
            trap = Trap()
            trap.set(number(moment), partial(DAMAGES[what], ctx.driver) if what in DAMAGES else fail)
            with ctx.handles():
                told = f"{what} before {whole.calls[moment].method} of {whole.calls[moment].key}"
                expect_released(ctx, trap, CALLS[name], told)
            changed = what in DAMAGES or name not in READS
            ctx.count("moments")

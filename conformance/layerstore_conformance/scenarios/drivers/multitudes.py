"""Multitudes: tens of thousands of keys below one prefix, of which a call takes several pages, or too many at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Final

from layerstore_conformance.engine.scenario import scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "primitives"

MOST: Final = 33_100
"""Keys: three of the largest pages, and more than the 2^15 values that one statement, or one request, may take."""

AT_ONCE: Final = 300
"""Keys that are put between two looks at the clock."""

SECONDS: Final[dict[Profile, float]] = {"quick": 1.0, "default": 3.0, "full": 120.0}
"""How long keys are put, at most: a slow driver gets fewer of them, and the report has their number."""

BESIDE: Final = ("d/before", "d/many-", "d/many.d/key", "d/many0", "d/manyother/key", "d/more")
"""Keys before and behind all below ``d/many/``."""

SHOWN: Final = ["d/before", "d/many-", "d/many.d/", "d/many/", "d/many0", "d/manyother/", "d/more"]
"""What is listed below ``d``."""


def _put_many(ctx: Context) -> list[str]:
    """Put as many keys below one prefix as there is time for, and return them, in order."""
    wanted = (f"d/many/{number:05}" for number in range(ctx.size(MOST)))
    done: list[str] = []
    began = time.monotonic()
    while time.monotonic() - began < SECONDS[ctx.profile] and (keys := list(islice(wanted, AT_ONCE))):
        _put(ctx, keys)
        done += keys
    ctx.count("keys", len(done))
    return done


def _put(ctx: Context, keys: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: ctx.driver.put(key, key.encode()), keys))


def _expect(found: Iterator[str], wanted: list[str], what: str) -> None:
    children = list(found)
    missing, more = sorted({*wanted} - {*children}), sorted({*children} - {*wanted})
    said = f"{len(children)} of {len(wanted)}; missing: {missing[:3]}; too many: {more[:3]}"
    assert children == wanted, f"{what}: {said}"


@scenario(
    *("L1", "L4", "D1", "L2"),
    kills=("a-page-of-one-prefix-ends-the-listing", "delete-takes-ten-thousand", "listing-ends-at-ten-thousand"),
    rows=(82, 85, 92, 113),
    profile="default",
)
def a_prefix_of_tens_of_thousands_is_listed_and_deleted_whole(ctx: Context) -> None:
    """A prefix with tens of thousands of keys is one child above, hides no sibling, is listed whole, and deleted whole.

    A repository of years is that large, and must be deleted by one call.
    """
    _put(ctx, list(BESIDE))
    many = _put_many(ctx)
    driver = ctx.open()
    _expect(driver.list(""), ["d/"], "listed two levels above")
    _expect(driver.list("d"), SHOWN, "listed above")
    _expect(driver.list("d/many"), many, "listed")
    for key in (many[0], many[len(many) // 2], many[-1]):
        ctx.same(driver.get(key, 100), key.encode(), key)
    ctx.driver.delete("d/many")
    _expect(driver.list("d/many"), [], "listed when deleted")
    _expect(driver.list("d"), [child for child in SHOWN if child != "d/many/"], "listed above when deleted")
    assert ctx.open().find(many[-1]) is None, "the last one is there"
    for key in BESIDE:
        ctx.expect(key, key.encode())

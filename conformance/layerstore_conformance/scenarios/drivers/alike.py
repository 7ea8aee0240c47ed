"""Alike: what chance, the clock and the number of a process make alike is told apart all the same."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar
from unittest.mock import patch

from layerstore import FencedError, open_driver
from layerstore.threads import process as core
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

T = TypeVar("T")

SEED: Final = 42
"""The seed that programs take."""

LARGE: Final = 5 << 19
"""Bytes that a driver keeps in a file, or sends, before a flush."""


@contextmanager
def _standing_clock() -> Iterator[None]:
    """Let the clock stand still, and chance go on afterwards as if nothing had been."""
    now, state = time.time_ns(), random.getstate()
    try:
        with patch("time.time", lambda: now / 1e9), patch("time.time_ns", lambda: now):
            yield
    finally:
        random.setstate(state)


def _seeded(act: Callable[[], T]) -> T:
    """Do something that draws the same random numbers every time."""
    random.seed(SEED)
    return act()


@scenario("F1", "F3", "F4", kills=("writers-named-by-chance", "writers-named-by-the-clock"), rows=(120,))
def writers_that_draw_the_same_numbers_fence_each_other(ctx: Context) -> None:
    """Writers that are opened with the same seed, and at the same time, are told apart: the last one publishes.

    A program that seeds `random` anew draws the same numbers, and clocks are coarse, and are set back.
    """
    ctx.driver.put("old", b"old")
    with _standing_clock():
        for key, old in (("old", b"old"), ("new", b"")):
            writers = [_seeded(partial(driver.open_writer, key)) for driver in (ctx.driver, ctx.open(), ctx.driver)]
            for writer in writers[:-1]:
                with suppress(FencedError):
                    _seeded(partial(writer.write, b" and late"))
            _seeded(partial(writers[-1].write, b" and more"))
            for writer in writers[:-1]:
                with refused(FencedError):
                    _seeded(writer.flush)
            _seeded(writers[-1].close)
            ctx.expect(key, old + b" and more")


@scenario("S2", "T2", "W6", kills=("versions-drawn-by-chance",), rows=(120,))
def changes_that_draw_the_same_numbers_have_different_versions(ctx: Context) -> None:
    """Changes that are made with the same seed, and at the same time, give different versions and keep their bytes."""
    driver, found = ctx.driver, dict[str, str]()
    with _standing_clock():
        for number, data in enumerate((b"one", b"two", b"one", b"six")):
            _seeded(partial(driver.put, "d/key", data))
            found[f"put {number}"] = ctx.open().stat("d/key").version
            writer = _seeded(partial(driver.open_writer, "d/key"))
            for part in (b"abc", b"xyz"):
                _seeded(partial(_overwrite, writer, part))
                found[f"flush {number} of {part.decode()}"] = ctx.open().stat("d/key").version
            _seeded(partial(driver.delete, "d"))
        _seeded_and_large(ctx)
    assert len(set(found.values())) == len(found), f"two changes have one version: {found}"


def _overwrite(writer: Writer, data: bytes) -> None:
    writer.seek(0)
    writer.write(data)
    writer.flush()


def _seeded_and_large(ctx: Context) -> None:
    """Have two writers, whose names are drawn alike, keep their bytes apart."""
    datas = {key: bulk(key, LARGE, ctx.seed) for key in ("one", "two")}
    writers = {key: _seeded(partial(ctx.driver.open_writer, key)) for key in datas}
    for start in range(0, LARGE, LARGE // 2):
        for key, writer in writers.items():
            _seeded(partial(writer.write, datas[key][start : start + LARGE // 2]))
    for writer in writers.values():
        _seeded(writer.close)
    for key, data in datas.items():
        ctx.expect(key, data)


def opened_alike(url: str, process: int, now: int) -> CheckedDriver:
    """Open a store in a process that has a certain number and seed, at a certain time, for as long as it lives."""
    os.getpid = threading.get_native_id = lambda: process
    core._this.ask()
    time.time, time.time_ns = lambda: now / 1e9, lambda: now
    random.seed(SEED)
    return open_driver(url)


_begun: list[Writer] = []
"""The writers, in the other process."""


def _begin(driver: CheckedDriver, key: str, data: bytes) -> None:
    writer = _seeded(partial(driver.open_writer, key))
    writer.write(data)
    _begun.append(writer)


def _publish(_driver: CheckedDriver) -> str | None:
    writer = _begun.pop()
    _seeded(writer.flush)
    return writer.version


def _put(driver: CheckedDriver, data: bytes) -> str:
    _seeded(partial(driver.put, "put", data))
    return driver.stat("put").version


@scenario(
    *("C3", "F1", "F3", "S2"),
    kills=("writers-named-by-their-process", "writers-named-by-chance", "writers-named-by-the-clock"),
    rows=(120, 131),
    needs=("shared", "url"),
)
def processes_of_one_number_fence_each_other(ctx: Context) -> None:
    """Two processes with the same number, seed and time, that do the same, fence each other as any others do.

    In every container the first process has the number 1, and many containers may share a store.
    """
    assert ctx.harness.url is not None, "needs url"
    opens = partial(opened_alike, ctx.harness.url, 1, time.time_ns())
    ctx.driver.put("old", b"old")
    with Elsewhere(ctx, opens) as one, Elsewhere(ctx, opens) as two:
        for key, old in (("old", b"old"), ("new", b"")):
            one.run(_begin, key, b" and one")
            two.run(_begin, key, b" and two")
            with refused(FencedError):
                one.run(_publish)
            two.run(_publish)
            ctx.expect(key, old + b" and two")
        versions = [there.run(_put, data) for there, data in ((one, b"1"), (two, b"2"))]
        assert versions[0] != versions[1], f"what two processes have put has one version: {versions}"
        for there, key in ((one, "one"), (two, "two")):
            there.run(_begin, key, bulk(key, LARGE, ctx.seed))
        for there in (one, two):
            there.run(_publish)
    for key in ("one", "two"):
        ctx.expect(key, bulk(key, LARGE, ctx.seed))

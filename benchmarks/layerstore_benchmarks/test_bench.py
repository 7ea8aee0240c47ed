"""What ``pytest --pyargs layerstore_benchmarks --layerstore-url=URL`` runs: the cases of ``layerstore bench``.

All but the cold ones. A cold reading is timed apart from what makes it cold, which pytest-benchmark has no place for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from layerstore.cli.size import Size
from layerstore_benchmarks.case import Case, plan
from layerstore_benchmarks.counting import costs
from layerstore_benchmarks.payload import Source
from layerstore_benchmarks.steps import STEPS, Bench, Laps

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.harness import Harness

ROUNDS = 5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a benchmark of every case."""
    if "layerstore_bench" in metafunc.fixturenames:
        config = metafunc.config
        told = (config.getoption(f"layerstore_{name}") for name in ("size", "write_size"))
        sizes = (Size().convert(each, None, None) for each in told)
        metafunc.parametrize("layerstore_bench", plan(*sizes, cold=False), ids=str)


@pytest.fixture(scope="module")
def driver(layerstore_harness: Harness) -> Iterator[CheckedDriver]:
    """Return a driver of the store."""
    with closing(layerstore_harness.open()) as opened:
        yield opened


@pytest.fixture(scope="module")
def source() -> Source:
    """Return the bytes that are stored."""
    return Source()


def test_bench(benchmark: BenchmarkFixture, driver: CheckedDriver, source: Source, layerstore_bench: Case) -> None:
    """Store a layer as the case says; what it costs apart from time is in ``extra_info``."""
    bench = Bench(driver, source)
    benchmark.group = str(layerstore_bench.floor).partition(", ")[2]
    benchmark.extra_info |= {"driver": driver.scheme, "size": layerstore_bench.size}
    benchmark.extra_info |= costs(driver, source, layerstore_bench)
    try:
        benchmark.pedantic(  # type: ignore[no-untyped-call]  # theirs
            lambda: STEPS[layerstore_bench.policy](bench, layerstore_bench, Laps()),
            setup=bench.clean,
            rounds=ROUNDS,
            warmup_rounds=1,
        )
    finally:
        bench.clean()

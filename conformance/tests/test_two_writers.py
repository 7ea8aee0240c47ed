"""Two writers on one upload: every accepted finish reads back to its digest, and the fenced writer gets an error."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from layerstore import LayerService, open_driver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.promises import theorem
from layerstore_conformance.promises.interleaving import WriterResult, serve, take_turns

pytestmark = pytest.mark.once

SEEDS = range(60)


class Writers:
    """Two writers that wait for jobs."""

    def __init__(self, turns: Sequence[Connection], jobs: Sequence[Connection]) -> None:
        self.turns = turns
        self.jobs = jobs

    def race(self, url: str, seed: int) -> list[WriterResult]:
        """Let both write on one new upload."""
        upload = LayerService(open_driver(url)).upload("two/writers")
        upload.write(Payload("first", seed).read(1500))
        upload.close()
        for index, jobs in enumerate(self.jobs):
            jobs.send((url, "two/writers", upload.uuid, 2 * seed + index))
        return take_turns(self.turns, seed)


@pytest.fixture(params=["threads", "processes"])
def writers(request: pytest.FixtureRequest) -> Iterator[Writers]:
    """Start two writers, and end them."""
    context = multiprocessing.get_context("spawn")
    start = threading.Thread if request.param == "threads" else context.Process
    turns = [context.Pipe() for _ in range(2)]
    jobs = [context.Pipe() for _ in range(2)]
    running = [start(target=serve, args=(turns[i][1], jobs[i][1]), daemon=True) for i in range(2)]
    for each in running:
        each.start()
    yield Writers([ours for ours, _ in turns], [ours for ours, _ in jobs])
    for ours, _ in jobs:
        ours.send(None)
    for each in running:
        each.join()


@pytest.fixture
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], str]:
    """Make the URL of a new store by a number: in memory for threads, on disk for processes."""
    if request.node.callspec.params["writers"] == "threads":
        return lambda number: f"memory://{tmp_path.name}-{number}"
    return lambda number: f"local:{tmp_path}/{number}"


def test_whatever_finish_accepts_reads_back(writers: Writers, new_url: Callable[[int], str]) -> None:
    """Two writers interleaved at every driver call get only layers that match their digests, or errors."""
    outcomes: list[WriterResult] = []
    for seed in SEEDS:
        race = writers.race(new_url(seed), seed)
        service = LayerService(open_driver(new_url(seed)))
        theorem.check_store(service.driver)
        for accepted in race[0].accepted + race[1].accepted:
            with service.fetch("two/writers", accepted) as layer:
                assert digest(layer.read()) == accepted, f"seed {seed}"
        assert not race[0].fault + race[1].fault, f"seed {seed}"
        assert race[0].refused + race[1].refused, f"seed {seed}: neither was told of the other"
        outcomes += race
    assert sum(len(outcome.accepted) for outcome in outcomes) >= len(SEEDS) // 4, "too few finishes to prove anything"
    assert sum(outcome.refused.count("FencedError") for outcome in outcomes) >= len(SEEDS) // 4, "too few races"

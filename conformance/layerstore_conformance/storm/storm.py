"""A whole storm: rounds on one store, each followed by an account."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

from layerstore import LayerService, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.storm import journal
from layerstore_conformance.storm.account import Account, Layer
from layerstore_conformance.storm.director import Director
from layerstore_conformance.storm.journal import Operation
from layerstore_conformance.storm.plan import Plan
from layerstore_conformance.storm.violation import Violation

LONGEST = 60
"""Lines of a story: the last ones."""


@dataclass(slots=True)
class Storm:
    """The results of a storm so far."""

    plan: Plan
    """The plan; its operations are those of one round."""
    counts: Counter[str] = field(default_factory=Counter)
    """Workers, signals, operations."""
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """The results of the operations of each kind."""
    violations: list[Violation] = field(default_factory=list)
    stories: dict[Violation, list[str]] = field(default_factory=dict)
    """The operations on the subjects of each violation, in order."""
    layers: set[Layer] = field(default_factory=set)
    """The visible layers."""
    rounds: int = 0

    def round(self) -> None:
        """Run one round."""
        folder = self.plan.folder / f"round-{self.rounds}"
        folder.mkdir()
        plan = replace(self.plan, folder=folder, seed=self.plan.seed + self.rounds)
        self.rounds += 1
        director = Director(plan, self.counts)
        director.run()
        operations = journal.read(folder.glob("*.journal"))
        self._count(operations)
        found = [*director.violations, *self._account(operations)]
        self.violations += found
        self.stories |= {each: story(each, operations, director.strikes) for each in found}

    def run(self, *, seconds: float = 0.0, tell: Callable[[Storm], None] | None = None) -> None:
        """Run rounds, one at least, until the seconds have passed or a violation is found; call ``tell`` after each."""
        self._make_backend()
        until = time.monotonic() + seconds
        while not self.rounds or (time.monotonic() < until and not self.violations):
            self.round()
            if tell is not None:
                tell(self)

    def _make_backend(self) -> None:
        """Store something: a backend that is made when first written to is missing until then (clause E2)."""
        with closing(opened(self.plan)) as service:
            service.driver.put("beginning", b"")
            service.driver.delete("beginning")

    def _account(self, operations: list[Operation]) -> list[Violation]:
        with closing(opened(self.plan)) as service:
            found, self.layers = Account(operations, self.layers).check(service)
        return found

    def _count(self, operations: list[Operation]) -> None:
        for each in operations:
            self.counts["operations"] += 1
            how = each.told["error"] if each.how == "refused" else each.how
            self.outcomes.setdefault(each.do, Counter())[how] += 1

    def clear(self) -> None:
        """Delete everything that the storm has stored."""
        with closing(open_driver(self.plan.url)) as driver:
            driver.delete(self.plan.prefix)


def opened(plan: Plan) -> LayerService:
    """Open a storm's store, without the defects of its workers."""
    return LayerService(CheckedDriver(PrefixedDriver(open_driver(plan.url), plan.prefix)))


def story(violation: Violation, operations: list[Operation], strikes: list[tuple[int, str]]) -> list[str]:
    """Return the operations on the subjects of a violation, one line each, in the order in which they began."""
    lines = [(each.begun, str(each)) for each in operations if _concerns(each, violation.subjects)]
    workers = {line.split()[0] for _, line in lines}
    lines += [(float(at), text) for at, text in strikes if text.partition(":")[0] in workers]
    return [f"{(at - min(lines)[0]) / 1e9:9.4f} {text}" for at, text in sorted(lines)][-LONGEST:]


def _concerns(each: Operation, subjects: tuple[str, ...]) -> bool:
    text = f"{each.worker} {each.asked} {each.told}".replace("'", " ").replace(",", " ").split()
    return any(subject in text for subject in subjects)

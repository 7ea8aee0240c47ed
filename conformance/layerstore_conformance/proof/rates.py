"""Kill rates: how many of the defects that are drawn from a family the scenarios find, and how sure that is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from layerstore_conformance.engine.defect import Defect, defects
from layerstore_conformance.engine.prove import finds
from layerstore_conformance.engine.scenario import Scenario, scenarios

if TYPE_CHECKING:
    from layerstore_conformance.harness import Harness


KEPT: Final = Path(__file__).with_name("rates.json")
"""The rates that docs/proof.md shows."""

NORMAL: Final = 1.959964
"""The quantile of the normal distribution for 95 %."""


@dataclass
class Rate:
    """The rate of one family."""

    family: str
    drawn: int = 0
    survivors: list[str] = field(default_factory=list)
    """Ids and titles, with the parameters."""

    @property
    def killed(self) -> int:
        """Defects that were found."""
        return self.drawn - len(self.survivors)

    def __str__(self) -> str:
        return f"{self.family}: {told(self.killed, self.drawn)}"

    @classmethod
    def of_all(cls, rates: Iterable[Rate]) -> Self:
        """Return the rate of several families together."""
        whole = cls("all")
        for each in rates:
            whole.drawn += each.drawn
            whole.survivors += each.survivors
        return whole


def wilson(killed: int, drawn: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a rate (Wilson 1927), which holds near 100 %, too."""
    if not drawn:
        return 0.0, 1.0
    rate, squared = killed / drawn, NORMAL * NORMAL
    middle = rate + squared / (2 * drawn)
    spread = NORMAL * math.sqrt(rate * (1 - rate) / drawn + squared / (4 * drawn * drawn))
    whole = 1 + squared / drawn
    return max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)


def told(killed: int, drawn: int) -> str:
    """Return a rate and its interval as text."""
    low, high = wilson(killed, drawn)
    return f"{killed} of {drawn}, {killed / max(1, drawn):.0%} ({low:.1%} to {high:.1%})"


def families() -> list[Defect]:
    """Return the families among the planted defects."""
    return [each for each in defects().values() if each.ranges]


def draws(family: Defect, seeds: Iterable[int]) -> Iterator[Defect]:
    """Yield the defects of a family that some seeds draw, each once."""
    seen = []
    for seed in seeds:
        drawn = family.drawn(seed)
        if drawn.at not in seen:
            seen.append(drawn.at)
            yield drawn


def finder(defect: Defect, harness: Callable[[Scenario], Harness]) -> str:
    """Return the id of the first scenario that finds a defect, of those that claim it; empty if none does."""
    name = defect.id.partition("@")[0]
    for each in scenarios():
        if name in each.kills and finds(each, defect, harness(each)):
            return each.id
    return ""


def rate(family: Defect, seeds: Iterable[int], harness: Callable[[Scenario], Harness]) -> Rate:
    """Plant the defects that are drawn of a family, and tell how many are found."""
    found = Rate(family.id)
    for defect in draws(family, seeds):
        found.drawn += 1
        if not finder(defect, harness):
            found.survivors.append(f"{defect.id}: {defect.title}")
    return found


@dataclass(frozen=True)
class Kept:
    """The rates of one run."""

    first: int
    """The first seed."""
    seeds: int
    rates: dict[str, tuple[int, int]]
    """Found and drawn, by family."""


def keep(rates: Iterable[Rate], first: int, seeds: int) -> None:
    """Write the rates to where docs/proof.md has them from; families that were not drawn now keep theirs."""
    new = {each.family: (each.killed, each.drawn) for each in rates}
    merged = {**kept_rates().rates, **new}
    kept = Kept(first, seeds, {each.id: merged[each.id] for each in families() if each.id in merged})
    KEPT.write_text(json.dumps(asdict(kept), indent=2) + "\n", encoding="utf-8", newline="\n")


def kept_rates() -> Kept:
    """Return the rates that were kept."""
    return Kept(**json.loads(KEPT.read_text(encoding="utf-8")))

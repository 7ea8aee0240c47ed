"""Fault plans: what goes wrong at which driver call, as one line of text that can be kept, mailed and pasted.

::

    put#2:fail-after write_at#3:short            the second put, and the third write of any writer
    any/7@3:fail-before                          one call in 7, of whatever method, as seed 3 deals them
    full:12000                                   no room beyond 12,000 bytes, until somebody makes some

A :class:`~.faulty.FaultyDriver` follows a plan in front of a driver that works. The kinds, and
what a caller has to survive:

``fail-before``
    Nothing was done, and ``BackendUnavailableError`` says so (clauses E1 and E4).
``fail-after``
    It was done, and ``BackendUnavailableError`` says that it was not: the acknowledgement is lost. E4 forbids it to a
    driver that can tell; over a network none can, so callers must survive it: a publish may be tried again (W8), a put
    and a delete may be repeated (P1, D2, D4), and what was moved lies under the source, the target, or both (M2).
    An opened writer has fenced the earlier ones (F1). Of a write see below.
``short``
    A read returns fewer bytes than asked for, and no error (R5). A listing yields half and fails. A write has handed
    over its first half, and fails.
``torn``
    A write has handed over its second quarter and its fourth, and fails. A move has made its target and not taken away
    its source, and fails (M2). A delete has deleted half of the objects, and fails (D4).
``stale``
    A listing also yields what was deleted or moved away before it: for whoever acts on it the same as what goes while
    it is read (L4). Nothing else may be stale: a ``stat`` tells of the moment (S1), and a listing leaves nothing out.
``slow``
    Other threads have their turn first. No time is spent.
``full``
    A write or put that would pass the limit stores nothing, and raises ``NoSpaceError`` (E1, E4).

Of a write that fails, whatever its kind, the bytes beyond the end never appear, and those before it are the old or the
new ones (W2): so only a write over bytes that are there already is ever done in part.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, Self, get_args

Kind = Literal["fail-before", "fail-after", "short", "torn", "stale", "slow"]

KINDS: Final[Mapping[str, tuple[Kind, ...]]] = MappingProxyType(
    {
        "open_reader": ("fail-before", "slow"),
        "read_at": ("fail-before", "short", "slow"),
        "open_writer": ("fail-before", "fail-after", "slow"),
        "write_at": ("fail-before", "fail-after", "short", "torn", "slow"),
        "publish": ("fail-before", "fail-after", "slow"),
        "put": ("fail-before", "fail-after", "slow"),
        "stat": ("fail-before", "slow"),
        "list": ("fail-before", "short", "stale", "slow"),
        "move": ("fail-before", "fail-after", "torn", "slow"),
        "delete": ("fail-before", "fail-after", "torn", "slow"),
    }
)
"""What can go wrong with each method."""

ANY: Final = "any"

_FAULT = re.compile(r"(?P<method>\w+)(?:#(?P<number>\d+)|/(?P<one_in>\d+)@(?P<seed>\d+)):(?P<kind>[a-z-]+)\Z")
_FULL = re.compile(r"full:(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: at one call of a method, or at one in so many."""

    method: str
    """``any`` for every method that the kind applies to."""
    kind: Kind
    number: int = 0
    """Which call of the method, from 1 on; 0 for one in so many."""
    one_in: int = 0
    seed: int = 0
    """Deals which calls they are."""

    def __post_init__(self) -> None:
        """Refuse what cannot happen.

        Raises:
            ValueError: there is no such method or kind, the kind is not the method's, or it is not one call or some.
        """
        if self.kind not in get_args(Kind) or (self.method != ANY and self.method not in KINDS):
            raise ValueError(f"no such fault: {self.method}:{self.kind}")
        if self.method != ANY and self.kind not in KINDS[self.method]:
            raise ValueError(f"{self.method} can be {', '.join(KINDS[self.method])}, not {self.kind}")
        if (self.number > 0) == (self.one_in > 0):
            raise ValueError("a fault strikes one call, counted from 1, or one in so many")

    def strikes(self, method: str, number: int) -> bool:
        """Tell whether it strikes a call; ``number`` counts those of the fault's method, or all of them for ``any``."""
        if self.method not in (method, ANY) or self.kind not in KINDS[method]:
            return False
        if self.number:
            return self.number == number
        # No CRC: its low bits strike at such even intervals that no long piece of work ever gets through.
        dealt = hashlib.blake2b(f"{self.seed}:{number}".encode("ascii"), digest_size=8).digest()
        return int.from_bytes(dealt, "big") % self.one_in == 0

    def __str__(self) -> str:
        which = f"#{self.number}" if self.number else f"/{self.one_in}@{self.seed}"
        return f"{self.method}{which}:{self.kind}"


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What goes wrong, in any number; of two faults that strike one call, the first."""

    faults: tuple[Fault, ...] = ()
    full: int | None = None
    """Bytes that may be written and put in all."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a plan as :meth:`__str__` writes it.

        Raises:
            ValueError: it is none.
        """
        faults, full = [], None
        for word in text.split():
            if (room := _FULL.match(word)) and full is None:
                full = int(room[1])
            elif found := _FAULT.match(word):
                numbers = (int(found[name] or 0) for name in ("number", "one_in", "seed"))
                faults.append(Fault(found["method"], found["kind"], *numbers))  # type: ignore[arg-type]  # it checks
            else:
                raise ValueError(f"no fault: {word!r} in {text!r}")
        return cls(tuple(faults), full)

    @classmethod
    def random(cls, seed: int, calls: Mapping[str, int], faults: int = 2) -> Self:
        """Deal a plan of so many faults, for a piece of work that makes so many calls of each method."""
        choose = random.Random(seed)
        every = [(method, number) for method in sorted(calls) for number in range(1, calls[method] + 1)]
        struck = choose.sample(every, min(faults, len(every)))
        return cls(tuple(Fault(method, choose.choice(KINDS[method]), number) for method, number in struck))

    @classmethod
    def singles(cls, calls: Mapping[str, int]) -> Iterator[Self]:
        """Yield every plan of one fault, for a piece of work that makes so many calls of each method."""
        for method in sorted(calls):
            for number in range(1, calls[method] + 1):
                for kind in KINDS[method]:
                    yield cls((Fault(method, kind, number),))

    def __str__(self) -> str:
        return " ".join([*map(str, self.faults), *([] if self.full is None else [f"full:{self.full}"])])

"""Fault plans: which driver call fails and how, as one line of text that can be kept, mailed and pasted.

::

    put#2:fail-after write_at#3:short            the second put, and the third write of any writer
    any/7@3:fail-before                          one call in 7, of any method, chosen by seed 3
    full:12000                                   no room beyond 12,000 bytes, until room is made

A :class:`~.faulty.FaultyDriver` follows a plan in front of a driver that works. The kinds, and
what a caller must survive:

``fail-before``
    The call has no effect, and raises ``BackendUnavailableError`` (clauses E1 and E4).
``fail-after``
    The call takes effect, and raises ``BackendUnavailableError``: the acknowledgement is lost. E4 forbids it to a
    driver that can know; over a network none can, so callers must survive it: a publish may be tried again (W8), a put
    and a delete may be repeated (P1, D2, D4), and a moved object lies under the source, the target or both (M2).
    An opened writer has fenced the earlier ones (F1). For writes see below.
``short``
    A read returns fewer bytes than asked for, and no error (R5). A listing yields half and fails. A write has handed
    over its first half, and fails.
``torn``
    A write has handed over its second quarter and its fourth, and fails. A move has made its target and not taken away
    its source, and fails (M2). A delete has deleted half of the objects, and fails (D4).
``stale``
    A listing also yields keys that were deleted or moved away before it: for a caller the same as keys that go while it
    is read (L4). Nothing else may be stale: a ``stat`` is of the moment (S1), and a listing leaves nothing out.
``slow``
    Other threads have their turn first. No time is spent.
``full``
    A write or put that would pass the limit stores nothing, and raises ``NoSpaceError`` (E1, E4).

If a write fails, whatever the kind, its bytes beyond the end never appear, and those before it are the old or the new
ones (W2): only a write over bytes that are there already is ever done in part.
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
"""The kinds of fault of each method."""

ANY: Final = "any"

_FAULT = re.compile(r"(?P<method>\w+)(?:#(?P<number>\d+)|/(?P<one_in>\d+)@(?P<seed>\d+)):(?P<kind>[a-z-]+)\Z")
_FULL = re.compile(r"full:(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: at one call of a method, or at one call in so many."""

    method: str
    """``any`` for every method that the kind applies to."""
    kind: Kind
    number: int = 0
    """The number of the call, from 1; 0 for one in so many."""
    one_in: int = 0
    seed: int = 0
    """Chooses the calls."""

    def __post_init__(self) -> None:
        """Refuse a fault that cannot happen.

        Raises:
            ValueError: the method or kind is unknown, the method has no such kind, or there is no number.
        """
        if self.kind not in get_args(Kind) or (self.method != ANY and self.method not in KINDS):
            raise ValueError(f"no such fault: {self.method}:{self.kind}")
        if self.method != ANY and self.kind not in KINDS[self.method]:
            raise ValueError(f"{self.method} can be {', '.join(KINDS[self.method])}, not {self.kind}")
        if (self.number > 0) == (self.one_in > 0):
            raise ValueError("a fault strikes one call, counted from 1, or one in so many")

    def strikes(self, method: str, number: int) -> bool:
        """Return whether it strikes a call; ``number`` counts the calls of the fault's method, or all for ``any``."""
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
    """Any number of faults; if two strike one call, the first counts."""

    faults: tuple[Fault, ...] = ()
    full: int | None = None
    """Bytes that may be written and put in all."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a plan as :meth:`__str__` writes it.

        Raises:
            ValueError: the text is no plan.
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

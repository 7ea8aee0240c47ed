"""The charts of a run, as numbers: where each bar and point lies, in units that the page draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from layerstore_benchmarks.case import MIB, Case, Policy, spell
from layerstore_benchmarks.document import Results

NICE = (1, 2, 5)
"""What a tick is a power of ten of, times one of these."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar."""

    kind: str
    """``floor``, ``write``, ``finish``: the floor, and what is added to it in each step."""
    start: float
    """Of the whole width, from 0 to 1."""
    width: float
    told: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A labelled bar of parts."""

    label: str
    parts: tuple[Part, ...]
    told: str
    """What stands behind it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A labelled line; x and y from 0 to 1, y upwards."""

    policy: Policy
    points: tuple[tuple[float, float, str], ...]
    """With what each says."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Lines over a row of sizes."""

    lines: tuple[Line, ...]
    columns: tuple[tuple[float, str], ...]
    """Where each size stands, and how it is spelled."""
    rows: tuple[tuple[float, str], ...]
    """The same of the rates, in MiB/s."""


def overheads(results: Results, size: int, write_size: int) -> list[Bar]:
    """Draw the seconds of each way to verify: the floor, and what is added to it while writing and finishing."""
    cases = [each for each in results.cases() if (each.size, each.write_size) == (size, write_size)]
    cases = [each for each in cases if each.policy != "cancel"]
    longest = max(results.seconds(each) for each in cases)
    return [_overhead(results, each, longest) for each in cases]


def _overhead(results: Results, case: Case, longest: float) -> Bar:
    floor, whole = results.seconds(case.floor), results.seconds(case)
    beyond = max(0.0, whole - floor)
    finish = min(beyond, max(0.0, results.step(case, "finish") - results.step(case.floor, "finish")))
    parts: list[Part] = []
    for kind, seconds in (("floor", min(floor, whole)), ("write", beyond - finish), ("finish", finish)):
        start = sum(part.width for part in parts)
        parts.append(Part(kind, start, seconds / longest, f"{seconds:.3f} s"))
    overhead = results.overhead(case)
    more = "" if overhead is None or case.policy == "no hash" else f" ({overhead:+.0%})"
    return Bar(_named(case), tuple(parts), f"{whole:.3f} s{more}")


def amplifications(results: Results, size: int, write_size: int) -> list[Bar]:
    """Draw how many bytes of the layer are read back for each byte of it."""
    cases = [each for each in results.cases() if (each.size, each.write_size) == (size, write_size)]
    most = max(1.0, *(results.amplification(each) for each in cases))
    bars = []
    for case in cases:
        if case.policy not in {"no hash", "cancel"}:
            part = Part("finish", 0.0, results.amplification(case) / most, spell(results.costs(case)["bytes_read"]))
            bars.append(Bar(_named(case), (part,), f"{results.amplification(case):.2f} x"))
    return bars


def by_size(results: Results, write_size: int) -> Plane:
    """Draw the rate of each way to verify, against the size of the layer."""
    policies: tuple[Policy, ...] = ("no hash", "hash", "re-read")
    cases = [each for each in results.cases() if each.policy in policies]
    return _plane(results, [each for each in cases if each.write_size == min(write_size, each.size)], "size")


def by_write(results: Results, written: int) -> Plane:
    """Draw the rate of a layer of ``written`` bytes, against the size of the writes."""
    policies: tuple[Policy, ...] = ("no hash", "hash")
    cases = [each for each in results.cases() if each.policy in policies and each.size == written]
    return _plane(results, cases, "write_size")


def _plane(results: Results, cases: Sequence[Case], across: str) -> Plane:
    sizes = sorted({int(getattr(each, across)) for each in cases})
    place = {size: number / max(1, len(sizes) - 1) for number, size in enumerate(sizes)}
    rates = [results.rate(each) / MIB for each in cases]
    low, high = math.log10(min(rates)) - 0.05, math.log10(max(rates)) + 0.05

    def height(rate: float) -> float:
        return (math.log10(rate) - low) / (high - low)

    lines = []
    for policy in dict.fromkeys(each.policy for each in cases):
        points = sorted((getattr(each, across), results.rate(each) / MIB) for each in cases if each.policy == policy)
        told = tuple((place[size], height(rate), f"{spell(size)}: {rate:.3g} MiB/s") for size, rate in points)
        lines.append(Line(policy, told))
    ticks = [nice * 10.0**power for power in range(-3, 7) for nice in NICE]
    rows = tuple((height(each), f"{each:g}") for each in ticks if low <= math.log10(each) <= high)
    return Plane(tuple(lines), tuple((place[size], spell(size)) for size in sizes), rows)


def _named(case: Case) -> str:
    return f"resumed {case.resumes} x" if case.resumes else case.policy

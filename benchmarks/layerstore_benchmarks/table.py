"""The table on the terminal: the cost of verifying, by size and by writes, and the bytes that were read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore_benchmarks.case import Case, spell
from layerstore_benchmarks.document import Results

if TYPE_CHECKING:
    from rich.console import Console

    from layerstore_benchmarks.document import Document

COLUMNS = ("case", "seconds", "min", "max", "MiB/s", "overhead", "written", "read back", "hashed", "calls", "memory")


def show(console: Console, told: Document) -> None:
    """Draw the tables of a run."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    for title, rows in tables(told):
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        for number, column in enumerate(COLUMNS):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)


def tables(told: Document) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield titles and rows: first the layer that was asked for, then the others."""
    results = Results(told)
    size, write_size = told["options"]["size"], min(told["options"]["size"], told["options"]["write_size"])
    asked = [case for case in results.cases() if (case.size, case.write_size) == (size, write_size)]
    others = [case for case in results.cases() if case not in asked]
    yield f"a layer of {spell(size)} in writes of {spell(write_size)}", [row(results, case) for case in asked]
    if others:
        yield "other sizes and writes", [row(results, case, whole=True) for case in others]


def row(results: Results, case: Case, *, whole: bool = False) -> tuple[str, ...]:
    """Spell a case's figures; ``whole``: its sizes too."""
    costs, (least, most), overhead = results.costs(case), results.spread(case), results.overhead(case)
    memory = costs["peak_memory"]
    name = case.policy + (f", {case.resumes} x" if case.resumes else "")
    return (
        str(case) if whole else name,
        f"{results.seconds(case):.4f}",
        f"{least:.4f}",
        f"{most:.4f}",
        f"{results.rate(case) / (1 << 20):.0f}" if case.policy != "cancel" else "",
        "" if overhead is None or case.policy == "no hash" else f"{overhead:+.0%}",
        spell(costs["bytes_written"]),
        spell(costs["bytes_read"]),
        spell(costs["bytes_hashed"]),
        str(sum(costs["calls"].values())),
        "" if memory is None else spell(memory),
    )

"""``bench.html``: one page, for a person, that needs nothing but itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore_benchmarks.case import WRITTEN, spell
from layerstore_benchmarks.charts import amplifications, by_size, by_write, overheads
from layerstore_benchmarks.document import Results
from layerstore_benchmarks.table import COLUMNS, tables

if TYPE_CHECKING:
    from layerstore_benchmarks.document import Document


def page(told: Document) -> str:
    """Draw the page of a run."""
    from layerstore_conformance.reports.html import pages  # late: only who wants a page needs jinja2

    environment = pages("layerstore_benchmarks", "layerstore_conformance.reports")
    environment.filters["bytes"] = spell
    results = Results(told)
    size, write_size = told["options"]["size"], min(told["options"]["size"], told["options"]["write_size"])
    written = min(size, WRITTEN)
    return environment.get_template("bench.html").render(
        told=told,
        size=size,
        write_size=write_size,
        written=written,
        overheads=overheads(results, size, write_size),
        amplifications=amplifications(results, size, write_size),
        by_size=by_size(results, write_size),
        by_write=by_write(results, written),
        columns=COLUMNS,
        tables=list(tables(told)),
        calls=[(str(case), results.costs(case)["calls"]) for case in results.cases()],
    )

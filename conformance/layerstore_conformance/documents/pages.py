"""The pages: the table of other suites' behaviours, the proof, the index of scenarios, and counts in other pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from pathlib import Path

from layerstore_conformance.documents.rows import BY_CONSTRUCTION, LEFT_OUT, SECTIONS, rows
from layerstore_conformance.engine.clauses import clauses
from layerstore_conformance.engine.defect import defects
from layerstore_conformance.engine.run import unmet
from layerstore_conformance.engine.scenario import GROUPS, scenarios, selected
from layerstore_conformance.harness import Harness
from layerstore_conformance.proof.rates import families, kept_rates, told

MADE = "<!-- Made by `python -m layerstore_conformance.documents docs`; edit the suite, not this page. -->"


def coverage() -> str:
    """Return docs/coverage.md: the behaviours that other suites check, with scenarios or the reason for none."""
    covering = {number: [each.id for each in scenarios() if number in each.rows] for number in rows()}
    covered = sum(bool(names) for names in covering.values()) + len(BY_CONSTRUCTION)
    lines = [
        *("# The behaviours that other suites check", "", MADE, ""),
        "Twelve public conformance suites (of distribution, OpenDAL, go-cloud, zarr, csi-sanity, perkeep, objstore,",
        "PyFilesystem2, fsspec, tusd, arrow-rs and the OCI distribution specification) together check these",
        f"{len(rows())} behaviours; no one of them checks more than 73. This suite covers {covered} of them,",
        f"and leaves {len(LEFT_OUT)} out for the reasons given.",
    ]
    numbered = iter(rows().items())
    for section, texts in SECTIONS.items():
        lines += ["", f"## {section}", "", "| # | behaviour | scenarios |", "| ---: | --- | --- |"]
        for number, text in islice(numbered, len(texts)):
            lines.append(f"| {number} | {text} | {_covered(number, covering[number])} |")
    return "\n".join(lines) + "\n"


def proof() -> str:
    """Return docs/proof.md: every planted defect, and the scenarios that find it."""
    lines = [
        *("# The proof: the defects that the suite finds", "", MADE, ""),
        f"There are {len(defects())} planted defects and {len(scenarios())} scenarios. Each defect is planted in",
        "front of a driver that works, or in the core, and every scenario named beside it finds it. Our CI checks each",
        "claim, and `layerstore conformance URL --prove` checks them on a driver of yours.",
        *("", *_of_families()),
    ]
    for name, text in clauses().items():
        lines += ["", f"## {name}", "", f"> {text}", "", *_of_clause(name)]
    return "\n".join(lines) + "\n"


HELD_OUT = (
    "The suite's authors know these defects. So others, who had not read the suite, wrote defects from the contract",
    "alone, and the default profile was run on each:",
    "",
    "| list | on | found |",
    "| --- | --- | --- |",
    f"| 28 November 2026 | four drivers | {told(30, 38)} |",
    f"| 29 November 2026 | the memory driver | {told(23, 24)} |",
    f"| the same list | the SQLite example and the local driver | {told(16, 30)} |",
    f"| another one, of the same day | the local driver | {told(5, 10)} |",
    f"| a fourth, of the same day | memory, the SQLite example, local | {told(29, 42)} |",
    f"| four authors more, of the same day | memory, and core on it | {told(20, 22)} |",
    f"| the same authors | the SQLite example | {told(20, 21)} |",
    f"| the same authors | the local driver | {told(17, 21)} |",
    f"| three authors more | memory, and core on it | {told(16, 18)} |",
    f"| the same authors | the SQLite example | {told(14, 16)} |",
    f"| the same authors | the local driver | {told(13, 16)} |",
    f"| three others, of the same day | memory, and core on it | {told(13, 16)} |",
    f"| the same authors | the SQLite example | {told(13, 13)} |",
    f"| the same authors | the local driver | {told(8, 13)} |",
    f"| three others, later that day | memory, and core on it | {told(14, 14)} |",
    f"| the same authors | the SQLite example | {told(12, 14)} |",
    f"| the same authors | the local driver | {told(8, 12)} |",
    f"| the last three, of the same day | memory, and core on it | {told(14, 14)} |",
    f"| the same authors | the SQLite example | {told(13, 14)} |",
    f"| the same authors | the local driver | {told(14, 14)} |",
    f"| 30 November 2026, another author | memory | {told(23, 31)} |",
    f"| the same author | the SQLite example | {told(12, 12)} |",
    f"| the same author | the local driver | {told(10, 13)} |",
    f"| another author, of the same day | core on memory | {told(29, 34)} |",
    f"| the same author | a driver of his own, of chunks and manifests | {told(10, 15)} |",
    f"| a third author, later that day | memory | {told(57, 62)} |",
    f"| the same author | core on memory | {told(50, 58)} |",
    f"| two others, later that day | memory | {told(16, 16)} |",
    f"| the same authors | core on memory | {told(17, 20)} |",
    f"| the same authors | the SQLite example and the local driver | {told(20, 20)} |",
    f"| two others, after that | memory | {told(18, 20)} |",
    f"| the same authors | core on memory | {told(17, 19)} |",
    f"| the same authors | the SQLite example and the local driver | {told(17, 19)} |",
    f"| two others, after that | memory | {told(15, 16)} |",
    f"| the same authors | core on memory | {told(20, 21)} |",
    f"| the same authors | the SQLite example and the local driver | {told(19, 19)} |",
    f"| the last one, after that | memory | {told(10, 10)} |",
    f"| the same author | core on memory | {told(16, 16)} |",
    "",
    f"Of all defects of the last three authors it found {told(80, 82)}.",
    "",
    "After each list scenarios were written for the kinds that lived: each figure is that of the suite before these.",
    "Before the last list of 29 November three others, who had read the suite, looked for what it misses: of 189",
    "defects of theirs it missed 114, for whose kinds scenarios were written, too.",
    "",
    "Of those of the lists of 29 November that lived, all but two are found now. One is a move that syncs the source's",
    "directory before that of the target: it shows where half a rename may reach the disk, which the model of a loss",
    "of power excludes. The other is a database whose log is written over before what it holds was synced: it takes",
    "more unflushed megabytes than the record of a life can hold.",
    "",
    "Of those of 30 November three live. A put that fails in the middle has fenced a writer: since then the contract",
    "allows that (F2.1). One write takes 2 GiB at most: no scenario writes as much at once. And a memory error of",
    "the memory driver is told as it is: no scenario takes all memory away from its process.",
)


def _of_families() -> Iterator[str]:
    """Yield what is known of the families: how many of the defects that were drawn are found."""
    kept = kept_rates()
    killed, drawn = (sum(each[number] for each in kept.rates.values()) for number in (0, 1))
    yield from ("## Families", "")
    yield f"Of these, {len(families())} are families: a family has parameters, such as a threshold or a period,"
    yield "and is one defect for each choice of them. `python -m layerstore_conformance.proof` draws some by a seed,"
    yield "which it prints. A survivor is `FAMILY@SEED`, and can be planted again by that name. Our CI draws others"
    yield "at every run."
    yield ""
    yield f"Of {drawn} defects drawn by the seeds {kept.first} to {kept.first + kept.seeds - 1} the scenarios found"
    yield f"{told(killed, drawn)}; in brackets is the 95 % confidence interval (Wilson)."
    yield from ("", *HELD_OUT, "", "| family | parameters | found |", "| --- | --- | --- |")
    for each in families():
        found = told(*kept.rates[each.id]) if each.id in kept.rates else "not drawn yet"
        yield f"| `{each.id}` | {', '.join(each.ranges)} | {found} |"


def index() -> str:
    """Return docs/scenarios.md: every scenario with its clauses."""
    lines = ["# The scenarios", "", MADE]
    for group in GROUPS:
        lines += ["", f"## {group}", "", "| scenario | behaviour | clauses |", "| --- | --- | --- |"]
        lines += [
            f"| `{each.id}` | {_plain(each.title)} | {' '.join(each.clauses)} |"
            for each in scenarios()
            if each.group == group
        ]
    return "\n".join(lines) + "\n"


ROUNDED = 50
"""Counts in running text are rounded down to a multiple of this, so that most changes leave the text alone."""

COUNTING = ("../README.md", "ci.md", "conformance.md", "reliability.md", "report-schema.md")
"""The pages with a count in running text, such as ``over 100 scenarios``, or a run of the suite on the memory driver,
from the folder of pages."""

_RUN = re.compile(
    r"(?P<shown>layerstore conformance (?P<url>memory://\S+)(?P<options>[^\n]*)\n```\n(?:[^`]*)```text\n"
    r"layerstore conformance: PASSED:) \d+ passed, \d+ skipped"
)
"""A command in a page, and its verdict in the next block."""


def counted(text: str) -> str:
    """Return a page's text with its counts of scenarios and planted defects, and its verdicts, as they are now."""
    for what, count in (("scenarios", len(scenarios())), ("planted defects", len(defects()))):
        text = re.sub(rf"\bover \d+ (?={what})", f"over {count // ROUNDED * ROUNDED} ", text)
    return _RUN.sub(_verdict, text)


def _verdict(found: re.Match[str]) -> str:
    """Return a run with the verdict that its command has now; nothing is run for that."""
    words = shlex.split(found["options"])
    only = tuple(value for word, value in pairwise(words) if word == "--only")
    harness = Harness(found["url"])
    declared = harness.declared(harness.open().capabilities)
    chosen = selected("quick" if "--quick" in words else "default", only)
    skipped = sum(bool(unmet(each, declared)) for each in chosen)
    return f"{found['shown']} {len(chosen) - skipped} passed, {skipped} skipped"


PAGES = {"coverage.md": coverage, "proof.md": proof, "scenarios.md": index}


def write(folder: Path) -> None:
    """Write every page into a folder, and the counts into those that have some in their text."""
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8", newline="\n")
    for page in (folder / name for name in COUNTING if (folder / name).exists()):
        page.write_text(counted(page.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def _covered(number: int, names: Iterable[str]) -> str:
    if number in LEFT_OUT:
        return f"*left out*: {LEFT_OUT[number]}"
    return BY_CONSTRUCTION.get(number) or "<br>".join(f"`{name}`" for name in names)


def _of_clause(name: str) -> Iterator[str]:
    """Yield the table of the defects that break a clause, and the scenarios that cite it and find none of them."""
    broken = {each.id: each for each in defects().values() if name in each.clauses}
    yield from ("| defect | fault | found by |", "| --- | --- | --- |")
    for defect in broken.values():
        finders = "<br>".join(f"`{each.id}`" for each in scenarios() if defect.id in each.kills)
        yield f"| `{defect.id}` | {_plain(defect.title)} | {finders} |"
    others = [each.id for each in scenarios() if name in each.clauses and not broken.keys() & set(each.kills)]
    if others:
        yield from ("", "Checked in passing by " + ", ".join(f"`{each}`" for each in others) + ".")


def _plain(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")

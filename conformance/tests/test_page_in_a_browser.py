"""The page as a person sees it: laid out by a real browser, in light and dark, wide and narrow, hostile or not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from layerstore import BackendUnavailableError, open_driver
from layerstore.driver import Driver
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import selected
from layerstore_conformance.engine.subject import examine
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.reports import Run, write_reports
from layerstore_conformance.verdict.judging import Evidence, Expected, judge
from layerstore_conformance.verdict.record import record

pytestmark = pytest.mark.once

QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--headless",
    "--no-sandbox",
    "--virtual-time-budget=10000",
]
"""Nothing that asks the network, and the page's own clock runs to its end at once."""

LOOK = """
<script>
const style = (selector) => getComputedStyle(document.querySelector(selector));
const words = document.forms[0].elements.words;
words.value = "MOVED prefix";
words.dispatchEvent(new Event("input", {bubbles: true}));
document.title = JSON.stringify({
  before: document.title,
  page: style("body").backgroundColor, ink: style("body").color,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  shown: document.querySelectorAll("details.scenario:not([hidden])").length,
  told: document.querySelector("output").textContent,
  failures: document.querySelectorAll("article.failure").length,
  fetched: performance.getEntriesByType("resource").length,
});
</script>
"""
"""Filters by two words, and returns the state of the page."""


class Wrong(PassingDriver):
    """Loses what it moves, under a name that a page must not take for markup."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Fail with a message that is markup."""
        raise BackendUnavailableError(source, "</script><script>document.title='owned'</script><img src=x>")


@pytest.fixture(scope="session")
def browser() -> str:
    """Return the program; without one there is nothing to see, and in CI that is a failure."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and os.environ.get("LAYERSTORE_CI"):
        pytest.fail("chromium is not installed")
    return found or pytest.skip("chromium is not installed")


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the page of a run with passes, skips and failures."""

    def make() -> Driver:
        return Wrong(open_driver("memory://browser"))

    harness = Harness(factory=make)
    chosen = selected("quick", ("moving", "putting", "outages"))
    seen = Evidence("", subject=examine(harness))
    for each in chosen:
        made = record(run(each, harness), harness.url, seed=0)
        seen.records.append((made, made["outcome"]))
    expected = Expected(tuple(each.id for each in chosen))
    folder = tmp_path_factory.mktemp("page")
    options = {"seed": 0, "profile": "quick", "only": []}
    write_reports(Run(expected, seen, judge(expected, seen), options, datetime.now(UTC)), folder)
    return folder / "report.html"


def look(browser: str, report: Path, folder: Path, *flags: str) -> dict[str, Any]:
    """Open the page, and return what a script finds in it."""
    page = folder / "looked-at.html"
    page.write_text(report.read_text().replace("</body>", LOOK + "</body>"))
    words = [browser, *QUIET, f"--user-data-dir={folder / 'profile'}", *flags, "--dump-dom", page.as_uri()]
    dumped = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout
    title = re.search("<title>(.*?)</title>", dumped, re.DOTALL)
    assert title is not None, dumped[:500]
    found: dict[str, Any] = json.loads(title[1].replace("&lt;", "<").replace("&amp;", "&"))
    return found


SCHEMES = {"light": "--blink-settings=preferredColorScheme=1", "dark": "--blink-settings=preferredColorScheme=0"}
SIZES = {"wide": "--window-size=1280,900", "narrow": "--window-size=500,900"}  # the narrowest window it opens


def luminance(colour: str) -> float:
    """Return how light ``rgb(...)`` is, from 0 to 1 (WCAG 2.1, relative luminance)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_fits_and_can_be_read(browser: str, report: Path, tmp_path: Path, scheme: str, size: str) -> None:
    """It follows the reader's colours with a contrast of at least 7, and nothing sticks out of the window."""
    found = look(browser, report, tmp_path, SCHEMES[scheme], SIZES[size])
    page, ink = luminance(found["page"]), luminance(found["ink"])
    assert (page > ink) == (scheme == "light"), "not in the reader's colours"
    assert (max(page, ink) + 0.05) / (min(page, ink) + 0.05) >= 7, "hard to read"
    assert found["overflow"] <= 0, f"{found['overflow']} pixels stick out"


def test_the_page_needs_nothing_else_and_lets_nothing_in(browser: str, report: Path, tmp_path: Path) -> None:
    """It loads nothing, and markup in what a driver said stays text."""
    found = look(browser, report, tmp_path)
    assert found["fetched"] == 0
    assert found["before"].startswith("failed"), found["before"]


def test_the_page_shows_the_scenarios_that_are_looked_for(browser: str, report: Path, tmp_path: Path) -> None:
    """Words filter the scenarios; the list of failures stays."""
    found = look(browser, report, tmp_path)
    texts = [each.id.replace("-", " ") for each in selected("quick", ("moving", "putting", "outages"))]
    assert 0 < found["shown"] < len(texts)
    assert found["told"] == f"{found['shown']} of {len(texts)}"
    assert found["failures"] > 0

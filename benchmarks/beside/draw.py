"""Draw what ``targets.py`` and ``azurite.py`` have found: a table and a chart, in benchmarks/README.md and beside it.

python benchmarks/beside/draw.py
"""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from findings import Group, is_reached, read

RESULTS = Path(__file__).parents[1] / "results"
README = RESULTS.parent / "README.md"
CHART = RESULTS / "large-layer.svg"
BEGIN, END = "<!-- Made by benchmarks/beside/draw.py -->", "<!-- the end of what it made -->"

WIDE, HIGH, LEFT = 720, 30, 130
"""Units of the chart: its width, the height of a bar with its gap, and where the bars begin."""


def table() -> str:
    """Draw every target and what was measured of it, in each place."""
    lines = ["| target | on | measured | bound | |", "| --- | --- | ---: | ---: | --- |"]
    groups = (group for file in sorted(RESULTS.glob("*.json")) for group in read(file).values())
    lines += sorted((row for group in groups for row in _rows(group)), key=lambda row: row.split("|")[1])
    return "\n".join(lines)


def _rows(group: Group) -> list[str]:
    place = group["environment"]["filesystem"]
    return [
        f"| {each['target']} | {place} | {each['measured']:.2f} "
        f"| {'at least' if each['atleast'] else 'at most'} {each['bound']:g} "
        f"| {'' if is_reached(each) else '**not reached**'} |"
        for each in group["findings"]
    ]


def chart() -> str:
    """Draw the seconds of a large layer on the disk: the floor, layerstore and the peers, with their spread."""
    seconds = read(RESULTS / "ext4.json")["large_on_disk"]["findings"][0]["seconds"]
    medians = sorted((statistics.median(each), name) for name, each in seconds.items())
    scale = (WIDE - LEFT - 90) / max(max(each) for each in seconds.values())
    rows = [_bar(number, name, seconds[name], scale) for number, (_, name) in enumerate(medians)]
    high = HIGH * len(rows) + 10
    box = f'viewBox="0 0 {WIDE} {high}" font-family="sans-serif" font-size="14"'
    ground = f'<rect width="{WIDE}" height="{high}" rx="6" fill="#ffffff"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {box}>', ground, *rows, "</svg>", ""])


def _bar(number: int, name: str, seconds: list[float], scale: float) -> str:
    y, median = HIGH * number + 8, statistics.median(seconds)
    colour = {"layerstore": "#2a78d6", "floor": "#8a8f98"}.get(name, "#c9cdd3")
    low, high = LEFT + min(seconds) * scale, LEFT + max(seconds) * scale
    return (
        f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end" fill="#1d1f21">{name}</text>'
        f'<rect x="{LEFT}" y="{y}" width="{median * scale:.1f}" height="20" rx="2" fill="{colour}"/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10}" y2="{y + 10}" stroke="#1d1f21"/>'
        f'<text x="{high + 8:.1f}" y="{y + 15}" fill="#5c6066">{median:.2f} s</text>'
    )


def main() -> None:
    """Draw."""
    CHART.write_text(chart(), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    drawn = re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{table()}\n\n{END}", text, flags=re.DOTALL)
    README.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What ``layerstore new-driver`` writes."""

from __future__ import annotations

import textwrap
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from layerstore import CONTRACT_VERSION
from layerstore.unwritten import PARTS
from layerstore_conformance.engine.clauses import clauses

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "module.py": "{module}.py",
    "test_conformance.py": "tests/test_conformance.py",
    "conformance.yml": ".github/workflows/conformance.yml",
}
"""The templates, and what they are for."""

WHOLE = ("K3", "E1", "E3", "E4", "T1", "T2", "T4", "T5", "X1", "X2", "X3")
"""The clauses that a driver has to keep in every method."""

DECLARED = ("C1", "C2", "C3", "C4", "C5", "C6")
"""Those that tell what it declares."""

FOREIGN = ("L6",)
"""That of a method which only some drivers have: ``scan``."""

WIDTH = 100
"""Columns."""


def write(name: str, module: str, folder: Path) -> None:
    """Write a distribution for a driver, in a module of that name, into a folder; make the folder if it is missing.

    Raises:
        OSError: it cannot be written.
    """
    told = {
        "name": name,
        "module": module,
        "kind": "".join(word.capitalize() for word in name.split("-")),
        "contract": CONTRACT_VERSION,
        "layerstore": version("layerstore"),
        "parts": PARTS,
        "whole": WHOLE,
        "declared": DECLARED,
        "foreign": FOREIGN,
    }
    for template, path in FILES.items():
        target = folder / path.format(module=module)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_environment().get_template(f"{template}.jinja").render(told), encoding="utf-8", newline="\n")


def _environment() -> Environment:
    environment = Environment(  # noqa: S701  (what it makes is no page, but Python and TOML)
        loader=PackageLoader("layerstore_conformance.scaffold"),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["clauses"] = _quoted
    return environment


def _quoted(names: tuple[str, ...], indent: int = 8) -> str:
    """Return clauses as a docstring quotes them: one a paragraph, of lines that hang below its first."""
    begin, further = " " * indent, " " * (indent + 4)
    texts = (f"{name}: {clauses()[name]}" for name in names)
    options = {"width": WIDTH, "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(
        textwrap.fill(text, initial_indent=begin, subsequent_indent=further, **options)  # type: ignore[arg-type]
        for text in texts
    )

"""The files of ``layerstore new-driver``."""

from __future__ import annotations

import inspect
import re
import textwrap
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from layerstore import CONTRACT_VERSION
from layerstore.objectstore import Service
from layerstore.unwritten import PARTS
from layerstore_conformance.engine.clauses import clauses

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "module.py": "{module}.py",
    "test_conformance.py": "tests/test_conformance.py",
    "conformance.yml": ".github/workflows/conformance.yml",
}
"""The templates, and the files made of them."""

OBJECT_STORE = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "object_store.py": "{module}.py",
    "object_store_conformance.py": "tests/test_conformance.py",
    "conftest.py": "tests/conftest.py",
    "conformance.yml": ".github/workflows/conformance.yml",
}
"""The same, of a driver for an object store."""

CALLS = ("get", "put", "delete", "delete_many", "list", "compose")
"""The calls of a service that its author has to write."""

WHOLE = ("K3", "E1", "E3", "E4", "T1", "T2", "T4", "T5", "T6", "X1", "X2", "X3")
"""The clauses that every method of a driver must keep."""

DECLARED = ("C1", "C2", "C3", "C4", "C5", "C6")
"""The clauses of its declarations."""

FOREIGN = ("L6",)
"""The clause of ``scan``, a method that only some drivers have."""

WIDTH = 100
"""Columns."""


def write(name: str, module: str, folder: Path, *, object_store: bool = False) -> None:
    """Write a distribution for a driver, in a module of that name, into a folder; make the folder if it is missing.

    With ``object_store``, the driver stands on the toolkit for object stores.

    Raises:
        OSError: a file cannot be written.
    """
    values = {
        "name": name,
        "module": module,
        "kind": "".join(word.capitalize() for word in name.split("-")),
        "contract": CONTRACT_VERSION,
        "layerstore": version("layerstore"),
        "parts": PARTS,
        "whole": WHOLE,
        "declared": DECLARED,
        "foreign": FOREIGN,
        "object_store": object_store,
        "variable": name.replace("-", "_").upper(),
        "calls": [_call(each) for each in CALLS],
    }
    for template, path in (OBJECT_STORE if object_store else FILES).items():
        target = folder / path.format(module=module)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            _environment().get_template(f"{template}.jinja").render(values), encoding="utf-8", newline="\n"
        )


def _call(name: str) -> dict[str, str]:
    """Return a call of a service with its signature and its docstring, for a method in a class."""
    call = getattr(Service, name)
    text = re.sub(r":\w+:`[~.]*(?:[a-z_]+\.)*([^`]+)`", r"`\1`", inspect.getdoc(call) or "").replace("``", "`")
    text = textwrap.indent(text, " " * 8).lstrip()
    end = f"\n{' ' * 8}" if "\n" in text else ""
    return {"name": name, "signature": str(inspect.signature(call)).replace("'", ""), "text": text + end}


def _environment() -> Environment:
    environment = Environment(  # noqa: S701  (it makes Python and TOML, no page)
        loader=PackageLoader("layerstore_conformance.scaffold"),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["clauses"] = _quoted
    return environment


def _quoted(names: tuple[str, ...], indent: int = 8) -> str:
    """Return clauses for a docstring: each is a paragraph with a hanging indent."""
    begin, further = " " * indent, " " * (indent + 4)
    texts = (f"{name}: {clauses()[name]}" for name in names)
    options = {"width": WIDTH, "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(
        textwrap.fill(text, initial_indent=begin, subsequent_indent=further, **options)  # type: ignore[arg-type]
        for text in texts
    )

"""Which code a measurement ran: a committed figure that is older than the code it describes is found by this.

A function is known by its fingerprint, a hash of its source without comments, docstring and whitespace. A function that
moves to another file, or is documented anew, keeps it; one that gains a statement does not.
"""

from __future__ import annotations

import ast
import hashlib
import io
import sys
import threading
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType

ROOMS = ("layerstore", "layerstore_drivers", "layerstore_registry")
SOURCES = tuple(Path(spec.origin).parent for spec in map(find_spec, ROOMS) if spec and spec.origin)
"""What the figures describe, found without an import: the registry's needs more. Floors and peers do not change."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Code = dict[str, str]
"""Fingerprints by module and name, as ``layerstore.uploads.upload:LayerUpload.write``."""


class Recorder:
    """Notes every function of layerstore that is called while it listens, in this thread and those that it starts."""

    def __init__(self) -> None:
        """Listen to nothing yet."""
        self._seen: set[CodeType] = set()
        self._listening = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note what is called within."""
        self._listening = True
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            self._listening = False

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        del argument
        if not self._listening:
            sys.setprofile(None)  # a thread that was started meanwhile and lives on
        elif event == "call":
            self._seen.add(frame.f_code)

    def code(self) -> Code:
        """Return the fingerprints of what was called."""
        found = {}
        for code in self._seen:
            path = Path(code.co_filename)
            name, mark = _known(path).get(code.co_firstlineno, ("", ""))
            if mark:
                found[f"{_module(path)}:{name}"] = mark
        return dict(sorted(found.items()))


def _module(path: Path) -> str:
    (top,) = (folder.parent for folder in SOURCES if path.is_relative_to(folder))
    return ".".join(path.relative_to(top).with_suffix("").parts)


def everything() -> set[str]:
    """Return the fingerprints of all functions in the tree."""
    paths = (path for folder in SOURCES for path in folder.rglob("*.py"))
    return {mark for path in paths for _, mark in _known(path).values()}


@cache
def _known(path: Path) -> dict[int, tuple[str, str]]:
    """Return name and fingerprint of every function in a file, by the line where it begins."""
    if not any(path.is_relative_to(folder) for folder in SOURCES):
        return {}
    text = path.read_text(encoding="utf-8")
    lines = _uncommented(text)
    return {_first(node): (name, _fingerprint(node, lines)) for name, node in _functions(ast.parse(text), "")}


def _functions(tree: ast.AST, within: str) -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield f"{within}{node.name}", node
        inner = f"{within}{node.name}." if isinstance(node, Function | ast.ClassDef) else within
        yield from _functions(node, inner)


def _first(node: Function) -> int:
    """Return the line that a code object names as its first."""
    return min(each.lineno for each in (node, *node.decorator_list))


def _uncommented(text: str) -> list[str]:
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return lines


def _fingerprint(node: Function, lines: list[str]) -> str:
    documented = ast.get_docstring(node, clean=False) is not None
    said = range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1) if documented else range(0)
    kept = (lines[row - 1] for row in range(_first(node), (node.end_lineno or 0) + 1) if row not in said)
    return hashlib.sha256("".join("".join(kept).split()).encode("utf-8")).hexdigest()[:12]

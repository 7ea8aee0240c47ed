"""For mkdocstrings: docstrings name things, and begin code, as Sphinx does; Markdown knows neither."""

from __future__ import annotations

import re
from typing import Any

import griffe

LITERAL = re.compile(r"::$", re.MULTILINE)
ROLE = re.compile(r":(?:attr|class|func|meth|mod):`(~?)([\w.]+)`")


class Roles(griffe.Extension):
    """Turns a role into code, and a double colon into one, before a docstring is read as Markdown."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:  # noqa: ANN401  (griffe's)
        """Rewrite an object's docstring."""
        del kwargs
        if obj.docstring is not None:
            obj.docstring.value = LITERAL.sub(":", ROLE.sub(plain, obj.docstring.value))


def plain(role: re.Match[str]) -> str:
    """Return what a role names, as code; a tilde hides all but the last part."""
    hidden, name = role.groups()
    return f"`{name.rpartition('.')[2] if hidden else name}`"

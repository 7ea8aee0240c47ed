"""A script that repeats what has failed; the message of the failure includes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from layerstore import StoreURL

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

FROM_A_FACTORY = "...  # there is no URL: the harness of your own tests"


def script(ctx: Context, imports: str, lines: Iterable[str]) -> str:
    """Return a script that makes a context like this one, named ``ctx``, and then runs the lines.

    The store's URL is without its options, for they may be credentials: the reader has to add them again.
    """
    url = ctx.harness.url
    harness = FROM_A_FACTORY if url is None else f"Harness({str(StoreURL.parse(url))!r})"
    head = [
        "from layerstore_conformance.engine.context import Context",
        "from layerstore_conformance.harness import Harness",
        imports,
        "",
        f"ctx = Context({harness}, seed={ctx.seed})",
    ]
    return "\n".join([*head, *lines])

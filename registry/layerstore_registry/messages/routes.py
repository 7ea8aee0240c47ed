"""The resource to which a path leads.

Names hold slashes, and a repository may be called ``x/blobs``: a path is read from its right end.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "base", "catalog", "upload_start", "upload", "blob", "manifest", "tags", "referrers", "health", "ready", "page"
]

_PATTERNS: Final[tuple[tuple[Kind, str], ...]] = (
    ("base", r"/v2/?"),
    ("catalog", r"/v2/_catalog"),
    ("upload_start", r"/v2/(.+)/blobs/uploads/?"),
    ("upload", r"/v2/(.+)/blobs/uploads/([^/]+)"),
    ("blob", r"/v2/(.+)/blobs/([^/]+)"),
    ("manifest", r"/v2/(.+)/manifests/([^/]+)"),
    ("tags", r"/v2/(.+)/tags/list"),
    ("referrers", r"/v2/(.+)/referrers/([^/]+)"),
    ("health", r"/healthz"),
    ("ready", r"/readyz"),
    ("page", r"/"),
)
_COMPILED: Final = [(kind, re.compile(pattern, re.DOTALL)) for kind, pattern in _PATTERNS]


class Route(NamedTuple):
    """A resource."""

    kind: Kind
    name: str = ""
    """The repository; not checked."""
    reference: str = ""
    """A digest, tag or upload's id; not checked."""


def route(path: str) -> Route | None:
    """Return the resource of a path; None if there is none."""
    for kind, pattern in _COMPILED:
        match = pattern.fullmatch(path)
        if match:
            return Route(kind, *match.groups())
    return None

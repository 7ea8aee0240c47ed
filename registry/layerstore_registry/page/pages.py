"""The pages: plain HTML, which loads nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from werkzeug.wrappers import Response

from layerstore import layout
from layerstore_registry.page.view import MOST, View
from layerstore_registry.refusals import not_found

if TYPE_CHECKING:
    from layerstore import LayerService
    from layerstore_registry.messages.requests import Request
    from layerstore_registry.resources.revisions import Revisions

STYLE: Final = files(__package__).joinpath("templates", "style.css").read_text(encoding="utf-8")
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")
HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def human(size: int) -> str:
    """Return a number of bytes as text for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1 << 10:
            return f"{size} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1 << 10  # type: ignore[assignment]  # no matter any more
    return f"{size:.1f} TiB"


class Pages:
    """Answers for browsers."""

    def __init__(self, service: LayerService, revisions: Revisions) -> None:
        """Show a store."""
        self._service = service
        self._view = View(service, revisions)
        self._templates = Environment(
            loader=PackageLoader("layerstore_registry.page"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["human"] = human

    def get(self, request: Request, name: str, reference: str) -> Response:
        """Show all repositories, one of them, or one of its manifests."""
        if not name:
            return self._all(request)
        layout.check_name(name)
        return self._manifest(request, name, reference) if reference else self._repository(request, name)

    def _all(self, request: Request) -> Response:
        sees: Callable[[str], bool] = request.who.sees
        names = self._service.repositories(after=request.args.get("last", ""))
        found = list(islice(filter(sees, names), MOST + 1))
        more = found[MOST - 1] if len(found) > MOST else None
        return self._page("all.html", request, names=found[:MOST], more=more)

    def _repository(self, request: Request, name: str) -> Response:
        tags, uploads = self._view.tags(name), self._view.uploads(name)
        return self._page("repository.html", request, name=name, tags=tags, uploads=uploads, most=MOST)

    def _manifest(self, request: Request, name: str, reference: str) -> Response:
        digest = self._view.resolve(name, reference)
        manifest = self._view.manifest(name, digest) if digest else None
        if manifest is None:
            raise not_found("MANIFEST_UNKNOWN", f"repository {name} has no manifest {reference[:200]}")
        shared = self._view.shared(name, manifest)
        return self._page("manifest.html", request, name=name, reference=reference, manifest=manifest, shared=shared)

    def _page(self, template: str, request: Request, **told: object) -> Response:
        text = self._templates.get_template(template).render(
            style=STYLE, host=request.host, user=request.who.name or "", **told
        )
        data = text.encode("utf-8", "replace")  # a text in JSON may hold what UTF-8 does not spell
        return Response(data, HTTPStatus.OK, HEADERS, content_type="text/html; charset=utf-8")

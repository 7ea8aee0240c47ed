"""Lists of tags, and of repositories."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from layerstore_registry.messages import paging
from layerstore_registry.refusals import not_found

if TYPE_CHECKING:
    from layerstore import LayerService
    from layerstore_registry.messages.requests import Request
    from layerstore_registry.resources.revisions import Revisions
    from layerstore_registry.settings import Settings


class Lists:
    """Answers requests for lists."""

    def __init__(self, service: LayerService, revisions: Revisions, settings: Settings) -> None:
        """List the content of a store."""
        self._service = service
        self._revisions = revisions
        self._settings = settings

    def tags(self, request: Request, name: str, reference: str) -> Response:
        """List the tags of a repository, ascending by bytes."""
        del reference
        count, last = paging.asked(request.args.get("n"), self._settings.page), request.args.get("last", "")
        names = self._revisions.tags(name)
        if not names and not self._revisions.is_repository(name):
            raise not_found("NAME_UNKNOWN", f"no repository {name}")
        later = (tag for tag in names if tag > last and self._revisions.is_tag(name, tag))
        found, more = paging.page(later, count)
        headers = paging.next_page(f"/v2/{name}/tags/list", {"n": count, "last": found[-1]}) if more and found else {}
        return _json({"name": name, "tags": found}, headers)

    def repositories(self, request: Request, may_see: Callable[[str], bool]) -> Response:
        """List the repositories that somebody may see."""
        count, last = paging.asked(request.args.get("n"), self._settings.page), request.args.get("last", "")
        seen = filter(may_see, self._service.repositories(after=last))
        found, more = paging.page(seen, count)
        headers = paging.next_page("/v2/_catalog", {"n": count, "last": found[-1]}) if more and found else {}
        return _json({"repositories": found}, headers)


def _json(body: dict[str, object], headers: dict[str, str]) -> Response:
    return Response(json.dumps(body) + "\n", headers=headers, content_type="application/json")

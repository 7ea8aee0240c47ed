"""The application: WSGI, from a request to its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Response

from layerstore import LayerStoreError, layout
from layerstore_registry.access.rights import CATALOG, Access, Action, Open, Scope, Who
from layerstore_registry.messages.body import CutOffError, TooMuchError
from layerstore_registry.messages.requests import Request
from layerstore_registry.messages.routes import Kind, Route, route
from layerstore_registry.page.pages import Pages
from layerstore_registry.refusals import Refusal, bad_request, not_allowed, not_found, refusal_of
from layerstore_registry.resources.blobs import Blobs
from layerstore_registry.resources.lists import Lists
from layerstore_registry.resources.manifests import Manifests
from layerstore_registry.resources.revisions import Revisions
from layerstore_registry.resources.uploads import Uploads
from layerstore_registry.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from layerstore import LayerService
    from layerstore_registry.messages.metrics import Metrics

Handler = Callable[[Request, str, str], Response]

READING: Final = ("GET", "HEAD")
SENDING: Final = ("POST", "PATCH", "PUT")
UPLOADING: Final = ("upload_start", "upload")

log = logging.getLogger("layerstore.registry")


class Registry:
    """A registry on a store, as a WSGI application. Threads and processes share it."""

    def __init__(
        self,
        service: LayerService,
        settings: Settings = Settings(),  # noqa: B008  (it cannot change)
        access: Access | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Serve a store; without ``access`` everybody may do everything, without ``metrics`` nothing is counted."""
        self._metrics = metrics
        self._settings = settings
        self._service = service
        self._access = access or Open()
        revisions = Revisions(service.driver)
        blobs, uploads = Blobs(service, settings), Uploads(service, settings)
        manifests, self._lists = Manifests(service, revisions, settings), Lists(service, revisions, settings)
        self._handlers: Mapping[Kind, Mapping[str, Handler]] = {
            "base": {"GET": _base},
            "catalog": {"GET": self._catalog},
            "upload_start": {"POST": uploads.start},
            "upload": {
                "GET": uploads.status,
                "PATCH": uploads.append,
                "PUT": uploads.finish,
                "DELETE": uploads.cancel,
            },
            "blob": {"GET": blobs.get} | ({"DELETE": blobs.delete} if settings.delete_blobs else {}),
            "manifest": {"GET": manifests.get, "PUT": manifests.put}
            | ({"DELETE": manifests.delete} if settings.delete_manifests else {}),
            "tags": {"GET": self._lists.tags},
            "referrers": {"GET": manifests.referrers},
            "health": {"GET": _healthy},
            "ready": {"GET": self._ready},
            "page": {"GET": Pages(service, revisions).get},
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        request = Request(environ)
        request.metrics = self._metrics
        try:
            answer = self._answer(request)
        except Refusal as refusal:
            answer = refusal.response()
        except LayerStoreError as error:
            answer = _failed(request, error)
        except TooMuchError as error:
            answer = Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "SIZE_INVALID", str(error)).response()
        except CutOffError as error:
            answer = bad_request("SIZE_INVALID", f"the body was cut off: {error}").response()
        answer.headers.setdefault("Docker-Distribution-API-Version", "registry/2.0")
        return answer(environ, start_response)

    def _answer(self, request: Request) -> Response:
        found = self._route(request)
        handlers = self._handlers[found.kind]
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None or (self._settings.read_only and request.method not in READING):
            allowed = [method for method in handlers if method == "GET" or not self._settings.read_only]
            raise not_allowed(f"no {request.method} here", *allowed, *(["HEAD"] if "GET" in allowed else []))
        if found.name:
            layout.check_name(found.name)  # before it stands in a challenge
        if found.kind not in ("health", "ready"):
            self._admit(request, found)
        with self._under_way(request, found.kind):
            return handler(request, found.name, found.reference)

    def _under_way(self, request: Request, kind: Kind) -> AbstractContextManager[object]:
        """Have a request counted as long as it sends to an upload."""
        if self._metrics and kind in UPLOADING and request.method in SENDING:
            return self._metrics.uploading()
        return nullcontext()

    def _admit(self, request: Request, found: Route) -> None:
        """Find out who sends the request, and refuse it if they may not."""
        who = request.who = self._identified(request)
        request.environ["REMOTE_USER"] = who.name or ""
        scopes = _wanted(request.method, found)
        if not all(map(who.may, scopes)) or (not scopes and who.name is None and self._access.asks):
            raise self._access.missing(who, scopes)

    def _identified(self, request: Request) -> Who:
        try:
            return self._access.identify(request)
        except Refusal:
            if self._metrics:
                self._metrics.login_failed()
            raise

    def _route(self, request: Request) -> Route:
        raw = str(request.environ.get("RAW_URI", "")).partition("?")[0].lower()
        if "%2f" in raw or "%5c" in raw:  # no slash of a path, though it looks like one when it is read
            raise bad_request("NAME_INVALID", "a slash is spelled as one")
        found = route(request.path)
        if found and found.kind == "page":
            found = Route("page", request.args.get("repository", ""), request.args.get("manifest", ""))
        if found is None or (found.kind == "page" and not self._settings.pages):
            raise not_found("NAME_UNKNOWN", "nothing is served here")
        request.endpoint = found.kind
        return found

    def _ready(self, request: Request, name: str, reference: str) -> Response:
        """Answer that the store works. If it does not, its error is handled as in any other request."""
        del request, name, reference
        next(self._service.driver.list(layout.REPOSITORIES), None)
        return Response("ready\n", content_type="text/plain")

    def _catalog(self, request: Request, name: str, reference: str) -> Response:
        del name, reference
        return self._lists.repositories(request, request.who.sees)


def _wanted(method: str, found: Route) -> list[Scope]:
    """Return the permissions that a request needs. The base needs none, but its client must be known."""
    if found.kind == "base":
        return []
    if found.kind == "catalog" or (found.kind == "page" and not found.name):
        return [CATALOG]
    if found.kind in ("upload_start", "upload"):
        return [Scope(found.name, "push")]
    actions: Mapping[str, Action] = {"PUT": "push", "DELETE": "delete"}
    return [Scope(found.name, actions.get(method, "pull"))]


def _healthy(request: Request, name: str, reference: str) -> Response:
    """Answer that this process works."""
    del request, name, reference
    return Response("healthy\n", content_type="text/plain")


def _base(request: Request, name: str, reference: str) -> Response:
    """Answer that this is a registry."""
    del request, name, reference
    return Response("{}", content_type="application/json")


def _failed(request: Request, error: LayerStoreError) -> Response:
    """Answer an error of the store. Details that the client must not see are logged."""
    refusal = refusal_of(error)
    if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR or refusal.status == HTTPStatus.CONFLICT:
        log.warning("%s %s: %s", request.method, request.path, str(error))
    return refusal.response()

"""``python -m layerstore_drivers.s3.mock PORT``: moto, which answers one request after the other.

moto looks at a request's conditions, and stores later. Two requests that meet may both find that their conditions hold;
a service of S3 lets one of them fail.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def in_turn(app: WSGIApplication) -> WSGIApplication:
    """Have an application answer a request when it has the whole of it, and no other one meanwhile."""
    turn = Lock()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if length := int(environ.get("CONTENT_LENGTH") or 0):
            environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(length))  # however slowly it is sent
        with turn:
            return list(app(environ, start_response))

    return answer


def main() -> None:
    """Serve until killed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    moto = in_turn(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), moto, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()

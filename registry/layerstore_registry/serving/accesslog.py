"""The log of requests: one line for each, in JSON or in the common form. It holds no passwords and no tokens.

gunicorn tells it of each answer that has been sent, or could not be: here they are counted, too.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gunicorn.glogging import Logger

if TYPE_CHECKING:
    from layerstore_registry.messages.requests import Request


class AccessLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger, with lines for machines."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:  # noqa: ANN401  (gunicorn's)
        """Count, and write a line; the query is left out, for clients may put into it what they like."""
        request: Request | None = environ.get("werkzeug.request")  # none, if the application was not reached
        sent = resp.sent + (request.part.sent if request and request.part else 0)
        status, seconds = int(str(resp.status).partition(" ")[0]), request_time.total_seconds()
        if request and request.metrics:
            received = request.body.taken if request.body else 0
            request.metrics.answered(
                request.method, request.endpoint, status, received=received, sent=sent, seconds=seconds
            )
        if not self.access_log_enabled:
            return
        fields = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "client": environ.get("REMOTE_ADDR", ""),
            "user": environ.get("REMOTE_USER") or "-",
            "method": req.method,
            "path": req.path,
            "status": status,
            "sent": sent,
            "seconds": round(seconds, 6),
            "agent": environ.get("HTTP_USER_AGENT", ""),
        }
        if self.cfg.access_log_format == "json":
            self.access_log.info("%s", json.dumps(fields))
        else:
            self.access_log.info("%s", _common(fields))


def _common(fields: dict[str, Any]) -> str:
    """Return a line in the common form. No text of a client can end the line."""
    request = json.dumps(f"{fields['method']} {fields['path']}")
    agent = json.dumps(fields["agent"])
    told = f"{fields['status']} {fields['sent']} {fields['seconds']} {agent}"
    user = "".join(char if char.isprintable() and char != " " else "?" for char in fields["user"])
    return f"{fields['client']} - {user} [{fields['time']}] {request} {told}"

"""The log of requests: one line for each, in JSON or in the common form; without anything that opens a door."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from gunicorn.glogging import Logger


class AccessLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger, with lines for machines."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:  # noqa: ANN401  (gunicorn's)
        """Write a line; the query is left out, for clients may put into it what they like."""
        if not self.access_log_enabled:
            return
        fields = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "client": environ.get("REMOTE_ADDR", ""),
            "user": environ.get("REMOTE_USER") or "-",
            "method": req.method,
            "path": req.path,
            "status": int(str(resp.status).partition(" ")[0]),
            "sent": resp.sent,
            "seconds": round(request_time.total_seconds(), 6),
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

"""The parts of a driver that are not written yet, found in a scenario's failure: they make a to-do list."""

from __future__ import annotations

from layerstore.unwritten import UnwrittenError, in_order, wanting


def unwritten(error: BaseException | None) -> list[str]:
    """Return the unwritten parts of a driver that caused an error; none if it has another cause."""
    found: list[str] = []
    while error is not None:
        found += wanting(error)
        # A scenario's error may hide the cause; a driver's error is an answer.
        hides = isinstance(error, AssertionError | NotImplementedError)
        error = (error.__cause__ or error.__context__) if hides else None
    return in_order(found)


def sendable(error: Exception) -> Exception:
    """Return an error for another process to raise: the traceback, which shows the unwritten parts, stays here."""
    parts = unwritten(error)
    return UnwrittenError(parts[0]) if parts else error

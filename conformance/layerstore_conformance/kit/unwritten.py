"""What a driver's author has not written yet, told from a scenario's failure: a to-do list, and no story for each."""

from __future__ import annotations

from layerstore.unwritten import UnwrittenError, in_order, wanting


def unwritten(error: BaseException | None) -> list[str]:
    """Return which parts of a driver an error was raised for want of; none if it has another reason."""
    found: list[str] = []
    while error is not None:
        found += wanting(error)
        # What a scenario makes of an error hides it; what a driver makes of one is an answer.
        hides = isinstance(error, AssertionError | NotImplementedError)
        error = (error.__cause__ or error.__context__) if hides else None
    return in_order(found)


def sendable(error: Exception) -> Exception:
    """Return an error as another process is to raise it: a traceback, which tells what is not written, stays here."""
    parts = unwritten(error)
    return UnwrittenError(parts[0]) if parts else error

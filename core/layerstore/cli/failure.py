"""How the program fails: one line on stderr, and a status that is not 0."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from layerstore.cli.invocation import Invocation, one_line
from layerstore.cli.signals import Stopped
from layerstore.errors import LayerStoreError
from layerstore.unwritten import UnwrittenError

BROKEN_PIPE = 128 + signal.SIGPIPE
"""The exit status that a shell reports for a broken pipe."""


def report(error: BaseException, invocation: Invocation) -> int:
    """Report an error, and return the exit status."""
    status = _status(error)
    if status != BROKEN_PIPE:
        _tell(error, status, invocation)
    _let_go()
    return status


def _tell(error: BaseException, status: int, invocation: Invocation) -> None:
    message = one_line(_sentence(error))
    hints = [one_line(note) for note in getattr(error, "__notes__", ())]
    fields: dict[str, object] = {"error": _name(error), "message": message, "exit": status, "hints": hints}
    text = "\n".join([f"layerstore: error: {message}", *hints])
    if invocation.debug:
        trace = "".join(traceback.format_exception(error))
        fields, text = {**fields, "traceback": trace}, trace + text
    with suppress(OSError):  # stderr is gone too: only the status is left
        invocation.say("error", text, **fields)


@contextmanager
def warnings_told(invocation: Invocation) -> Iterator[None]:
    """Within the block, print core's warnings in the form of all other output."""
    handler = _Told(invocation)
    logger = logging.getLogger("layerstore")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Told(logging.Handler):
    def __init__(self, invocation: Invocation) -> None:
        super().__init__(logging.WARNING)
        self._invocation = invocation

    def emit(self, record: logging.LogRecord) -> None:
        message = one_line(record.getMessage())
        self._invocation.say("warning", f"layerstore: warning: {message}", message=message)


def _status(error: BaseException) -> int:
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if isinstance(error, Stopped):
        return error.status
    return error.exit_code if isinstance(error, click.ClickException) else 1


def _name(error: BaseException) -> str:
    """Return an error's kind, for programs; how click divides usage errors into classes depends on its version."""
    return "UsageError" if isinstance(error, click.UsageError) else type(error).__name__


def _sentence(error: BaseException) -> str:
    if isinstance(error, click.UsageError):
        return f"{error.format_message()} (see {error.ctx.command_path if error.ctx else 'layerstore'} --help)"
    if isinstance(error, LayerStoreError | UnwrittenError | Stopped | click.ClickException):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error} (--debug shows where)"


def _let_go() -> None:
    """Drop output in stdout and stderr that nobody takes: else the interpreter would fail over it at exit."""
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, AttributeError):  # AttributeError: the stream is None if it was closed from the start
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)

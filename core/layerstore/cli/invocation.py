"""One run of the program: its store, and its form of output."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Self

import click

import layerstore
from layerstore.service import LayerService
from layerstore.uploads.spool import Verify
from layerstore.url import StoreURL


@dataclass
class Invocation:
    """The settings that every command of one run shares."""

    json: bool = False
    debug: bool = False
    store: str | None = None
    """The value of ``--store``."""
    echo: Callable[[str], None] = field(default=lambda text: click.echo(text, err=True), repr=False)
    """Writes a line to stderr; above a progress bar, while there is one."""

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Self:
        """Read the flags that decide the form of errors, before click does, since click itself may fail."""
        words = set(takewhile(lambda word: word != "--", arguments))
        return cls(json="--json" in words, debug="--debug" in words)

    @contextmanager
    def open(self, *, verify: Verify = "resume") -> Iterator[LayerService]:
        """Open the store for a block; the default one is created at its first use."""
        url = self.store if self.store is not None else os.environ.get("LAYERSTORE_URL") or _default_store()
        with layerstore.open(url, verify=verify) as service:
            yield service

    @property
    def watched(self) -> bool:
        """Whether stderr is a terminal: then there are progress bars."""
        return not self.json and bool(sys.stderr and sys.stderr.isatty())

    def say(self, event: str, text: str, **fields: object) -> None:
        """Write one line to stderr, at once: the text, or the event as JSON."""
        self.echo(json.dumps({"event": event, **fields}) if self.json else text)

    @contextmanager
    def echoing(self, echo: Callable[[str], None]) -> Iterator[None]:
        """Write lines to stderr in another way for a block."""
        before, self.echo = self.echo, echo
        try:
            yield
        finally:
            self.echo = before

    def answer(self, text: str, **fields: object) -> None:
        """Write one line to stdout, at once: the text, or the fields as JSON."""
        click.echo(json.dumps(fields) if self.json else text)

    def command(self, *words: str) -> str:
        """Return a shell command on the same store, without the options of the store's URL, which may be secret."""
        store = () if self.store is None else ("--store", self.store.partition("?")[0])
        return shlex.join(["layerstore", *words, *store])


def rfc3339(time: datetime) -> str:
    """Return a time in the form of RFC 3339, in UTC and to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def one_line(text: str) -> str:
    """Return a text as one line for a terminal; characters that do not print are escaped."""
    joined = " ".join(text.split("\n"))
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in joined)


def _default_store() -> StoreURL:
    """Return the store under the user's data directory; the directory is created if missing."""
    path = _data_home() / "layerstore"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return StoreURL("local", None, str(path))


def _data_home() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    told = os.environ.get("XDG_DATA_HOME", "")
    # A relative path is to be ignored (XDG Base Directory Specification 0.8, "Basics").
    return Path(told) if Path(told).is_absolute() else Path.home() / ".local" / "share"

"""Workers of pytest-xdist that a scenario has hung are replaced, and the run goes on.

A thread that hangs may hold a lock of the store in its process for ever, or the interpreter's own: the process is of no
more use. It ends itself in the middle of the scenario's test. The process that collects the results takes that for a
crash, starts another worker for the remaining scenarios, and finds here which scenario it was, and all stacks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from layerstore_conformance.session.items import RECORD, SUBJECT, SUITE

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = "layerstore_hung"
"""The name under which a worker is handed the folder of notes."""


class Replaced:
    """In the process that collects: makes a result of a worker's crash in a scenario."""

    @cached_property
    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="layerstore-hung-"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401  (xdist's)
        """Hand a worker the folder."""
        node.workerinput[FOLDER] = str(self._folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Add to the report of a crash the record of the scenario."""
        worker = report.node.gateway.id
        note = self._folder / f"{worker}.json"
        found = json.loads(note.read_text()) if note.exists() else {}
        if found.get("test") != crashitem:
            return
        stacks = note.with_suffix(".stacks").read_text(errors="replace")
        made = found["record"] or _recorded(found, stacks)
        report.when = "call"
        report.longrepr = made["narration"]
        if found["waived"]:
            report.outcome = "skipped"
            report.wasxfail = found["waived"]
        report.user_properties += [(SUITE, found["suite"]), (RECORD, made), (SUBJECT, found["subject"])]

    def pytest_unconfigure(self) -> None:
        """Remove the folder."""
        if "_folder" in vars(self):
            shutil.rmtree(self._folder, ignore_errors=True)


def _recorded(found: Mapping[str, Any], stacks: str) -> dict[str, Any]:
    """Make the record of a scenario whose worker could not."""
    from layerstore_conformance.engine.run import Result
    from layerstore_conformance.engine.scenario import scenarios
    from layerstore_conformance.verdict.record import record

    said = "it hangs: its process stood still, or ended"
    [scenario] = [each for each in scenarios() if each.id == found["scenario"]]
    return dict(
        record(Result(scenario, "failed", 0.0, said, stacks=stacks or "not known"), found["url"], seed=found["seed"])
    )


class Notes:
    """In a worker: what its successor's scenarios must know of it. Elsewhere, nothing."""

    def __init__(self, config: pytest.Config) -> None:
        """Find the folder."""
        given: Mapping[str, str] = getattr(config, "workerinput", {})
        self._file = Path(given[FOLDER]) / f"{given['workerid']}.json" if FOLDER in given else None
        self._note: dict[str, Any] = {}

    def begin(self, note: dict[str, Any]) -> None:
        """Note a scenario that begins, and have the process end if it stands still."""
        if self._file is None:
            return
        from layerstore_conformance.engine.liveness import switch

        if not self._note:
            switch(self._file.with_suffix(".stacks").open("w"))
        self._note = note
        self._file.write_text(json.dumps({**note, "record": None}))

    def replace(self, record: Mapping[str, Any]) -> None:
        """End this process, if it is a worker."""
        if self._file is not None:
            self._file.write_text(json.dumps({**self._note, "record": record}))
            end(1)


def end(status: int) -> NoReturn:
    """End this process at once, and its children: a thread hangs that would keep it."""
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            for child in (thread / "children").read_text().split():
                os.kill(int(child), signal.SIGTERM)
    os._exit(status)

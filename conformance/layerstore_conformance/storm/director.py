"""The director: it starts workers, and kills, stops and interrupts them while they work."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from layerstore_conformance.storm import worker
from layerstore_conformance.storm.plan import Plan
from layerstore_conformance.storm.violation import Violation

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

SHORT = 0.05
"""Seconds of a short stop, at most."""

MOMENT = 0.003
"""Seconds between the beginning of an operation and a signal that is aimed at it, at most."""

AIMS = ("write", "write", "flush", "finish", "finish", "close", "resume", "cancel", "mount", "unlink", "gc", "purge")
"""Operations that signals are aimed at: otherwise most signals would come during the longest ones."""

BURST = 6
"""Interrupts that one process gets at most at once."""

OTHERS_DO = 6
"""Operations that each other worker begins while one is stopped for long; some are on the same uploads."""

LONG_ENOUGH = 10
"""Operations of a worker after which a signal no longer waits for the one that it is aimed at."""

OFTEN = {"kill": 1, "stop": 1, "interrupt": 3}

POLL = 0.001
"""Seconds between two looks at the journals."""

PATIENCE = 30.0
"""Seconds that a worker has to dump its stacks after the deadline."""

MAY_WAIT = frozenset({"cancel", "close", "finish", "finish again", "flush", "gc", "mount", "purge", "unlink"})
"""Operations that change keys. One may wait for another that was stopped while it changed the same key: the contract
promises that opening (F1) never waits."""


class Tail:
    """Reads a worker's journal while it grows."""

    def __init__(self, path: Path) -> None:
        """Begin at the first line; the file need not exist yet."""
        self._path = path
        self._offset = 0
        self.begun = 0
        """Operations."""
        self.doing: str | None = None
        """The operation under way."""
        self.surprise: str | None = None
        """The traceback of an error that an operation may not raise."""

    def read(self) -> None:
        """Read the new lines."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
            self._offset += len(whole) + len(newline)
            for line in whole.splitlines():
                self._take(json.loads(line))

    def _take(self, line: dict[str, object]) -> None:
        self.begun += "do" in line
        self.doing = str(line["do"]) if "do" in line else None
        if line.get("how") == "surprise":
            self.surprise = str(line["told"]["trace"])  # type: ignore[index]  # a journal's second line has it


@dataclass(slots=True, eq=False)
class Running:
    """A worker, as its director sees it."""

    name: str
    process: BaseProcess
    tail: Tail

    @property
    def ready(self) -> bool:
        """Whether it has begun to work, and is still running."""
        return self.tail.begun > 0 and self.process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has just ended."""
        pid = self.process.pid
        if pid is not None and self.process.is_alive():
            os.kill(pid, number)


class Director:
    """Directs one round."""

    def __init__(self, plan: Plan, counts: Counter[str]) -> None:
        """Begin; ``counts`` is where signals and workers are counted."""
        self.plan = plan
        self.counts = counts
        self.violations: list[Violation] = []
        self.strikes: list[tuple[int, str]] = []
        """Every signal: its time, in nanoseconds of the machine's monotonic clock, and the worker."""
        self._random = Random(f"{plan.seed} director")
        self._numbers = count()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([worker.__name__])
        self._running: list[Running] = []
        self._gone = 0
        """Operations that ended workers had begun."""

    def run(self) -> None:
        """Run the round's operations, and end all workers: some in good order, the others by SIGKILL."""
        self.plan.board.mkdir()
        try:
            self._running = [self._started() for _ in range(self.plan.processes)]
            while self._begun() < self.plan.operations and not self.violations:
                self._let_work(self._begun() + round(self._random.expovariate(1 / self.plan.calm)))
                self._strike()
            self._end()
        finally:
            for each in self._running:
                each.process.kill()
                each.process.join()

    def _let_work(self, until: int) -> None:
        """Wait until this many operations have begun; look after the workers meanwhile."""
        while self._begun() < until and not self.violations:
            time.sleep(POLL)
            self._look()

    def _begun(self) -> int:
        return self._gone + sum(each.tail.begun for each in self._running)

    def _started(self) -> Running:
        name = f"worker-{next(self._numbers)}"
        process = self._context.Process(target=worker.run, args=(self.plan, name, dict(os.environ)), daemon=True)
        process.start()
        self.counts["workers"] += 1
        return Running(name, process, Tail(self.plan.folder / f"{name}.journal"))

    # -- signals

    def _strike(self) -> None:
        ready = [each for each in self._running if each.ready]
        if not ready or not self.plan.signals:
            return
        strikes = {"kill": self._kill, "stop": self._stop, "interrupt": self._interrupt}
        (kind,) = self._random.choices(self.plan.signals, [OFTEN[each] for each in self.plan.signals])
        victim = self._random.choice(ready)
        self._aim(victim, self._random.choice(AIMS))
        strikes[kind](victim)

    def _aim(self, victim: Running, what: str) -> None:
        """Wait until a worker is in the middle of this operation."""
        last = victim.tail.begun + LONG_ENOUGH
        while victim.ready and victim.tail.doing != what and victim.tail.begun < last:
            time.sleep(POLL)
            victim.tail.read()
        time.sleep(self._random.uniform(0, MOMENT))

    def _note(self, kind: str, victim: Running) -> None:
        self.counts[kind] += 1
        self.strikes.append((time.monotonic_ns(), f"{victim.name}: {kind}"))

    def _kill(self, victim: Running) -> None:
        self._note("kill", victim)
        victim.send(signal.SIGKILL)
        victim.process.join()
        victim.tail.read()
        self._replace(victim)

    def _interrupt(self, victim: Running) -> None:
        """Interrupt a worker, mostly more than once, while it handles the first interrupt or goes on."""
        for _ in range(self._random.randint(1, BURST)):
            self._note("interrupt", victim)
            victim.send(signal.SIGINT)
            time.sleep(self._random.uniform(0, MOMENT))

    def _stop(self, victim: Running) -> None:
        """Stop a worker, half of the time until each other one has done some operations."""
        self._note("stop", victim)
        victim.send(signal.SIGSTOP)
        if self._random.random() < 0.5:
            time.sleep(self._random.uniform(0, SHORT))
        else:
            self._wait_for_others(victim)
        if "kill" in self.plan.signals and self._random.random() < 0.2:
            self._kill(victim)
        else:
            self._note("go on", victim)
            victim.send(signal.SIGCONT)

    def _wait_for_others(self, victim: Running) -> None:
        """Wait until the others have done some operations; one that does none waits for the stopped one."""
        others = {each: each.tail.begun for each in self._running if each is not victim and each.ready}
        until = time.monotonic() + (self.plan.grace or self.plan.deadline) / 2
        while time.monotonic() < until and any(_is_behind(each, begun + OTHERS_DO) for each, begun in others.items()):
            time.sleep(POLL)
            for each in others:
                each.tail.read()
        if not self.plan.grace:  # else it was not long
            for each, begun in others.items():
                if _is_behind(each, begun + 1) and each.tail.doing not in MAY_WAIT:
                    self._waits(each, victim)

    def _waits(self, waiting: Running, victim: Running) -> None:
        stacks = self.plan.folder / f"{waiting.name}.stacks"
        waiting.send(signal.SIGUSR1)
        until = time.monotonic() + PATIENCE
        while not _text(stacks) and waiting.ready and time.monotonic() < until:
            time.sleep(POLL)
        what = f"its {waiting.tail.doing} waits for {victim.name}, stopped in its {victim.tail.doing}"
        text = f"{waiting.name}: {what}:\n{_text(stacks)}"
        self.violations.append(Violation("waits", text, (waiting.name, victim.name)))

    # -- how workers end

    def _look(self) -> None:
        for each in list(self._running):
            each.tail.read()
            if each.tail.surprise is not None:
                self._found("surprise", each, each.tail.surprise)
                each.tail.surprise = None
            if not each.process.is_alive():
                self._died(each)
                self._replace(each)

    def _died(self, worker: Running) -> None:
        stacks = _text(self.plan.folder / f"{worker.name}.stacks")
        if stacks:
            self._found("hang", worker, f"an operation took longer than {self.plan.deadline} s:\n{stacks}")
        else:
            said = _text(self.plan.folder / f"{worker.name}.stderr")
            self._found("died", worker, f"ended with {worker.process.exitcode}, not asked to:\n{said}")

    def _found(self, kind: str, worker: Running, text: str) -> None:
        self.violations.append(Violation(kind, f"{worker.name}: {text}", (worker.name,)))

    def _replace(self, worker: Running) -> None:
        self._gone += worker.tail.begun
        self._running[self._running.index(worker)] = self._started()

    def _end(self) -> None:
        ready = [each for each in self._running if each.ready]
        spared = self._random.sample(ready, len(ready) // 2) if "kill" in self.plan.signals else ready
        for each in self._running:
            if each in spared:
                (self.plan.folder / f"{each.name}.end").touch()
            else:
                self._note("kill", each)
                each.send(signal.SIGKILL)
        for each in spared:
            each.process.join(2 * self.plan.deadline + PATIENCE)
            each.tail.read()
            if each.tail.surprise is not None:
                self._found("surprise", each, each.tail.surprise)
            if each.process.exitcode != 0:
                self._died(each)


def _is_behind(worker: Running, goal: int) -> bool:
    return worker.ready and worker.tail.begun < goal


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""

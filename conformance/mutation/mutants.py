"""The mutants of a target and what became of them, in a session of Cosmic Ray."""

from __future__ import annotations

import difflib
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult
from operators import chosen_operators, meaning

if TYPE_CHECKING:
    from judge import Judge


class Mutant(NamedTuple):
    """One change of one module, and its fate."""

    module: Path
    line: int
    was: str
    now: str
    job: str
    source: str
    judged: bool
    survived: bool
    said: str
    """What killed it, or the profiles that it has survived."""

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.was}  ->  {self.now}"


class Session:
    """All mutants of some modules, and the results so far. Other code begins another session."""

    def __init__(self, folder: Path, name: str, modules: list[str]) -> None:
        """Open the session of the modules as they are, or begin it."""
        sources = {module: Path(module).read_text("utf-8") for module in modules}
        path = folder / f"{name}-{sha256(repr(sources).encode()).hexdigest()[:12]}.sqlite"
        self._operators = chosen_operators()
        self._db = WorkDB(str(path), WorkDB.Mode.create)
        if not self._db.num_work_items:
            self._db.add_work_items(item for module in modules for item in self._items(module, sources[module]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _items(self, module: str, source: str) -> Iterator[WorkItem]:
        """Yield the mutants of a module, each meaning once."""
        nodes = list(ast_nodes(get_ast(source)))
        meanings = {"", meaning(source)}
        for name in self._operators:
            operator = get_operator(name)()
            positions = [each for node in nodes for each in operator.mutation_positions(node)]
            for occurrence, (start, end) in enumerate(positions):
                meant = meaning(mutate_code(source, operator, occurrence))
                if meant not in meanings:
                    meanings.add(meant)
                    spec = MutationSpec(module, name, occurrence, start, end)
                    yield WorkItem.single(f"{module}:{name}:{occurrence}", spec)

    def mutants(self, share: float = 1, seed: int = 0) -> list[Mutant]:
        """Return the mutants, or a share of them that the seed draws, in the order of their lines."""
        results = dict(self._db.results)
        found = sorted(_mutant(item, results.get(item.job_id)) for item in self._db.work_items)
        drawn = random.Random(seed).sample(range(len(found)), round(len(found) * share))
        return [found[number] for number in sorted(drawn)]

    def judge(self, mutant: Mutant, judge: Judge) -> None:
        """Have a mutant judged, unless that was done before, and keep the result."""
        if mutant.judged and (not mutant.survived or judge.profile in mutant.said.split()):
            return
        killer = judge.killer_of(mutant.module, mutant.source)
        said = killer or f"{mutant.said} {judge.profile}".strip()
        outcome = TestOutcome.KILLED if killer else TestOutcome.SURVIVED
        diff = "\n".join(_diff((judge.tree / mutant.module).read_text("utf-8"), mutant.source))
        self._db.set_result(mutant.job, WorkResult(WorkerOutcome.NORMAL, said, outcome, diff))
        print(f"{judge.profile}: {mutant}: {killer or 'SURVIVED'}", flush=True)


def _mutant(item: WorkItem, result: WorkResult | None) -> Mutant:
    [spec] = item.mutations
    before = spec.module_path.read_text("utf-8")
    after = mutate_code(before, get_operator(spec.operator_name)(), spec.occurrence)
    lines = _diff(before, after)[3:]
    was, now = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    survived = result is not None and result.test_outcome == TestOutcome.SURVIVED
    said = (result.output if result else None) or ""
    return Mutant(spec.module_path, spec.start_pos[0], was, now, item.job_id, after, result is not None, survived, said)


def _diff(before: str, after: str) -> list[str]:
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))

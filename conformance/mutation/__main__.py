"""Mutation testing of drivers and core by the conformance suite alone: ``python conformance/mutation TARGET ...``.

Cosmic Ray makes the mutants and keeps the results, in a session that its own tools can read (``cr-html``). The suite is
the only judge. A copy of the tree is mutated, never the tree itself. A session that was interrupted goes on where it
was.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from argued import Argued
from judge import Judge, check_unchanged, copied, warm_up
from mutants import Mutant, Session

HERE = Path(__file__).parent


class Target(NamedTuple):
    """Code to mutate, and the suite that judges it."""

    name: str
    modules: list[str]
    suite: str
    limits: dict[str, int]
    warm: list[str]
    """Packages that no mutant changes, imported before the first is judged: a judgement takes a third of the time."""


def main() -> int:
    """Judge the mutants of the targets, and report. The exit status is 1 if a survivor is not argued."""
    options = _parser().parse_args()
    targets = [Target(name, **_TARGETS[name]) for name in options.targets or _TARGETS]
    options.into.mkdir(parents=True, exist_ok=True)
    return max(_apart(target, options) for target in targets)


_TARGETS = tomllib.loads((HERE / "targets.toml").read_text("utf-8"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("conformance/mutation", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", choices=[[], *_TARGETS], help=", ".join(_TARGETS))
    parser.add_argument("--into", type=Path, default=Path(".mutation"), help="folder of the sessions; .mutation")
    parser.add_argument(
        "--share", type=float, default=1.0, help="judge this share of the mutants, which the seed draws"
    )
    parser.add_argument("--seed", type=int, default=0, help="of --share; 0")
    parser.add_argument("--profiles", nargs="+", default=["quick", "default"], help="each judges who has survived")
    parser.add_argument("--report", action="store_true", help="judge nothing, and report what is in the session")
    return parser


def _apart(target: Target, options: argparse.Namespace) -> int:
    """Run in a process of its own: the next target may mutate what this one has imported."""
    process = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(_run(target, options)))
    process.start()
    process.join()
    return process.exitcode or 0


def _run(target: Target, options: argparse.Namespace) -> int:
    argued = Argued(HERE / "argued.toml")
    with Session(options.into, target.name, target.modules) as session:
        if not options.report:
            _judge(target, session, argued, options)
        return _report(target, session.mutants(options.share, options.seed), argued)


def _judge(target: Target, session: Session, argued: Argued, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="mutation") as folder:
        tree = copied(Path(folder))
        warm_up(tree, target.warm)
        for profile in options.profiles:
            judge = Judge(tree, target.suite, profile, target.limits[profile])
            check_unchanged(judge)
            for mutant in session.mutants(options.share, options.seed):
                if not argued.is_equivalent(mutant):
                    session.judge(mutant, judge)


def _report(target: Target, mutants: list[Mutant], argued: Argued) -> int:
    equivalent = [mutant for mutant in mutants if argued.is_equivalent(mutant)]
    judged = [mutant for mutant in mutants if mutant.judged and mutant not in equivalent]
    survivors = [mutant for mutant in judged if mutant.survived]
    killed = len(judged) - len(survivors)
    score = f"{killed} of {len(judged)} mutants killed, {killed / max(1, len(judged)):.1%}"
    print(f"\n{target.name}: {score}; {len(equivalent)} are equivalent")
    for mutant in survivors:
        print(f"  {mutant}\n      {argued.reason(mutant) or 'NOT ARGUED'}")
    return any(argued.reason(mutant) is None for mutant in survivors)


if __name__ == "__main__":
    sys.exit(main())

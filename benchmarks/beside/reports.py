"""The reports of every driver in this tree, in docs/reports, and the matrix that README shows of them.

    LAYERSTORE_AZURITE=... python benchmarks/beside/reports.py [--only NAME] [--draw]

runs the conformance suite and the benchmarks on each, in a directory of its own, and draws the matrix; ``--draw`` only
draws it, of the reports that are there. It needs everything: the extra ``all``, the groups ``test`` and ``s3``,
Azurite, and ``pip install --no-deps examples/layerstore-sqlite``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from layerstore_benchmarks.case import MIB, Case, Policy
from layerstore_benchmarks.document import Results, read

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "docs" / "reports"
README = ROOT / "README.md"
KEPT = ("report.json", "bench.json", "badge.svg")
"""Of each driver; the pages can be had from the commands that made these."""

SIZE = 64 * MIB
BEGIN, END = "<!-- Made by benchmarks/beside/reports.py -->", "<!-- the end of what it made -->"

Opening = Callable[[Path], AbstractContextManager[str]]
"""Makes a backend, given a directory that is also the current one, and lends the URL of a store in it."""


def at(url: str) -> Opening:
    """Return what needs no backend to be made."""

    @contextmanager
    def opened(folder: Path) -> Iterator[str]:
        del folder
        yield url

    return opened


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Serve an Azurite."""
    from layerstore_drivers.azure.emulator import BLOCK, Azurite

    with Azurite(folder / "azurite") as server:
        yield server.url("reports", create_container="true", block_size=str(BLOCK))


@contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """Serve S3."""
    from layerstore_drivers.s3.servers import SeaweedFS

    with SeaweedFS(folder / "seaweedfs") as server:
        server.client().create_bucket(Bucket="reports")
        yield server.url("reports")


@contextmanager
def directory(folder: Path) -> Iterator[str]:
    """Make a directory for PyFilesystem2."""
    (folder / "osfs").mkdir()
    yield f"pyfs+osfs://{folder}/osfs"


@contextmanager
def ftp(folder: Path) -> Iterator[str]:
    """Serve a directory by FTP."""
    sys.path.append(str(ROOT / "drivers" / "tests"))
    server = import_module("ftp_server").FTPServer
    (folder / "ftp" / "store").mkdir(parents=True)
    with server(folder / "ftp") as serving:
        yield serving.url("store")


DRIVERS: dict[str, Opening] = {
    "memory": at("memory://reports"),
    "local": at("local:store"),
    "azure": azurite,
    "s3": seaweedfs,
    "sqlite": at("sqlite:store.db"),
    "pyfs-mem": at("pyfs+mem://reports"),
    "pyfs-temp": at("pyfs+temp://reports"),
    "pyfs-osfs": directory,
    "pyfs-ftp": ftp,
}


SUITES = {
    "s3": ("--quick", "-n2", f"--waivers={ROOT / 'drivers' / 'tests' / 'seaweedfs.toml'}"),
    **{name: ("--quick",) for name in DRIVERS if name.startswith("pyfs")},  # in one process: no other shares the store
}
"""How the suite is run on a driver; on the others all of the default profile, in two processes."""


KEPT_BY_REFERENCE = frozenset({"memory"})
"""Those that copy no byte of a block that they are given: their time without hashing is no throughput."""


def make(name: str) -> None:
    """Make the reports of a driver anew."""
    target = REPORTS / name
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as made, DRIVERS[name](Path(made)) as url:
        _run(made, "conformance", url, "--report=reports", *SUITES.get(name, ("-n2",)))
        _run(made, "bench", url, f"--size={SIZE}", "--rounds=3", "--report=reports")
        for file in KEPT:
            text = (Path(made) / "reports" / file).read_text(encoding="utf-8")
            (target / file).write_text(text.replace(made, ""), encoding="utf-8")  # where it was is nobody's business


def _run(folder: str, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "layerstore", *words], cwd=folder, check=True)


def matrix() -> str:
    """Draw the matrix: a row for each driver."""
    lines = [
        "| driver | day | profile | scenarios | declares | no hash | hash | re-read | read back, resumed |",
        "| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: |",
        *(_row(name) for name in DRIVERS if (REPORTS / name / "bench.json").exists()),
    ]
    return "\n".join(lines)


def _row(name: str) -> str:
    told = json.loads((REPORTS / name / "report.json").read_text(encoding="utf-8"))
    totals, capabilities = told["totals"], told["driver"]["capabilities"]
    results = Results(read(REPORTS / name / "bench.json"))
    policies: tuple[Policy, ...] = ("no hash", "hash", "re-read")
    floor, hashed, reread = (f"{results.rate(Case(each, SIZE, MIB)) / MIB:,.0f}" for each in policies)
    back = results.costs(Case("resumed", SIZE, MIB, 4))["bytes_read"]
    waived = f", {totals['waived']} waived" if totals["waived"] else ""
    failed = f", **{totals['failed']} failed**" if totals["failed"] else ""
    cells = (
        f"[{name}](docs/reports/{name}/report.json)",
        told["started"].partition("T")[0],
        told["profile"],
        f"{totals['passed']} passed, {totals['skipped']} skipped{waived}{failed}",
        ", ".join(each for each, has in capabilities.items() if has) or "nothing",
        "—" if name in KEPT_BY_REFERENCE else floor,
        f"[{hashed}](docs/reports/{name}/bench.json)",
        reread,
        f"{back / SIZE:.2g} x",
    )
    return f"| {' | '.join(cells)} |"


def draw() -> None:
    """Put the matrix into README."""
    text = README.read_text(encoding="utf-8")
    drawn = re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{matrix()}\n\n{END}", text, flags=re.DOTALL)
    README.write_text(drawn, encoding="utf-8")


def main() -> None:
    """Make what was asked for, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=list(DRIVERS), action="append")
    parser.add_argument("--draw", action="store_true", help="make nothing")
    given = parser.parse_args()
    for name in () if given.draw else given.only or DRIVERS:
        make(name)
    draw()


if __name__ == "__main__":
    main()

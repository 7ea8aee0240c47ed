"""``layerstore new-driver``: a distribution that is complete but for the driver, and runs at once."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from layerstore.errors import BackendUnavailableError, FencedError, InvalidURLError, PathNotFoundError
from layerstore.objectstore import Service
from layerstore.unwritten import PARTS
from layerstore.url import StoreURL
from layerstore_conformance.engine.clauses import clauses
from layerstore_conformance.scaffold import distribution
from layerstore_conformance.scaffold.command import module_of, new_driver

CONTRACT = Path(__file__).parents[2] / "docs" / "contract.md"


def made(folder: Path, name: str = "crate-2", *, object_store: bool = False) -> Path:
    """Write a distribution into a new folder."""
    target = folder / "made"
    distribution.write(name, module_of(name), target, object_store=object_store)
    return target


def methods_of(module: Path) -> dict[str, str]:
    """Return the methods of a module's classes, each with its last statement."""
    return {
        each.name: ast.unparse(each.body[-1])
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, ast.FunctionDef)
    }


def installed(folder: Path) -> Path:
    """Have a folder look as if its distribution were installed there."""
    info = folder / "layerstore_crate_2-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: layerstore-crate-2\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[layerstore.drivers]\ncrate-2 = layerstore_crate_2\n")
    return folder


def run_tests(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the author's tests."""
    words = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words)
    environment = {**os.environ, "PYTHONPATH": "."}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def asked(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(new_driver, arguments)


def test_the_command_says_where_and_what_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints the path and two commands to type, and everything is in place."""
    monkeypatch.chdir(tmp_path)
    result = asked("crate-2")
    assert (result.exit_code, len(result.output.splitlines())) == (0, 3)
    assert result.output.startswith(
        "layerstore-crate-2: a driver for crate-2: URLs, to be written in layerstore_crate_2.py"
    )
    written = [path for path in Path("layerstore-crate-2").rglob("*") if path.is_file()]
    assert len(written) == len(distribution.FILES)


WRONG = ["", "Crate", "2crate", "crate_2", "crate-", "-crate", "cr--ate", "crate+x", "a b", "../x", "crate\n"]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    """It has to be a URL's scheme, and the end of a distribution's name; nothing is written."""
    result = asked("--dir", str(tmp_path / "new"), "--", name)
    assert (result.exit_code, "lower-case letters" in result.output) == (2, True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "whose"), [("memory", "belongs to layerstore"), ("conformance", "a module layerstore_conf")]
)
def test_a_name_of_somebody_elses_is_refused(tmp_path: Path, name: str, whose: str) -> None:
    """A scheme that is claimed would be in conflict or ignored, and a module of the name would hide another."""
    result = asked(name, "--dir", str(tmp_path / "new"))
    assert (result.exit_code, whose in " ".join(result.output.split())) == (2, True)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A directory that holds something is refused and left alone, and so is a file; an empty directory is used."""
    (tmp_path / "there").write_text("mine")
    for target in (tmp_path, tmp_path / "there"):
        result = asked("crate", "--dir", str(target))
        assert (result.exit_code, "exists and is not an empty directory" in result.output) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    (tmp_path / "there").unlink()
    assert asked("crate", "--dir", str(tmp_path)).exit_code == 0


def test_who_lacks_the_extra_is_told_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates need jinja2, which core does not bring."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = asked("crate", "--dir", str(tmp_path))
    assert (result.exit_code, "pip install 'layerstore[conformance]'" in result.output) == (7, True)


def test_every_part_is_there_and_none_is_written(tmp_path: Path) -> None:
    """The driver's methods, and those of its reader and writer, raise NotImplementedError and nothing else."""
    methods = methods_of(made(tmp_path) / "layerstore_crate_2.py")
    assert methods == dict.fromkeys(PARTS.keys() - {"close"}, "raise NotImplementedError")


@pytest.mark.skipif(not CONTRACT.exists(), reason="the tests run without their repository")
def test_every_clause_is_quoted_that_a_driver_keeps(tmp_path: Path) -> None:
    """None is left out but those that the front keeps, and none is cut short."""
    module = " ".join((made(tmp_path) / "layerstore_crate_2.py").read_text().split())
    page = CONTRACT.read_text(encoding="utf-8")
    found = re.findall(r"^- \*\*([A-Z]\d+)(.*?)(?=^- |^#|\Z)", page, re.MULTILINE | re.DOTALL)
    fronts = {name for name, text in found if text.startswith(" (front)") or text.rstrip().endswith("**(front)**")}
    missing = [name for name, text in clauses().items() if f"{name}: {text}" not in module]
    assert set(missing) == fronts - {"K2"}  # the names that it leaves to a driver are not to be listed


def test_the_metadata_claim_the_scheme(tmp_path: Path) -> None:
    """The entry point is called as the scheme is, and names the module."""
    project = tomllib.loads((made(tmp_path) / "pyproject.toml").read_text())
    assert project["project"]["name"] == "layerstore-crate-2"
    assert project["project"]["entry-points"]["layerstore.drivers"] == {"crate-2": "layerstore_crate_2"}


def test_the_authors_tests_run_the_suite(tmp_path: Path) -> None:
    """``pytest`` in the directory runs the author's module, which says what to write first."""
    done = run_tests(installed(made(tmp_path)))
    assert "next: implement open (O2 E2); every scenario depends on it" in done.stdout
    assert done.returncode == 7


def test_the_command_writes_a_driver_for_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands on the toolkit, comes with a fixture for an emulator, and says how to run its tests."""
    monkeypatch.chdir(tmp_path)
    result = asked("crate-2", "--object-store")
    assert (result.exit_code, len(result.output.splitlines())) == (0, 3)
    assert "  pytest --layerstore-profile=quick\n" in result.output
    written = [path for path in Path("layerstore-crate-2").rglob("*") if path.is_file()]
    assert len(written) == len(distribution.OBJECT_STORE)


def test_every_call_of_the_service_is_there_and_none_is_written(tmp_path: Path) -> None:
    """Each is as the toolkit says, with its docstring, and says its name if it is called; the rest is written."""
    path = made(tmp_path, object_store=True) / "layerstore_crate_2.py"
    methods = methods_of(path)
    unwritten = {name for name, last in methods.items() if last.startswith("raise NotImplementedError")}
    assert unwritten == {"connect", *distribution.CALLS}
    assert {*distribution.CALLS, "close"} == {name for name in vars(Service) if not name.startswith("_")} - {"limits"}
    assert methods["put"] == "raise NotImplementedError('Crate2Service.put')"
    module = path.read_text()
    for name in distribution.CALLS:
        assert str(inspect.signature(getattr(Service, name))).replace("'", "") in module
    assert ":class:" not in module
    assert "``" not in module


FILLED = """
from layerstore.objectstore.memory import MemoryService

_memory = MemoryService()
_calls = ("get", "put", "delete", "delete_many", "list", "compose")
Crate2Service.__init__ = lambda self, bucket, options: None
for _name in _calls:
    setattr(Crate2Service, _name, getattr(_memory, _name))
"""


def test_a_service_with_all_its_calls_is_a_driver(tmp_path: Path) -> None:
    """Scenarios pass on it; a service in memory cannot show those that need another process."""
    folder = installed(made(tmp_path, object_store=True))
    with (folder / "layerstore_crate_2.py").open("a") as module:
        module.write(FILLED)
    done = run_tests(folder, "--layerstore-profile=quick", "--layerstore-only=buffers")
    assert re.search(r"^=+ \d+ passed(, \d+ skipped)? in", done.stdout, re.MULTILINE), done.stdout[-2000:]


def test_an_object_stores_url_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options or variables say who you are; a URL without a bucket, and a wrong option, are refused."""
    monkeypatch.syspath_prepend(str(made(tmp_path, object_store=True)))
    module = importlib.import_module("layerstore_crate_2")
    monkeypatch.setenv("CRATE_2_ACCESS_KEY", "me")
    kind = module.layerstore_driver()
    driver = kind.open(StoreURL.parse("crate-2://bucket/a/b"), endpoint="http://there", timeout="5")
    service = driver._store.service
    assert (service._bucket, driver._store.prefix, driver.capabilities.shared) == ("bucket", "a/b/", True)
    assert service._options == {"endpoint": "http://there", "access_key": "me", "secret_key": None, "timeout": 5}
    for url, options in (("crate-2:", {}), ("crate-2://bucket", {"timeout": "soon"})):
        with pytest.raises(InvalidURLError):
            kind.open(StoreURL.parse(url), **options)
    service.connect = list
    assert service.client is service.client
    before = service.client
    monkeypatch.setattr(os, "getpid", lambda: 0)  # as in a forked child
    assert service.client is not before
    for status, expected in ((404, PathNotFoundError), (412, FencedError), (500, BackendUnavailableError)):
        error = OSError("no")
        error.status = status  # type: ignore[attr-defined]  # as an SDK's
        with pytest.raises(expected), module.translated("a"):
            raise error


def test_the_emulator_serves_the_authors_tests(tmp_path: Path) -> None:
    """It listens on a port of its own while they run, and its last words are shown if it does not."""
    folder = installed(made(tmp_path, object_store=True))
    fixture = folder / "tests" / "conftest.py"
    (folder / "tests" / "test_conformance.py").write_text(
        "import urllib.request\n\n\ndef test_it(emulator):\n"
        "    url = emulator.removeprefix('?endpoint=').partition('&')[0]\n"
        "    assert urllib.request.urlopen(url).status == 200\n"
    )
    begun, serves = fixture.read_text(), [sys.executable, "-m", "http.server", "PORT", "--bind", "127.0.0.1"]
    for command, expected in ((serves, "1 passed"), ([sys.executable, "-c", "exit('no room')"], "no room")):
        fixture.write_text(begun.replace("COMMAND: list[str] = []", f"COMMAND = {command!r}"))
        assert expected in run_tests(folder).stdout

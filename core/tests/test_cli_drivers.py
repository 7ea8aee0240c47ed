"""``layerstore drivers``: every driver installed, a broken one with the reason."""

import json
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from layerstore.cli.program import program

FINE = """
    from layerstore import Capabilities, hookimpl
    from layerstore_drivers.memory import MemoryDriver

    print("a plugin that talks")

    class Quiet(MemoryDriver):
        contract_version = "1.0"
        capabilities = Capabilities(nested_keys=False, shared=False, durable=False)

    @hookimpl
    def layerstore_driver():
        return Quiet
"""

LATE = """
    from layerstore import hookimpl
    from layerstore_drivers.memory import MemoryDriver

    class Late(MemoryDriver):
        contract_version = "1.0"
        capabilities = property(lambda self: None)

    @hookimpl
    def layerstore_driver():
        return Late
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that Python finds installed distributions in."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site: Path, scheme: str, module: str, code: str) -> None:
    """Install a distribution that brings one driver."""
    (site / f"{module}.py").write_text(textwrap.dedent(code))
    info = site / f"{module}-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(f"[layerstore.drivers]\n{scheme} = {module}\n")


def listed(scheme: str, distribution: str) -> list[str]:
    """Return the columns of one driver as the program lists it in a pipe."""
    result = CliRunner().invoke(program, ["drivers"])
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert {len(row) for row in rows} == {4}
    return next(row for row in rows if row[:2] == [scheme, distribution])


def described(scheme: str) -> dict[str, object]:
    """Return one driver as the program describes it to machines."""
    result = CliRunner().invoke(program, ["drivers", "--json"])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {tuple(row) for row in rows} == {("scheme", "distribution", "version", "capabilities", "problem")}
    return next(row for row in rows if row["scheme"] == scheme)


def test_drivers_lists_what_is_built_in() -> None:
    """The scheme, the distribution, its version, and what the driver can."""
    assert listed("memory", "layerstore")[3] == "nested_keys"
    memory = described("memory")
    assert memory["capabilities"] == {"nested_keys": True, "shared": False, "durable": False, "memory": 16 << 20}
    assert memory["problem"] is None


def test_drivers_lists_one_that_can_nothing_more(site: Path) -> None:
    """A plugin is listed with its own version; what it prints is not taken for a line of the listing."""
    install(site, "quiet", "cli_fine_plugin", FINE)
    assert listed("quiet", "cli-fine-plugin") == ["quiet", "cli-fine-plugin", "2.5", "none"]
    assert described("quiet")["problem"] is None


def test_drivers_lists_a_broken_one_with_the_reason(site: Path) -> None:
    """One that cannot be imported does not hide the others, and stands on one line."""
    install(site, "broken", "cli_broken_plugin", "raise ImportError('no SDK\\nat\\tall')")
    assert listed("broken", "cli-broken-plugin")[3].endswith("does not load: ImportError: no SDK at\\tall")
    assert described("broken")["capabilities"] is None
    assert "no SDK" in str(described("broken")["problem"])
    assert listed("memory", "layerstore")


def test_drivers_lists_one_that_tells_capabilities_late(site: Path) -> None:
    """Capabilities that depend on the store are no problem, only unknown."""
    install(site, "late", "cli_late_plugin", LATE)
    assert listed("late", "cli-late-plugin")[3] == "known once a store is open"
    assert (described("late")["capabilities"], described("late")["problem"]) == (None, None)


def test_drivers_does_not_import_one_that_is_ignored(site: Path) -> None:
    """A claim to layerstore's own scheme is listed as ignored, and its module left alone."""
    install(site, "memory", "cli_shadow_plugin", "raise SystemExit('imported')")
    assert listed("memory", "cli-shadow-plugin")[3] == "ignored: the scheme is layerstore's own"


def test_drivers_lists_a_conflict(site: Path) -> None:
    """Two claims to one scheme are both listed with what to do."""
    install(site, "twice", "cli_twice_one", FINE)
    install(site, "twice", "cli_twice_two", FINE)
    for distribution in ("cli-twice-one", "cli-twice-two"):
        assert "uninstall all but one" in listed("twice", distribution)[3]

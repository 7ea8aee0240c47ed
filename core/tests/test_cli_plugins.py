"""Commands that other distributions bring: told in the help, run by name, and broken for themselves only."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from layerstore.cli.plugins import PluggedCommand, plugged
from layerstore.cli.program import program

FINE = """
import click

@click.command()
@click.argument("name")
@click.pass_context
def greet(context, name):
    click.echo(f"{context.command_path}: hello, {name}")
    context.exit(9)
"""


HELP = "\ngreet.help = 'Say hello. And more.'\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that Python finds installed distributions in."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site: Path, module: str, code: str, name: str = "greet") -> None:
    """Install a distribution that brings one command, and has an extra of its name."""
    (site / f"{module}.py").write_text(code)
    info = site / f"{module}-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 2.5\nProvides-Extra: {name}\n")
    (info / "entry_points.txt").write_text(f"[layerstore.commands]\n{name} = {module}:greet\n")


def run(*arguments: str) -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(program, arguments)


def test_a_plugged_command_is_run(site: Path) -> None:
    """It has the arguments, the path in its own help, and the exit status."""
    install(site, "plugged_fine", FINE)
    result = run("greet", "you")
    assert (result.exit_code, result.stdout) == (9, "layerstore greet: hello, you\n")


def lines_of_help() -> list[str]:
    """Return the words of each line of the program's help, which nothing in it keeps from being shown."""
    result = run("--help")
    assert result.exit_code == 0
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_the_help_of_the_program_has_a_line_of_each_command(site: Path) -> None:
    """A plugged command's is its own; what its module prints when it is imported is none of it."""
    install(site, "plugged_told", f"print('greet loads'){FINE}{HELP}")
    told = lines_of_help()
    assert "greet Say hello." in told
    assert "greet loads" not in told


def test_no_line_of_a_command_of_ours_is_cut_short() -> None:
    """Each says what the command does in as many words as there is room for."""
    told = lines_of_help()
    assert [line for line in told[told.index("Commands:") + 1 :] if line.endswith("...")] == []


def test_another_command_imports_none(site: Path) -> None:
    """Other commands neither wait for it nor fail over it."""
    install(site, "plugged_lazy", FINE)
    assert run("layers", "--help").exit_code == 0
    assert "No such command" in run("gret").stderr
    assert "plugged_lazy" not in sys.modules


BROKEN = {
    "raise RuntimeError('later')": "RuntimeError: later",
    "raise SystemExit(3)": "SystemExit: 3",
    "import nowhere": "ModuleNotFoundError: No module named 'nowhere'; pip install 'plugged_broken[greet]'",
    "greet = 1": "plugged_broken:greet is no click command",
}


@pytest.mark.parametrize(("code", "reason"), BROKEN.items())
def test_a_broken_command_breaks_itself_alone(
    site: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    """It says which distribution is to blame, in one line; the other commands work."""
    install(site, "plugged_broken", code)
    monkeypatch.delitem(sys.modules, "plugged_broken", raising=False)
    result = run("greet")
    message = f"layerstore: error: command 'greet' of plugged_broken does not load: {reason}\n"
    assert (result.exit_code, result.stderr) == (1, message)
    assert run("drivers").exit_code == 0


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_command_leaves_the_others_their_help(site: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """The help of the program says of it whose it is, and of the others what they do."""
    install(site, "plugged_broken", code)
    monkeypatch.delitem(sys.modules, "plugged_broken", raising=False)
    told = lines_of_help()
    assert "greet (does not load; of plugged_broken)" in told
    assert "drivers List installed drivers." in told


def test_our_own_commands_are_not_replaced(site: Path) -> None:
    """A distribution cannot take over what the program has itself."""
    install(site, "plugged_greedy", FINE, name="drivers")
    assert "hello" not in run("drivers").output


def test_damaged_metadata_brings_nothing(site: Path) -> None:
    """A distribution that cannot be read hides none of the others."""
    install(site, "plugged_good", FINE)
    install(site, "plugged_bad", FINE, name="bad")
    (site / "plugged_bad-2.5.dist-info" / "entry_points.txt").write_bytes(b"\xff")
    assert "greet" in plugged()
    assert "bad" not in plugged()


def test_a_command_of_no_distribution() -> None:
    """An entry point made by hand is named as far as it can be."""
    entry = EntryPoint("greet", "nowhere:greet", "layerstore.commands")
    with pytest.raises(click.ClickException, match="'greet' of an unknown distribution does not load"):
        PluggedCommand(entry).make_context("greet", [])

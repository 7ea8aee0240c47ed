"""How the command line fails: one line on stderr and a status that is not 0, a traceback only if asked for."""

import json
import logging
import signal
import sys
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import layerstore
from layerstore import BackendUnavailableError, LayerService, cli
from layerstore.cli.invocation import one_line
from layerstore.cli.program import program
from layerstore.cli.signals import Signals, Stopped


@pytest.fixture(autouse=True)
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of the test's own, where the program finds it."""
    url = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("LAYERSTORE_URL", url)
    return url


def run(*arguments: str) -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(program, arguments)


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Have listing layers fail."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(LayerService, "layers", fail)


USAGE = {
    (): "Missing command. (see layerstore --help)",
    ("uploads",): "Missing command. (see layerstore uploads --help)",
    ("frobnicate",): "No such command 'frobnicate'. (see layerstore --help)",
    ("layers", "extra"): "Got unexpected extra argument (extra) (see layerstore layers --help)",
}


@pytest.mark.parametrize(("arguments", "message"), USAGE.items())
def test_a_command_line_that_makes_no_sense(arguments: tuple[str, ...], message: str) -> None:
    """A usage error is one line, says where help is, and exits with 2."""
    result = run(*arguments)
    assert (result.exit_code, result.output) == (2, f"layerstore: error: {message}\n")


@pytest.mark.parametrize("arguments", [("--bogus",), ("layers", "--bogus"), ("uploads", "list", "--bogus")])
def test_an_unknown_option(arguments: tuple[str, ...]) -> None:
    """An unknown option is a usage error, told as JSON where that was asked for, whatever its place."""
    result = run(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--bogus" in result.stderr
    event = json.loads(run(*arguments, "--json").stderr)
    assert (event["event"], event["error"], event["exit"], event["hints"]) == ("error", "UsageError", 2, [])


def test_a_file_named_like_the_flag_is_no_flag() -> None:
    """Behind ``--`` nothing is an option."""
    assert run("upload", "--repo", "a", "--", "--json").stderr.startswith("layerstore: error: --json: No such file")


STORES = {
    "nonsense": ("InvalidURLError", "invalid store URL 'nonsense'"),
    "": ("InvalidURLError", "invalid store URL ''"),
    "nowhere://x": ("UnknownDriverError", "no driver for scheme 'nowhere'; installed: "),
    "memory://x?size=1": ("UnknownOptionError", "driver 'memory' has no option 'size'"),
    "local:///no/such/directory": ("BackendUnavailableError", "local driver: backend unavailable"),
}


@pytest.mark.parametrize("store", STORES)
def test_a_store_that_cannot_be_opened(store: str) -> None:
    """The error says what is wrong with the store, as a line and as JSON."""
    error, message = STORES[store]
    result = run("layers", "--store", store)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f"layerstore: error: {message}")
    event = json.loads(run("layers", "--store", store, "--json").stderr)
    assert (event["event"], event["error"], event["exit"]) == ("error", error, 1)
    assert event["message"].startswith(message)


@pytest.mark.skipif(sys.platform != "linux", reason="a directory that refuses root too is Linux's")
def test_a_store_where_nothing_may_be_written(tmp_path: Path) -> None:
    """A read-only store is an error that says so."""
    (tmp_path / "file").touch()
    result = run("upload", str(tmp_path / "file"), "--repo", "a", "--store", "local:///sys/layerstore")
    assert result.exit_code == 1
    assert result.stderr.startswith("layerstore: error: local driver: ")
    assert result.stderr.count("\n") == 1


def test_a_directory_where_a_layer_should_be(tmp_path: Path) -> None:
    """A store whose tree is obstructed is an error, and the upload is kept."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    blob = tmp_path / f"store/docker/registry/v2/blobs/sha256/e3/{empty}/data"
    (blob / "in the way").mkdir(parents=True)
    (blob / "in the way" / "file").touch()
    (tmp_path / "file").touch()
    url = f"local://{tmp_path}/store"
    result = run("upload", str(tmp_path / "file"), "--repo", "a", "--store", url)
    assert result.exit_code == 1
    assert result.stderr.startswith("layerstore: error: local driver: ")
    assert "\nresume with: layerstore upload " in result.stderr
    assert len(list(layerstore.open(url).uploads())) == 1


def test_an_unexpected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error nobody thought of is a line with its type, and no traceback."""
    failing(monkeypatch, ZeroDivisionError("by\nzero"))
    result = run("layers")
    assert result.exit_code == 1
    assert result.output == "layerstore: error: ZeroDivisionError: by zero (--debug shows where)\n"


@pytest.mark.parametrize("error", [SystemExit(0), OSError("strange"), MemoryError()])
def test_no_failure_exits_with_0(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Even what would end the program in peace is a failure, if the command did not end."""
    failing(monkeypatch, error)
    result = run("layers")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"layerstore: error: {type(error).__name__}: ")


def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--debug`` adds the traceback before the line, or to the event."""
    failing(monkeypatch, ZeroDivisionError("by zero"))
    lines = run("layers", "--debug").stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("layerstore: error: ZeroDivisionError")
    event = json.loads(run("layers", "--debug", "--json").stderr)
    assert event["traceback"].startswith("Traceback")


def test_errors_on_a_stderr_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an error cannot be told, the status still is."""

    def full(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr("layerstore.cli.invocation.click.echo", full)
    assert run("--bogus").exit_code == 2


def test_warnings_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Core's warnings have the form of all output, and only while the program runs."""

    def warn(*_: object) -> list[object]:
        logging.getLogger("layerstore.registry").warning("beware of %s", "the\ndog")
        return []

    monkeypatch.setattr(LayerService, "layers", warn)
    assert run("layers").stderr == "layerstore: warning: beware of the dog\n"
    assert json.loads(run("layers", "--json").stderr) == {"event": "warning", "message": "beware of the dog"}
    assert [type(each) for each in logging.getLogger("layerstore").handlers] == [logging.NullHandler]


def test_what_does_not_print_is_escaped() -> None:
    """No message moves a terminal's cursor, or fails to be encoded."""
    assert one_line("a\x1b[2Jb\nc\udc80ü") == "a\\x1b[2Jb c\\udc80ü"


def test_version() -> None:
    """``--version`` is the distribution's."""
    assert run("--version").output == "layerstore 0.1.0\n"


@pytest.mark.parametrize("command", [(), ("upload",), ("fetch",), ("layers",), ("uploads", "cancel"), ("drivers",)])
def test_help_tells_of_the_store(command: tuple[str, ...]) -> None:
    """Every command has help, and takes a store."""
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "--store URL" in result.stdout


def test_a_failing_close_keeps_the_first_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That an upload could not be closed either is not what the user is told."""

    def fail(*_: object) -> None:
        raise BackendUnavailableError("key", "first" if _[1:] else "second")

    monkeypatch.setattr(layerstore.LayerUpload, "read_from", fail)
    monkeypatch.setattr(layerstore.LayerUpload, "close", fail)
    (tmp_path / "file").touch()
    result = run("upload", str(tmp_path / "file"), "--repo", "a")
    assert "backend unavailable: 'key' (first)" in result.stderr
    assert "second" not in result.stderr


def test_a_signal_waits_for_what_is_held() -> None:
    """Held, a signal lets the block come to its end."""
    signals, done = Signals(), list[str]()

    def receive() -> None:
        with signals.held():
            signals.receive(signal.SIGINT, None)
            done.append("held")

    with pytest.raises(Stopped, match="SIGINT"):
        receive()
    assert done == ["held"]


def test_a_second_signal_does_not_wait() -> None:
    """A second signal is raised at once."""
    signals = Signals()
    with signals.held():
        signals.receive(signal.SIGINT, None)
        with pytest.raises(Stopped, match="SIGTERM"):
            signals.receive(signal.SIGTERM, None)
    with pytest.raises(Stopped, match="SIGINT"):
        signals.receive(signal.SIGINT, None)


def test_a_signal_that_waits_is_let_through() -> None:
    """Within what is held, a block that may take for ever is not begun when a signal waits, and is cut off by one."""
    signals = Signals()
    with signals.held(), pytest.raises(Stopped), signals.let_through():
        signals.receive(signal.SIGINT, None)
    with signals.held():
        signals.receive(signal.SIGINT, None)
        with pytest.raises(Stopped), signals.let_through():
            pytest.fail("begun")


def test_being_stopped_while_being_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second signal, while the first is dealt with, ends the program without a word."""

    def stopped(prog_name: str) -> None:
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(program, "main", stopped)
    monkeypatch.setattr("layerstore.cli.signals.install", lambda: None)
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 143

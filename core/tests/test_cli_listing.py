"""``layerstore layers`` and ``layerstore uploads``: one line each, for pipes and for machines."""

import hashlib
import json
import re
import uuid

import pytest
from click.testing import CliRunner, Result

import layerstore
from layerstore import LayerService
from layerstore.cli.program import program

BODIES = {"a": b"one", "b/c": b"two"}
DIGESTS = {name: "sha256:" + hashlib.sha256(body).hexdigest() for name, body in BODIES.items()}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> LayerService:
    """A store of the test's own, where the program finds it, by the side door."""
    url = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("LAYERSTORE_URL", url)
    return layerstore.open(url)


@pytest.fixture
def store(empty: LayerService) -> LayerService:
    """The store, with two layers and two uploads in two repositories."""
    for name, body in BODIES.items():
        upload = empty.upload(name)
        upload.write(body)
        upload.finish(DIGESTS[name])
        with empty.upload(name) as upload:
            upload.write(body * 2)
    return empty


def run(*arguments: str) -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(program, arguments)


@pytest.mark.usefixtures("store")
def test_layers_are_tab_separated_lines() -> None:
    """In a pipe: repository, digest, size and time, without a header."""
    result = run("layers")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[:3] for row in rows] == [["a", DIGESTS["a"], "3"], ["b/c", DIGESTS["b/c"], "3"]]
    assert all(TIME.fullmatch(row[3]) for row in rows)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.usefixtures("store")
def test_layers_of_one_repository() -> None:
    """``--repo`` lists no other."""
    assert run("layers", "--repo", "b/c").stdout.startswith(f"b/c\t{DIGESTS['b/c']}\t")
    assert run("layers", "--repo", "nowhere").stdout == ""


@pytest.mark.usefixtures("store")
def test_layers_as_json() -> None:
    """One object per line, sizes in bytes and times in RFC 3339."""
    first, second = (json.loads(line) for line in run("layers", "--json").stdout.splitlines())
    assert TIME.fullmatch(first.pop("created"))
    assert first == {"repository": "a", "digest": DIGESTS["a"], "size": 3}
    assert set(second) == {"repository", "digest", "size", "created"}


def test_uploads_are_tab_separated_lines(store: LayerService) -> None:
    """In a pipe: uuid, repository, offset, started and last write."""
    rows = [line.split("\t") for line in run("uploads", "list").stdout.splitlines()]
    assert [row[:3] for row in rows] == [[info.uuid, info.name, "6"] for info in store.uploads()]
    assert all(TIME.fullmatch(time) for row in rows for time in row[3:])
    assert {len(row) for row in rows} == {5}


@pytest.mark.usefixtures("store")
def test_uploads_of_one_repository() -> None:
    """``--repo`` lists no other."""
    (line,) = run("uploads", "list", "--repo", "b/c").stdout.splitlines()
    assert line.split("\t")[1] == "b/c"


def test_uploads_as_json(store: LayerService) -> None:
    """One object per line."""
    first, second = (json.loads(line) for line in run("uploads", "list", "--json").stdout.splitlines())
    assert TIME.fullmatch(first.pop("started"))
    assert TIME.fullmatch(first.pop("last_write"))
    assert first == {"uuid": next(store.uploads()).uuid, "repository": "a", "offset": 6}
    assert set(second) == {"uuid", "repository", "offset", "started", "last_write"}


def test_cancelling_removes_the_upload(store: LayerService) -> None:
    """A cancelled upload is gone, the other ones are not; a second time it is unknown."""
    first, second = store.uploads()
    result = run("uploads", "cancel", first.uuid, "--repo", "a")
    assert (result.exit_code, result.output) == (0, "")
    assert list(store.uploads()) == [second]
    again = run("uploads", "cancel", first.uuid, "--repo", "a")
    assert (again.exit_code, again.stderr) == (1, f"layerstore: error: repository a has no upload {first.uuid}\n")


def test_cancelling_as_json(store: LayerService) -> None:
    """The cancelled upload is named."""
    first = next(store.uploads())
    result = run("uploads", "cancel", first.uuid, "--repo", "a", "--json")
    assert json.loads(result.stdout) == {"uuid": first.uuid, "repository": "a"}


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("command", [("layers",), ("uploads", "list"), ("layers", "--json")])
def test_an_empty_listing_prints_nothing(command: tuple[str, ...]) -> None:
    """Nothing there is no failure."""
    result = run(*command)
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize("arguments", [("--store", "memory://{}", "{}"), ("{}", "--store", "memory://{}")])
def test_options_stand_before_the_command_or_after(arguments: tuple[str, ...], store: LayerService) -> None:
    """``--store`` wins over the environment, wherever it stands; the last one counts."""
    elsewhere = uuid.uuid4().hex
    layerstore.open(f"memory://{elsewhere}").upload("elsewhere").finish("sha256:" + hashlib.sha256().hexdigest())
    words = [word.format(elsewhere if "memory" in word else "layers") for word in arguments]
    assert run(*words).stdout.startswith("elsewhere\t")
    assert json.loads(run("--json", *words).stdout)["repository"] == "elsewhere"


@pytest.mark.usefixtures("store")
def test_options_stand_at_a_group_too() -> None:
    """``uploads`` takes what its commands take."""
    assert json.loads(run("uploads", "--json", "list", "--repo", "a").stdout)["repository"] == "a"

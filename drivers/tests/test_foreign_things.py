"""Whatever lies in a store that is a directory: no tool deletes what it does not understand, nor because of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import layerstore
from layerstore import Foreign, LayerService, MarkingIncompleteError, layout, open_driver
from layerstore.checked import CheckedDriver
from layerstore.cli.program import program
from layerstore.driver import Driver
from layerstore.layout import UploadKeys
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver

BODIES = {"demo": b"of demo", "other": b"of other", "idle": b"of nobody"}
DIGESTS = {name: f"sha256:{hashlib.sha256(body).hexdigest()}" for name, body in BODIES.items()}
HEX = DIGESTS["demo"][7:]

SCHEMES = [
    "local",
    pytest.param("pyfs+osfs", marks=pytest.mark.skipif(find_spec("fs") is None, reason="fs is not installed")),
]


@pytest.fixture(params=SCHEMES)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name a store: two repositories with a layer each, a blob that nothing links, an upload."""
    url = f"{request.param}://{tmp_path}/store"
    (tmp_path / "store").mkdir()
    store = layerstore.open(url)
    for name, body in BODIES.items():
        upload = store.upload(name)
        upload.write(body)
        upload.finish(DIGESTS[name]).close()
    store.unlink("idle", DIGESTS["idle"])
    with store.upload("demo") as upload:
        upload.write(b"begun")
    monkeypatch.setenv("LAYERSTORE_URL", url)
    return url


@pytest.fixture
def top(url: str, tmp_path: Path) -> Path:
    """Return the directory of the store's keys."""
    del url
    return tmp_path / "store" / layout.ROOT


def run(*arguments: str) -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(program, arguments)


def aside(top: Path, path: str) -> Path:
    """Move what is under a path to another disk, and return where."""
    target = top.parents[3] / "disk" / path.replace("/", "_")
    target.parent.mkdir(exist_ok=True)
    return (top / path).rename(target)


def symlink(path: str) -> Callable[[Path], str]:
    """Have a symlink where something was, to where it is now."""

    def make(top: Path) -> str:
        (top / path).symlink_to(aside(top, path))
        return path

    return make


def dangling(path: str) -> Callable[[Path], str]:
    """Have a symlink to a disk that is not there."""

    def make(top: Path) -> str:
        aside(top, path)
        (top / path).symlink_to(top / "no" / "disk")
        return path

    return make


def renamed(path: str, name: str, shown: str = "") -> Callable[[Path], str]:
    """Have a directory under a name that is no key."""

    def make(top: Path) -> str:
        (top / path).rename((top / path).with_name(os.fsdecode(name.encode("latin-1"))))
        return f"{path.rpartition('/')[0]}/{shown or name}/".lstrip("/")

    return make


def fifo(path: str) -> Callable[[Path], str]:
    """Have a FIFO where a file was."""

    def make(top: Path) -> str:
        aside(top, path)
        os.mkfifo(top / path)
        return path

    return make


def bound(path: str) -> Callable[[Path], str]:
    """Have a socket where a file was."""

    def make(top: Path) -> str:
        aside(top, path)
        with socket.socket(socket.AF_UNIX) as made, chdir((top / path).parent):
            made.bind((top / path).name)
        return path

    return make


def directory(path: str, inside: str = "") -> Callable[[Path], str]:
    """Have a directory where a file was, maybe with something in it."""

    def make(top: Path) -> str:
        aside(top, path)
        (top / path / inside).mkdir(parents=True)
        if inside:
            (top / path / inside / "file").write_bytes(b"")
        return f"{path}/"

    return make


LAYERS = "repositories/demo/_layers"
LINK = f"{LAYERS}/sha256/{HEX}/link"

ROWS: dict[str, Callable[[Path], str]] = {
    "a repository is a symlink": symlink("repositories/demo"),
    "a repository is a symlink to a disk that is not there": dangling("repositories/demo"),
    "the repositories are a symlink": symlink("repositories"),
    "the layers are a symlink": symlink(LAYERS),
    "an algorithm is a symlink": symlink(f"{LAYERS}/sha256"),
    "a link's directory is a symlink": symlink(f"{LAYERS}/sha256/{HEX}"),
    "a link is a symlink": symlink(LINK),
    "a link is a symlink that leads nowhere": dangling(LINK),
    "a link is a FIFO": fifo(LINK),
    "a link is a socket": bound(LINK),
    "a link is an empty directory": directory(LINK),
    "a link is a directory with a file in it": directory(LINK, "inside"),
    "the uploads are a symlink": symlink("repositories/demo/_uploads"),
    "a repository's name is no key": renamed("repositories/demo", "my repo"),
    "a repository is hidden": renamed("repositories/demo", ".demo"),
    "a repository's name is no text": renamed("repositories/demo", "d\xe9mo", "d\\xe9mo"),
    "the repositories are hidden": renamed("repositories", ".repositories"),
    "the layers are hidden": renamed(LAYERS, "._layers"),
    "an algorithm is hidden": renamed(f"{LAYERS}/sha256", ".sha256"),
    "a link's directory has a blank": renamed(f"{LAYERS}/sha256/{HEX}", f"{HEX} (copy)"),
}
"""What hides the link to a blob in use, each with the name that is to be told."""


@pytest.fixture(params=ROWS)
def odd(request: pytest.FixtureRequest, top: Path) -> str:
    """Hide a link, and return the key that is not understood."""
    return f"{layout.ROOT}/{ROWS[request.param](top)}"


def blobs(top: Path) -> int:
    """Count the blobs."""
    return len(list(top.glob("blobs/sha256/*/*/data")))


def test_gc_deletes_nothing(odd: str, top: Path) -> None:
    """It names what it does not understand, and what that is."""
    result = run("gc", "--grace", "0s")
    assert (result.exit_code, result.stdout, blobs(top)) == (1, "", 3)
    assert f"nothing was deleted: {odd!r}: not understood: a " in result.stderr


def test_gc_deletes_all_the_same_if_told_to(odd: str, top: Path) -> None:
    """It lists what it went on without."""
    result = run("gc", "--grace", "0s", "--ignore-foreign", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    ignored = [row["reason"] for row in rows if row["outcome"] == "ignored"]
    assert [reason.partition(": not understood: a ")[0] for reason in ignored] == [odd]
    assert (result.exit_code, blobs(top)) == (0, 3 - sum(row["outcome"] == "deleted" for row in rows))
    assert DIGESTS["demo"] in {row["digest"] for row in rows} or "_uploads" in odd


def test_scrub_finds_harm_and_no_blob_without_a_link(odd: str) -> None:
    """What seems to be without a link may have one there."""
    result = run("scrub", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    found = [(row["finding"], row["key"]) for row in rows if row["finding"] != "leftover"]
    assert (result.exit_code, found) == (1, [("unreadable", odd)])
    assert rows[-1]["detail"].startswith("not understood: a ")


def test_purge_deletes_nothing_of_it(odd: str, top: Path) -> None:
    """Behind a symlink and below a name that is no key nothing is purged."""
    before = len(list(top.parents[3].rglob("startedat")))
    result = run("uploads", "purge", "--older-than", "0s")
    assert result.exit_code == 0
    told = [line for line in result.stdout.splitlines() if "not understood: a " in line]
    assert len(told) == ("/_layers" not in odd and "/.repositories" not in odd), "where a purge looks"
    assert len(list(top.parents[3].rglob("startedat"))) == before - ("_layers" in odd)


@pytest.mark.parametrize("command", [("layers",), ("uploads", "list")])
def test_listings_go_on_and_say_so(odd: str, command: tuple[str, ...]) -> None:
    """What is in order is listed; at most one line tells of what was passed over."""
    result = run(*command)
    assert (result.exit_code, len(result.stderr.splitlines()) <= 1) == (0, True)
    if command == ("layers",) and not odd.rstrip("/").endswith("repositories"):
        assert any(line.startswith(f"other\t{DIGESTS['other']}") for line in result.stdout.splitlines())
    if "_layers" not in odd and "/.repositories" not in odd and (command != ("layers",) or "_uploads" not in odd):
        assert f"layerstore: warning: passed over {odd}, not understood: a " in result.stderr


CLAIMS: dict[str, Callable[[str], Callable[[Path], str]]] = {
    "the intents are a symlink": symlink,
    "the intents are hidden": lambda path: renamed(path, ".intent"),
    "the intents are a FIFO": fifo,
}


@pytest.mark.parametrize("make", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_that_is_hidden_stops_gc(url: str, top: Path, make: Callable[[str], Callable[[Path], str]]) -> None:
    """A finish that was cut off before its link has claimed its blob."""
    (info,) = layerstore.open(url).uploads()
    intents = UploadKeys("demo", info.uuid).intents
    open_driver(url).put(f"{intents}/{DIGESTS['idle'][7:]}", DIGESTS["idle"].encode())
    assert run("gc", "--grace", "0s").exit_code == 0
    path = make(intents.removeprefix(f"{layout.ROOT}/"))(top)
    result = run("gc", "--grace", "0s")
    assert (result.exit_code, blobs(top)) == (1, 3)
    assert f"{layout.ROOT}/{path}" in result.stderr


def later() -> datetime:
    """Return a moment at which everything stored now is old enough."""
    return datetime.now(UTC) + timedelta(hours=2)


class Mover:
    """An observer that moves a repository to another disk, before the so many-th look at the repositories."""

    def __init__(self, top: Path, number: int) -> None:
        """Wait for it."""
        self.top, self.number = top, number

    def before(self, call: Call) -> None:
        """Move it if it is time."""
        self.number -= (call.method, call.key) == ("list", layout.REPOSITORIES)
        if not self.number:
            symlink("repositories/demo")(self.top)
            self.number = -1

    def after(self, call: Call, result: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize("number", range(1, 7))
def test_a_repository_moved_to_another_disk_between_the_marks_loses_nothing(url: str, top: Path, number: int) -> None:
    """Whichever mark meets the symlink stops the collection, and what it had moved is back."""
    service = LayerService(ObservedDriver(open_driver(url), Mover(top, number)))
    with pytest.raises(MarkingIncompleteError, match="demo"):
        service.collect(now=later())
    assert (blobs(top), list((top.parents[2] / "layerstore").rglob("*.data"))) == (3, [])


AMONG_BLOBS = {
    "a blob is a symlink": symlink(f"blobs/sha256/{HEX[:2]}/{HEX}/data"),
    "a blob's directory is a symlink": symlink(f"blobs/sha256/{HEX[:2]}/{HEX}"),
    "the blobs are a symlink": symlink("blobs"),
    "a blob's directory has a blank": renamed(f"blobs/sha256/{HEX[:2]}/{HEX}", f"{HEX} (copy)"),
    "a blob is a FIFO": fifo(f"blobs/sha256/{HEX[:2]}/{HEX}/data"),
}


@pytest.mark.parametrize("make", AMONG_BLOBS.values(), ids=AMONG_BLOBS)
def test_what_is_not_understood_among_the_blobs_is_left_and_told_of(top: Path, make: Callable[[Path], str]) -> None:
    """A collection touches nothing of it, and scrub calls it harm."""
    path = make(top)
    assert run("gc", "--grace", "0s").exit_code == 0
    assert os.path.lexists(top / path)
    result = run("scrub", "--json")
    keys = [row["key"] for row in map(json.loads, result.stdout.splitlines()) if row["finding"] == "unreadable"]
    assert result.exit_code == 1
    assert keys[0] == f"{layout.ROOT}/{path}"
    assert len(keys) == len(set(keys))
    assert all(key.startswith(f"{keys[0].rstrip('/')}/") for key in keys[1:]), "linked, and behind it"


def test_what_is_harmless_stops_no_tool(url: str, top: Path) -> None:
    """Desktops and NAS boxes put it into every directory."""
    for place in [top, *(path for path in top.rglob("*") if path.is_dir())]:
        (place / ".DS_Store").write_bytes(b"")
        (place / "._link").write_bytes(b"")
        (place / ".nfs000000000000000100000001").write_bytes(b"")
        (place / "@eaDir").mkdir()
        (place / "@eaDir" / "link@SynoEAStream").write_bytes(b"")
    result = run("gc", "--grace", "0s")
    assert (result.exit_code, result.stdout) == (0, f"deleted\t{DIGESTS['idle']}\t9\t\n")
    assert (run("scrub").exit_code, run("layers").stderr) == (0, "")
    assert run("uploads", "purge", "--older-than", "0s").stdout.startswith("removed\t")
    assert [info.name for info in layerstore.open(url).layers()] == ["demo", "other"]


def test_an_upload_with_a_symlink_in_it_is_not_purged(url: str, top: Path) -> None:
    """Whoever put it there may want it; cancelling the upload leaves the symlink, and what it leads to."""
    (info,) = layerstore.open(url).uploads()
    keys = UploadKeys("demo", info.uuid)
    kept = top.parents[3] / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"")
    (top.parents[2] / keys.prefix / "more").symlink_to(kept)
    result = run("uploads", "purge", "--older-than", "0s")
    assert result.stdout.startswith(f"skipped\t{info.uuid}/more\tdemo\t0\tNone\tnot understood: a symlink\n")
    assert run("uploads", "cancel", info.uuid, "--repo", "demo").exit_code == 0
    assert os.listdir(top.parents[2] / keys.prefix) == ["more"]
    assert (kept / "file").exists()


def test_a_store_in_which_nothing_is_odd_is_scanned_as_it_is_listed(url: str, top: Path) -> None:
    """Nothing that the drivers make themselves, nor the directories that they leave empty, is foreign (L6)."""
    driver = open_driver(url)
    with driver.open_writer(f"{layout.ROOT}/open") as writer:
        writer.write(b"written")
        for path in [top.parents[2], *(path for path in top.parents[2].rglob("*") if path.is_dir())]:
            prefix = "" if path == top.parents[2] else path.relative_to(top.parents[2]).as_posix()
            if not prefix.startswith("."):
                assert list(driver.scan(prefix)) == list(driver.list(prefix))


class Blank(PassingDriver):
    """Any driver, whose backend holds a name that is no key."""

    def __init__(self, inner: Driver, prefix: str) -> None:
        """Have it below a prefix."""
        super().__init__(inner)
        self.prefix = prefix

    def list(self, prefix: str) -> Iterator[str]:
        """Add it."""
        yield from self.inner.list(prefix)
        yield from [f"{prefix}/my repo/"] if prefix == self.prefix else []


def test_the_front_knows_a_name_that_is_no_key(url: str) -> None:
    """A driver that has no scan of its own, as one for an object store, needs none for that (L6)."""
    front = CheckedDriver(Blank(open_driver(url), layout.REPOSITORIES))
    found = [child for child in front.scan(layout.REPOSITORIES) if isinstance(child, Foreign)]
    assert found == [Foreign(f"{layout.REPOSITORIES}/my repo/", "a name that is no key")]
    with pytest.raises(MarkingIncompleteError, match="my repo"):
        LayerService(front).collect(now=later())
    assert len(list(LayerService(front).layers())) == 2


def test_a_restored_repository_is_understood_again(url: str, top: Path) -> None:
    """Once the symlink is a directory again, everything goes on: the blob that nothing links is collected."""
    symlink("repositories/demo")(top)
    assert run("gc", "--grace", "0s").exit_code == 1
    (top / "repositories/demo").unlink()
    shutil.move(top.parents[3] / "disk" / "repositories_demo", top / "repositories/demo")
    assert run("gc", "--grace", "0s").stdout == f"deleted\t{DIGESTS['idle']}\t9\t\n"
    with layerstore.open(url).fetch("demo", DIGESTS["demo"]) as layer:
        assert layer.read() == BODIES["demo"]

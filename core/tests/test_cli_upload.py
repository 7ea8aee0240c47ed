"""``layerstore upload``: what it stores, what it prints, what it refuses."""

import hashlib
import json
import os
import random
import threading
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import layerstore
from layerstore import LayerService
from layerstore.cli.invocation import Invocation
from layerstore.cli.program import program
from layerstore.cli.size import Size, size
from layerstore_conformance.kit.observed import Call, Counts, ObservedDriver

BODY = random.Random(20).randbytes(300_000)
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()
WRONG = "sha256:" + "0" * 64


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of the test's own, where the program finds it."""
    url = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("LAYERSTORE_URL", url)
    return url


@pytest.fixture
def store(url: str) -> LayerService:
    """The same store, by the side door."""
    return layerstore.open(url)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file to upload."""
    path = tmp_path / "layer.tar"
    path.write_bytes(BODY)
    return str(path)


def run(*arguments: str, stdin: bytes = b"") -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(program, arguments, input=stdin)


def observe(monkeypatch: pytest.MonkeyPatch, store: LayerService, observer: Counts) -> None:
    """Have the program work on the store through an observer."""

    def watched(url: str, verify: layerstore.Verify) -> LayerService:
        return LayerService(ObservedDriver(store.driver, observer), verify=verify)

    monkeypatch.setattr(layerstore, "open", watched)


def test_upload_prints_the_digest_and_stores_the_bytes(store: LayerService, file: str) -> None:
    """The last line on stdout is the digest under which the bytes are found."""
    result = run("upload", file, "--repo", "a/b")
    assert (result.exit_code, result.stdout) == (0, DIGEST + "\n")
    assert store.fetch("a/b", DIGEST).read() == BODY


def test_upload_of_standard_input(store: LayerService) -> None:
    """``-`` is standard input."""
    result = run("upload", "-", "--repo", "a", stdin=BODY)
    assert (result.exit_code, result.stdout) == (0, DIGEST + "\n")
    assert store.fetch("a", DIGEST).read() == BODY


def test_upload_of_a_closed_standard_input_is_refused(store: LayerService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program started without standard input says so, and begins no upload."""
    monkeypatch.setattr("layerstore.cli.source.sys.stdin", None)
    with pytest.raises(SystemExit) as exited:
        program.main(["upload", "-", "--repo", "a"])
    assert exited.value.code == 1
    assert list(store.uploads()) == []


def test_upload_of_an_empty_source(store: LayerService) -> None:
    """No bytes are a layer too."""
    assert run("upload", "-", "--repo", "a").exit_code == 0
    assert [layer.size for layer in store.layers("a")] == [0]


def test_upload_of_a_fifo(store: LayerService, tmp_path: Path) -> None:
    """A FIFO is read to its end."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    threading.Thread(target=lambda: fifo.write_bytes(BODY), daemon=True).start()
    assert run("upload", str(fifo), "--repo", "a").stdout == DIGEST + "\n"
    assert store.exists("a", DIGEST)


def test_upload_of_a_growing_file_stores_what_was_read(
    store: LayerService, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that grows meanwhile is stored as it was read, under the digest of that."""

    class Growing(Counts):
        def before(self, call: Call) -> None:
            if call.method == "publish" and not self.calls["publish"]:
                Path(file).write_bytes(BODY * 2)

    observe(monkeypatch, store, Growing.zero())
    digest = run("upload", file, "--repo", "a", "--checkpoint", "100000").stdout.strip()
    assert store.fetch("a", digest).read() == BODY * 2


def test_upload_as_json(store: LayerService, file: str) -> None:
    """On stdout one object; on stderr what to resume with, and each checkpoint."""
    result = run("upload", file, "--repo", "a", "--checkpoint", "128K", "--json")
    answer, events = json.loads(result.stdout), [json.loads(line) for line in result.stderr.splitlines()]
    created = datetime.fromisoformat(answer.pop("created"))
    assert abs(created - next(store.layers()).created_at) < timedelta(minutes=1)
    assert answer == {"repository": "a", "digest": DIGEST, "size": len(BODY)}
    uuid = events[0].pop("uuid")
    resume = f"layerstore upload {file} --repo a --resume {uuid}"
    assert events[0] == {"event": "started", "repository": "a", "offset": 0, "resume": resume}
    assert events[1:] == [
        {"event": "checkpoint", "uuid": uuid, "offset": 131_072},
        {"event": "checkpoint", "uuid": uuid, "offset": 262_144},
    ]


def test_upload_flushes_at_each_checkpoint(store: LayerService, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times 100,000 bytes are three flushes, and finishing one more; the first is made sure of."""
    observe(monkeypatch, store, counts := Counts.zero())
    assert run("upload", file, "--repo", "a", "--checkpoint", "100000").exit_code == 0
    assert counts.calls["publish"] == 5
    assert counts.bytes_read == 0


def test_upload_of_less_than_a_checkpoint_is_stored_at_once(
    store: LayerService, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two puts, blob and link, without a word of how to resume what can only be begun anew."""
    observe(monkeypatch, store, counts := Counts.zero())
    result = run("upload", file, "--repo", "a")
    assert (result.exit_code, result.stderr) == (0, "")
    assert counts.calls == {"put": 2, "stat": 1}


@pytest.mark.parametrize(("verify", "read_back"), [("resume", 0), ("reread", len(BODY))])
def test_upload_verifies_as_told(
    store: LayerService, file: str, monkeypatch: pytest.MonkeyPatch, verify: str, read_back: int
) -> None:
    """``--verify reread`` reads everything back once; ``resume`` nothing of what was hashed on the way in."""
    observe(monkeypatch, store, counts := Counts.zero())
    assert run("upload", file, "--repo", "a", "--verify", verify, "--digest", DIGEST).exit_code == 0
    assert counts.bytes_read == read_back


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_upload_with_the_digest_it_must_have(store: LayerService, file: str, algorithm: str) -> None:
    """The digest that was asked for is printed."""
    digest = f"{algorithm}:{hashlib.new(algorithm, BODY).hexdigest()}"
    result = run("upload", file, "--repo", "a", "--digest", digest)
    assert (result.exit_code, result.stdout) == (0, digest + "\n")
    assert store.fetch("a", digest).read() == BODY


def test_upload_with_a_wrong_digest_stores_no_layer(store: LayerService, file: str) -> None:
    """A wrong digest is an error that names both, and says how to go on without it and how to give up."""
    result = run("upload", file, "--repo", "a", "--digest", WRONG)
    (left,) = store.uploads()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"layerstore: error: expected digest {WRONG}, the bytes are {DIGEST}",
        f"resume with: layerstore upload {file} --repo a --resume {left.uuid}",
        f"cancel with: layerstore uploads cancel {left.uuid} --repo a",
    ]
    assert left.offset == len(BODY)
    assert list(store.layers()) == []


def test_upload_of_what_is_there_already_sends_nothing(store: LayerService, file: str) -> None:
    """With the digest of a layer that is there, the upload has succeeded before it begins."""
    first = run("upload", file, "--repo", "a")
    result = run("upload", file, "--repo", "a", "--digest", DIGEST)
    assert (result.exit_code, result.stdout) == (0, first.stdout)
    assert result.stderr == f"repository a already has layer {DIGEST}: nothing sent\n"
    assert list(store.uploads()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--repo", "a", "--digest", "sha256:../.."), "invalid digest 'sha256:../..'"),
        (("--repo", "a", "--digest", ""), "invalid digest ''"),
        (("--repo", "A"), "invalid repository name 'A'"),
        (("--repo", "a", "--resume", "1-2-3"), "invalid upload id '1-2-3'"),
    ],
)
def test_upload_refuses_what_is_malformed_before_it_reads(
    store: LayerService, arguments: tuple[str, ...], message: str
) -> None:
    """Names and digests are looked at before the file, which need not exist to find them wrong."""
    result = run("upload", "no-such-file", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"layerstore: error: {message}")
    assert list(store.uploads()) == []


@pytest.mark.parametrize(("name", "why"), [("missing", "No such file or directory"), (".", "Is a directory")])
def test_upload_refuses_what_is_no_file(store: LayerService, name: str, why: str) -> None:
    """A file that cannot be read begins no upload."""
    result = run("upload", name, "--repo", "a")
    assert (result.exit_code, result.stderr) == (1, f"layerstore: error: {name}: {why}\n")
    assert list(store.uploads()) == []


def test_upload_without_a_repository_is_a_usage_error() -> None:
    """``--repo`` is required."""
    result = run("upload", "file")
    assert result.exit_code == 2
    assert result.stderr == "layerstore: error: Missing option '--repo'. (see layerstore upload --help)\n"


def test_upload_names_its_store_and_digest_in_the_hint(url: str, file: str) -> None:
    """The command that resumes repeats the options of the command line."""
    result = run("upload", file, "--repo", "a", "--digest", WRONG, "--verify", "reread", "--store", url)
    assert result.stderr.splitlines()[1].endswith(f" --verify reread --store {url}")
    result = run("upload", file, "--repo", "a", "--digest", DIGEST, "--checkpoint", "1K", "--store", url)
    assert result.stderr.splitlines()[0].endswith(f" --digest {DIGEST} --store {url}")


def test_no_hint_shows_the_options_of_a_store() -> None:
    """A credential may be among them."""
    assert Invocation(store="memory://x?key=secret").command("layers") == "layerstore layers --store memory://x"


def test_upload_of_a_name_like_an_option(store: LayerService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint can be pasted into a shell, whatever the file is called."""
    monkeypatch.chdir(tmp_path)
    Path("--a b").write_bytes(BODY)
    result = run("upload", "--repo", "a", "--checkpoint", "1K", "--", "--a b")
    assert result.stderr.startswith("resume with: layerstore upload './--a b' --repo a --resume ")


def test_upload_of_standard_input_says_that_all_of_it_is_needed_again(url: str) -> None:
    """Standard input cannot be gone back in, so it must be given again."""
    result = run("upload", "-", "--repo", "a", "--checkpoint", "2", stdin=b"two more")
    assert result.stderr.endswith("  # with all of the input again\n")


@pytest.mark.parametrize("flushes", [0, 2], ids=["at its first checkpoint", "later"])
def test_upload_that_is_gone_offers_no_way_on(
    store: LayerService, file: str, monkeypatch: pytest.MonkeyPatch, flushes: int
) -> None:
    """An upload cancelled from elsewhere cannot be resumed, and nobody is told to."""

    class Cancelling(Counts):
        def before(self, call: Call) -> None:
            if call.method == "publish" and self.calls["publish"] >= flushes:
                for info in list(store.uploads()):
                    store.cancel(info.name, info.uuid)

    observe(monkeypatch, store, Cancelling.zero())
    *resume, error = run("upload", file, "--repo", "a", "--checkpoint", "1").stderr.splitlines()
    assert len(resume) == (flushes > 0)
    assert error.startswith("layerstore: error: repository a has no upload ")


SIZES = {"1": 1, "64k": 65_536, "64KiB": 65_536, "32M": 33_554_432, "1GB": 1 << 30, "2T": 1 << 41}


@pytest.mark.parametrize(("text", "expected"), SIZES.items())
def test_sizes_as_people_write_them(text: str, expected: int) -> None:
    """K, M, G and T are powers of 1024, with or without B or iB."""
    assert size(text) == expected
    assert Size()(text) == Size()(expected) == expected


@pytest.mark.parametrize("text", ["", "0", "0K", "-1", "1.5M", "M", "1P", "1 M", "\u0661"])
def test_what_is_no_size_is_a_usage_error(text: str) -> None:
    """A checkpoint is a positive number of bytes."""
    result = run("upload", "file", "--repo", "a", "--checkpoint", text)
    assert result.exit_code == 2
    assert "is not a size" in result.stderr
    with pytest.raises(click.BadParameter):
        size(text)

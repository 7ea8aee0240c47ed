"""``layerstore upload --resume``: it goes on where it was cut off, with the source it was begun with, or not at all."""

import hashlib
import json
import os
import random
import signal
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

import layerstore
from layerstore import LayerService
from layerstore.cli.program import program
from layerstore.cli.signals import signals
from layerstore.hashing import sha256
from layerstore_conformance.kit.observed import Call, Counts, ObservedDriver

BODY = random.Random(21).randbytes(300_000)
SENT = 100_000
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()
SHA512 = "sha512:" + hashlib.sha512(BODY).hexdigest()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> LayerService:
    """A store of the test's own, where the program finds it, by the side door."""
    url = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("LAYERSTORE_URL", url)
    return layerstore.open(url)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The source."""
    path = tmp_path / "layer.tar"
    path.write_bytes(BODY)
    return path


@pytest.fixture
def begun(store: LayerService) -> str:
    """An upload of the source, cut off after ``SENT`` bytes."""
    with store.upload("a") as upload:
        upload.write(BODY[:SENT])
    return upload.uuid


class CutError(Exception):
    """An error that a driver raises here instead of going on."""


@pytest.fixture
def moved(store: LayerService) -> str:
    """An upload whose finish was cut off when its data had become a blob."""

    class Cutting(Counts):
        def after(self, call: Call, result: object) -> None:
            if call.method == "move":
                raise CutError

    upload = LayerService(ObservedDriver(store.driver, Cutting.zero())).upload("a")
    upload.write(BODY)
    upload.flush()
    with pytest.raises(CutError):
        upload.finish(DIGEST)
    return upload.uuid


def resume(file: Path | str, uuid: str, *arguments: str, stdin: bytes = b"") -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(program, ["upload", str(file), "--repo", "a", "--resume", uuid, *arguments], input=stdin)


def test_resuming_sends_the_rest(store: LayerService, file: Path, begun: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the source only what is missing is written, and nothing but link and hash state read back."""
    counts = Counts.zero()
    watched = LayerService(ObservedDriver(store.driver, counts))
    monkeypatch.setattr(layerstore, "open", lambda url, verify: watched)
    result = resume(file, begun)
    assert (result.exit_code, result.stdout) == (0, DIGEST + "\n")
    assert store.fetch("a", DIGEST).read() == BODY
    assert len(BODY) - SENT < counts.bytes_written < len(BODY) - SENT + 1000
    assert counts.bytes_read < 1000


def test_resuming_from_standard_input(store: LayerService, begun: str) -> None:
    """Standard input is given from its beginning; what was sent is passed over."""
    result = resume("-", begun, stdin=BODY)
    assert (result.exit_code, result.stdout) == (0, DIGEST + "\n")
    assert store.fetch("a", DIGEST).read() == BODY


def test_resuming_tells_where_it_goes_on(file: Path, begun: str) -> None:
    """The first event has the offset, and how to resume once more."""
    event = json.loads(resume(file, begun, "--json").stderr.splitlines()[0])
    command = f"layerstore upload {file} --repo a --resume {begun}"
    assert event == {"event": "resumed", "uuid": begun, "repository": "a", "offset": SENT, "resume": command}


def test_resuming_when_all_was_sent(store: LayerService, file: Path) -> None:
    """An upload that only lacks its finish gets it."""
    with store.upload("a") as upload:
        upload.write(BODY)
    assert resume(file, upload.uuid, "--digest", DIGEST).stdout == DIGEST + "\n"
    assert list(store.uploads()) == []


def test_resuming_before_anything_was_sent(store: LayerService, file: Path) -> None:
    """An upload of which nothing was flushed begins anew."""
    with store.upload("a") as upload:
        pass
    assert resume(file, upload.uuid).stdout == DIGEST + "\n"


def test_resuming_with_a_source_that_is_too_short(store: LayerService, file: Path, begun: str) -> None:
    """A source that ends before the offset is not what was sent."""
    file.write_bytes(BODY[: SENT - 1])
    result = resume(file, begun)
    assert result.exit_code == 1
    assert f"error: {file} ends at byte 99999, the upload has 100000 already\n" in result.stderr
    assert [info.offset for info in store.uploads()] == [SENT]


@pytest.mark.parametrize("changed", [0, SENT // 2, SENT - 1])
def test_resuming_with_another_source(store: LayerService, file: Path, begun: str, changed: int) -> None:
    """One byte that is not what was sent is noticed; nothing is changed, and the right source still resumes."""
    file.write_bytes(BODY[:changed] + bytes([BODY[changed] ^ 1]) + BODY[changed + 1 :])
    result = resume(file, begun)
    assert result.exit_code == 1
    assert f"error: the first 100000 bytes of {file} are not those that were sent\n" in result.stderr
    assert [info.offset for info in store.uploads()] == [SENT]
    file.write_bytes(BODY)
    assert resume(file, begun).stdout == DIGEST + "\n"


def test_resuming_what_does_not_exist(store: LayerService, file: Path) -> None:
    """An unknown upload is one error line, with no hint to resume it."""
    unknown = str(uuid.uuid4())
    result = resume(file, unknown)
    assert (result.exit_code, result.stderr) == (1, f"layerstore: error: repository a has no upload {unknown}\n")


@pytest.mark.parametrize("arguments", [(), ("--digest", DIGEST), ("--digest", SHA512)])
def test_resuming_a_finish_that_was_cut_off(
    store: LayerService, file: Path, moved: str, arguments: tuple[str, ...]
) -> None:
    """An upload whose data has become a blob is finished with the source it was made of."""
    result = resume(file, moved, *arguments)
    assert (result.exit_code, result.stdout) == (0, (arguments[1] if arguments else DIGEST) + "\n")
    assert store.fetch("a", result.stdout.strip()).read() == BODY
    assert list(store.uploads()) == []


@pytest.mark.parametrize("source", [b"", BODY[:-1], BODY + b"\0", BODY[::-1]])
def test_resuming_a_finish_that_was_cut_off_with_another_source(
    store: LayerService, file: Path, moved: str, source: bytes
) -> None:
    """A blob that the source is not is left as it is, and so is the upload."""
    file.write_bytes(source)
    result = resume(file, moved)
    assert result.exit_code == 1
    assert f"error: {file} is not what was sent: that is {DIGEST}\n" in result.stderr
    assert [info.offset for info in store.uploads()] == [len(BODY)]


def test_resuming_a_finish_that_was_cut_off_with_a_source_of_another_size(
    store: LayerService, file: Path, moved: str
) -> None:
    """The digest asked for is the blob's, but the source has another size: refused."""
    file.write_bytes(BODY[:-1])
    result = resume(file, moved, "--digest", DIGEST)
    assert result.exit_code == 1
    assert "error: expected 299999 bytes, the upload has 300000\n" in result.stderr
    assert list(store.layers()) == []


@pytest.mark.skipif(not sha256.new().exportable, reason="no hash here whose state can be saved")
def test_a_signal_lets_a_write_come_to_its_end(
    store: LayerService, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while it stores a block, an upload keeps that block, and the state of its hash."""

    class Interrupting(Counts):
        def before(self, call: Call) -> None:
            if call.method == "write_at":
                signals.receive(signal.SIGINT, None)

    watched = LayerService(ObservedDriver(store.driver, Interrupting.zero()))
    monkeypatch.setattr(layerstore, "open", lambda url, verify: watched)
    arguments = ["upload", str(file), "--repo", "a", "--checkpoint", str(len(BODY))]
    assert CliRunner().invoke(program, arguments).exit_code == 130
    counts = Counts.zero()
    upload = LayerService(ObservedDriver(store.driver, counts)).resume("a", next(store.uploads()).uuid)
    assert (upload.tell(), str(upload.digest())) == (len(BODY), DIGEST)
    assert counts.bytes_read < 1000


def test_uploading_from_a_pipe_that_does_not_block(store: LayerService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A non-blocking source with nothing to read is not at its end: refused, and the upload kept."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    with os.fdopen(read, "rb") as buffer, os.fdopen(write, "wb"):
        monkeypatch.setattr("layerstore.cli.source.sys.stdin", SimpleNamespace(buffer=buffer))
        with pytest.raises(SystemExit, match="1"):
            program.main(["upload", "-", "--repo", "a"])
    assert len(list(store.uploads())) == 1

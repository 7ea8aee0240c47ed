"""``layerstore fetch``: the right bytes, or no file."""

import hashlib
import json
import os
import random
import re
import signal
import stat
import threading
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import layerstore
from layerstore import Digest, Layer, LayerService, layout, tarsum
from layerstore.cli.program import program
from layerstore.cli.signals import Stopped

BODY = random.Random(22).randbytes(3_000_000)
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> LayerService:
    """A store with one layer, where the program finds it, by the side door."""
    url = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("LAYERSTORE_URL", url)
    store = layerstore.open(url)
    upload = store.upload("a")
    upload.write(BODY)
    upload.finish(DIGEST)
    return store


@pytest.fixture
def damaged(store: LayerService) -> LayerService:
    """The store, when one byte of the layer's blob has changed."""
    store.driver.put(layout.blob(Digest.parse(DIGEST)), BODY[:-1] + bytes([BODY[-1] ^ 1]))
    return store


def fetch(output: Path | str, digest: str = DIGEST, *arguments: str) -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(program, ["fetch", digest, "--repo", "a", "-o", str(output), *arguments])


@pytest.mark.usefixtures("store")
def test_fetch_writes_the_layer(tmp_path: Path) -> None:
    """The file holds the layer's bytes; nothing is printed, and nothing lies beside it."""
    result = fetch(tmp_path / "layer.tar")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "layer.tar").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["layer.tar"]


@pytest.mark.usefixtures("store")
def test_fetch_to_standard_output() -> None:
    """``-o -`` writes the bytes and nothing else."""
    result = fetch("-")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, BODY, "")


@pytest.mark.usefixtures("store")
def test_fetch_as_json(tmp_path: Path) -> None:
    """With ``--json`` what was fetched is told: on stdout, or on stderr when stdout has the bytes."""
    told = {"repository": "a", "digest": DIGEST, "size": len(BODY)}
    path = str(tmp_path / "layer.tar")
    assert json.loads(fetch(path, DIGEST, "--json").stdout) == {**told, "file": path}
    result = fetch("-", DIGEST, "--json")
    assert json.loads(result.stderr) == {"event": "fetched", **told, "file": "-"}
    assert result.stdout_bytes == BODY


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_fetch_by_another_algorithm(store: LayerService, tmp_path: Path, algorithm: str) -> None:
    """The digest asked for is the one that is verified."""
    digest = f"{algorithm}:{hashlib.new(algorithm, BODY).hexdigest()}"
    upload = store.upload("a")
    upload.write(BODY)
    upload.finish(digest)
    assert fetch(tmp_path / "good", digest).exit_code == 0
    store.driver.put(layout.blob(Digest.parse(DIGEST)), BODY[::-1])
    result = fetch(tmp_path / "bad", digest)
    assert (result.exit_code, os.listdir(tmp_path)) == (1, ["good"])
    assert f"expected digest {digest}, the bytes are {algorithm}:" in result.stderr


def test_fetch_by_tarsum(store: LayerService, tmp_path: Path) -> None:
    """A layer fetched by a tarsum is verified by its sha256."""
    body = bytes(10_240)
    (tmp_path / "zeros").write_bytes(body)
    with (tmp_path / "zeros").open("rb") as stream:
        digest = f"tarsum.v1+sha256:{tarsum.tarsums(stream).current}"
    upload = store.upload("a")
    upload.write(body)
    canonical = upload.finish(digest).canonical
    assert fetch(tmp_path / "good", digest).exit_code == 0
    store.driver.put(layout.blob(canonical), bytes(1024))
    assert f"expected digest {canonical}, the bytes are sha256:" in fetch(tmp_path / "bad", digest).stderr


@pytest.mark.usefixtures("damaged")
def test_fetch_of_a_damaged_layer_leaves_no_file(tmp_path: Path) -> None:
    """Bytes that are not what the digest says are an error, and no file."""
    result = fetch(tmp_path / "layer.tar")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"layerstore: error: expected digest {DIGEST}, the bytes are sha256:")
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("damaged")
def test_fetch_of_a_damaged_layer_keeps_the_old_file(tmp_path: Path) -> None:
    """A file is replaced by the right bytes only."""
    (tmp_path / "layer.tar").write_bytes(b"old")
    assert fetch(tmp_path / "layer.tar").exit_code == 1
    assert (tmp_path / "layer.tar").read_bytes() == b"old"


@pytest.mark.usefixtures("damaged")
def test_fetch_of_a_damaged_layer_to_standard_output_fails() -> None:
    """Where bytes cannot be taken back, the exit status tells."""
    assert fetch("-").exit_code == 1


@pytest.mark.usefixtures("store")
def test_fetch_that_is_interrupted_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal half way removes the draft, whose name tells what it was to become, and keeps the old file."""
    (tmp_path / "layer.tar").write_bytes(b"old")
    beside: list[str] = []

    def stopped(*_: object) -> int:
        beside.extend(sorted(os.listdir(tmp_path)))
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(Layer, "readinto", stopped)
    result = fetch(tmp_path / "layer.tar")
    assert (result.exit_code, result.stderr) == (143, "layerstore: error: interrupted by SIGTERM\n")
    assert re.fullmatch(r"\.layer\.tar\.[0-9a-f]{16}\.part", beside[0])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"layer.tar": b"old"}


@pytest.mark.usefixtures("store")
def test_fetch_replaces_a_file_by_one_of_the_usual_mode(tmp_path: Path) -> None:
    """The new file's mode is what the umask says, not a temporary file's."""
    (tmp_path / "layer.tar").write_bytes(b"old")
    before = os.umask(0o027)
    try:
        assert fetch(tmp_path / "layer.tar").exit_code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "layer.tar").stat().st_mode) == 0o640
    assert (tmp_path / "layer.tar").read_bytes() == BODY


@pytest.mark.usefixtures("store")
def test_fetch_through_a_symlink_replaces_what_it_points_to(tmp_path: Path) -> None:
    """A symlink stays one."""
    (tmp_path / "link").symlink_to("layer.tar")
    assert fetch(tmp_path / "link").exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "layer.tar").read_bytes() == BODY


@pytest.mark.usefixtures("store")
def test_fetch_to_a_device_writes_into_it(tmp_path: Path) -> None:
    """A FIFO or a device is written to, never replaced by a file."""
    fifo, received = tmp_path / "fifo", list[bytes]()
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()), daemon=True)
    reader.start()
    assert fetch(fifo).exit_code == 0
    reader.join(60)  # seconds, for never
    assert received == [BODY]
    assert fifo.is_fifo()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("", "Is a directory"),
        ("new/", "Is a directory"),
        (".", "Is a directory"),
        ("missing/layer.tar", "No such file or directory"),
        ("file/layer.tar", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_fetch_refuses_where_no_file_can_be(
    tmp_path: Path, output: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file that was asked for, and nothing is left."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    result = fetch(output)
    assert result.exit_code == 1
    assert result.stderr == f"layerstore: error: {output}: {why}\n".replace(" : ", " ")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.usefixtures("store")
def test_fetch_to_a_name_as_long_as_can_be(tmp_path: Path) -> None:
    """The draft's name does not grow beyond what a file system takes."""
    assert fetch(tmp_path / ("ü" * 127)).exit_code == 0


@pytest.mark.usefixtures("store")
def test_fetch_of_an_unknown_layer(tmp_path: Path) -> None:
    """An unknown layer is an error, and no file."""
    digest = "sha256:" + "0" * 64
    result = fetch(tmp_path / "layer.tar", digest)
    assert (result.exit_code, result.stderr) == (1, f"layerstore: error: repository a has no layer {digest}\n")
    assert os.listdir(tmp_path) == []

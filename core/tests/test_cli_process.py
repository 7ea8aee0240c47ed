"""The command line as a program: killed, interrupted, on a terminal, and with nobody listening."""

import fcntl
import hashlib
import io
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import IO

import pytest

import layerstore
from layerstore import LayerService
from layerstore.hashing import sha256
from layerstore_conformance.kit.observed import Counts, ObservedDriver

CHECKPOINT = 64 << 10
MIB = 1 << 20
BLOCKS = 2 * MIB + (336 << 10)
"""Bytes in the first blocks that a stream is read in; the next one ends beyond 2.5 MiB."""
DEADLINE = 60
"""Seconds after which what another process does is taken for never."""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def tar() -> bytes:
    """A real tar archive of about 3 MiB."""
    seeded, stream = random.Random(23), io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number in range(40):
            member = tarfile.TarInfo(f"usr/share/doc/file-{number}")
            member.size = seeded.randrange(150_000)
            archive.addfile(member, io.BytesIO(seeded.randbytes(member.size)))
    return stream.getvalue()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store that several processes share."""
    (tmp_path / "store").mkdir()
    return f"local://{tmp_path}/store"


@pytest.fixture
def store(url: str) -> LayerService:
    """The same store, by the side door."""
    return layerstore.open(url)


@pytest.fixture
def start(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start the program on the store; what hangs is killed, so that whoever waits for it fails instead."""
    monkeypatch.setenv("LAYERSTORE_URL", url)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is left in a buffer is part of what is tested
    started: list[tuple[subprocess.Popen[bytes], threading.Timer]] = []

    def start(
        *arguments: str, program: tuple[str, ...] = (), stdout: int | IO[bytes] = PIPE, stderr: int = PIPE
    ) -> "subprocess.Popen[bytes]":
        words = [*program, sys.executable, "-m", "layerstore", *arguments]
        process = subprocess.Popen(words, stdin=PIPE, stdout=stdout, stderr=stderr)
        watchdog = threading.Timer(DEADLINE, process.kill)
        watchdog.start()
        started.append((process, watchdog))
        return process

    yield start
    for process, watchdog in started:
        watchdog.cancel()
        process.kill()
        process.communicate()


def feed(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    """Write to a program's standard input, and leave that open."""
    stdin = pipe(process.stdin)
    stdin.write(data)
    stdin.flush()


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe that is there."""
    assert stream is not None
    return stream


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + DEADLINE
    while not reached():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.001)  # polling


def digest_of(data: bytes) -> str:
    """Return the digest of a layer."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def uuid_in(line: bytes) -> str:
    """Read the upload's id out of the line that says how to resume it."""
    words = line.decode().split()
    assert words[:4] == ["resume", "with:", "layerstore", "upload"]
    return words[words.index("--resume") + 1]


def read_terminal(master: int) -> bytes:
    """Read what a program has written to a terminal until it has let go of it."""
    data = bytearray()
    try:
        while chunk := os.read(master, 65_536):
            data += chunk
    except OSError:  # EIO: how Linux says that nobody has the other end open
        pass
    os.close(master)
    return bytes(data)


@pytest.mark.thorough
def test_an_upload_killed_at_twenty_moments_is_resumed_each_time(tar: bytes, store: LayerService, start: Start) -> None:
    """After SIGKILL at most a checkpoint is lost; in the end the layer is what was sent, byte for byte."""
    arguments = ["upload", "-", "--repo", "a", "--checkpoint", str(CHECKPOINT)]
    for fed in sorted(random.Random(24).sample(range(CHECKPOINT, len(tar)), 20)):
        process = start(*arguments)
        feed(process, tar[:fed])
        uuid = uuid_in(pipe(process.stderr).readline())
        kept = fed - fed % CHECKPOINT
        wait_until(lambda kept=kept: [info.offset for info in store.uploads()] == [kept])  # type: ignore[misc]
        process.kill()
        process.communicate()
        arguments[6:] = ["--resume", uuid]
    out, _ = start(*arguments).communicate(tar)
    assert out.decode() == digest_of(tar) + "\n"
    assert store.fetch("a", digest_of(tar)).read() == tar
    assert list(store.uploads()) == []


@pytest.mark.parametrize("after", [1, 5, 20])
def test_an_upload_killed_at_full_speed_is_resumed(
    tar: bytes, store: LayerService, start: Start, tmp_path: Path, after: int
) -> None:
    """Killed as soon as it tells of a checkpoint, whatever it does then, an upload keeps at least that."""
    (tmp_path / "layer.tar").write_bytes(tar)
    arguments = ["upload", str(tmp_path / "layer.tar"), "--repo", "a", "--checkpoint", str(CHECKPOINT), "--json"]
    process = start(*arguments)
    events = [json.loads(pipe(process.stderr).readline()) for _ in range(1 + after)]
    process.kill()
    process.communicate()
    assert events[-1]["offset"] == after * CHECKPOINT
    assert next(store.uploads()).offset >= after * CHECKPOINT
    out, _ = start(*arguments, "--resume", events[0]["uuid"]).communicate()
    assert json.loads(out)["digest"] == digest_of(tar)
    assert store.fetch("a", digest_of(tar)).read() == tar


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_upload_keeps_all_it_has_stored(
    tar: bytes, store: LayerService, start: Start, number: signal.Signals
) -> None:
    """A signal flushes, says how to resume, and exits with the status a shell knows it by."""
    process = start("upload", "-", "--repo", "a")
    feed(process, tar[: 5 * MIB // 2])  # more than a pipe holds beyond these blocks: they were read
    process.send_signal(number)
    _, err = process.communicate()
    error, resume, cancel = err.splitlines()
    assert process.returncode == 128 + number
    assert error == f"layerstore: error: interrupted by {number.name}".encode()
    assert cancel.startswith(b"cancel with: layerstore uploads cancel ")
    assert [(info.uuid, info.offset) for info in store.uploads()] == [(uuid_in(resume), BLOCKS)]


def test_an_upload_killed_before_its_first_checkpoint_leaves_no_upload(
    tar: bytes, store: LayerService, start: Start
) -> None:
    """Nobody was promised to find it again: it said nothing yet, it is not listed, and nothing of it is left."""
    process = start("upload", "-", "--repo", "a")
    feed(process, tar[: 5 * MIB // 2])
    process.kill()
    assert process.communicate() == (b"", b"")
    assert list(store.uploads()) == []
    assert kinds(store) == []
    out, err = start("upload", "-", "--repo", "a").communicate(tar)
    assert (out.decode(), err) == (digest_of(tar) + "\n", b"")
    assert kinds(store) == ["ok"]


def kinds(store: LayerService) -> list[str]:
    """Return what a scrub finds."""
    return [finding.kind for finding in store.scrub()]


@pytest.mark.skipif(not sha256.new().exportable, reason="no hash here whose state can be saved")
def test_an_interrupted_upload_is_resumed_without_reading_back(tar: bytes, store: LayerService, start: Start) -> None:
    """A signal leaves the hash state in order: nothing is read again."""
    process = start("upload", "-", "--repo", "a")
    feed(process, tar[: 5 * MIB // 2])
    process.send_signal(signal.SIGINT)
    process.communicate()
    counts = Counts.zero()
    upload = LayerService(ObservedDriver(store.driver, counts)).resume("a", next(store.uploads()).uuid)
    assert str(upload.digest()) == digest_of(tar[:BLOCKS])
    assert counts.bytes_read < MIB


def test_an_upload_that_is_to_ignore_sigint_ignores_it(tar: bytes, store: LayerService, start: Start) -> None:
    """Started in the background by a shell, a program has SIGINT ignored and goes on."""
    arguments = ["upload", "-", "--repo", "a", "--checkpoint", str(CHECKPOINT)]
    process = start(*arguments, program=("sh", "-c", 'trap "" INT; exec "$@"', "sh"))
    feed(process, tar[:CHECKPOINT])
    pipe(process.stderr).readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(tar[CHECKPOINT:])
    assert (process.returncode, out.decode()) == (0, digest_of(tar) + "\n")


def test_fetching_into_a_pipe_that_is_closed_is_quiet(tar: bytes, store: LayerService, start: Start) -> None:
    """``layerstore fetch -o - | head`` ends without a word, with the status of SIGPIPE."""
    upload = store.upload("a")
    upload.write(tar)
    upload.finish(digest_of(tar))
    process = start("fetch", digest_of(tar), "--repo", "a", "-o", "-")
    assert pipe(process.stdout).read(10) == tar[:10]
    pipe(process.stdout).close()
    assert pipe(process.stderr).read() == b""
    assert process.wait() == 141


def test_listing_into_a_pipe_that_is_closed_is_quiet(start: Start) -> None:
    """So do listings."""
    process = start("drivers")
    pipe(process.stdout).close()
    assert pipe(process.stderr).read() == b""
    assert process.wait() == 141


def test_an_error_is_told_where_stdout_is_closed(start: Start) -> None:
    """Without a stdout, errors and statuses are what they are."""
    process = start("--bogus", program=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert pipe(process.stderr).read().startswith(b"layerstore: error: No such option")
    assert process.wait() == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_under_stdout_is_a_failure(start: Start) -> None:
    """A listing that could not be written was not written."""
    with open("/dev/full", "wb") as full:
        process = start("drivers", stdout=full)
        assert pipe(process.stderr).read() == b"layerstore: error: No space left on device\n"
    assert process.wait() == 1


def test_a_bar_is_drawn_on_a_terminal(tar: bytes, start: Start, tmp_path: Path) -> None:
    """On a terminal there is a bar with size, rate and time; the line to resume with is whole; stdout stays clean."""
    (tmp_path / "layer.tar").write_bytes(tar)
    master, slave = pty.openpty()
    process = start("upload", str(tmp_path / "layer.tar"), "--repo", "a", "--checkpoint", "1M", stderr=slave)
    os.close(slave)
    drawn = read_terminal(master).decode()
    assert pipe(process.stdout).read().decode() == digest_of(tar) + "\n"
    assert re.search(r"resume with: layerstore upload \S+layer\.tar --repo a --resume [0-9a-f-]{36}\s*[\r\n]", drawn)
    assert "uploading" in drawn
    assert f"{len(tar) / MIB:.1f}/{len(tar) / MIB:.1f} MiB" in drawn
    assert "B/s" in drawn
    assert "0:00:" in drawn


def test_no_bar_is_drawn_in_a_pipe_or_for_machines(tar: bytes, start: Start) -> None:
    """In a pipe there is one line on stderr; for machines there is JSON, on a terminal too."""
    _, err = start("upload", "-", "--repo", "a", "--checkpoint", "1M").communicate(tar)
    assert err.count(b"\n") == 1
    master, slave = pty.openpty()
    process = start("upload", "-", "--repo", "a", "--checkpoint", "1M", "--json", stderr=slave)
    os.close(slave)
    process.communicate(tar)
    events = [json.loads(line)["event"] for line in read_terminal(master).splitlines()]
    assert events == ["started", *["checkpoint"] * (len(tar) // MIB)]


def test_a_table_is_drawn_on_a_terminal(tar: bytes, store: LayerService, start: Start) -> None:
    """On a terminal listings have a header, and however narrow it is no digest is cut short."""
    upload = store.upload("a")
    upload.finish(digest_of(b""))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    start("layers", stdout=slave)
    os.close(slave)
    drawn = read_terminal(master).decode()
    assert "repository" in drawn
    assert digest_of(b"") in drawn


def test_an_empty_table_is_told_of_on_a_terminal(url: str, start: Start) -> None:
    """Where somebody looks, nothing is said to be nothing; on stderr."""
    master, slave = pty.openpty()
    process = start("layers", stdout=slave)
    os.close(slave)
    assert read_terminal(master) == b""
    assert process.communicate()[1] == b"nothing to list\n"
    assert process.returncode == 0

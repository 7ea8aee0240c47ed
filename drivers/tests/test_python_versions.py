"""An upload begun under one Python is continued under another, with or without a hash that exports its state."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pluggy
import pytest

import layerstore
import layerstore_conformance
import layerstore_drivers
from layerstore_conformance.kit.payloads import Payload, digest

VERSIONS = ("3.11", "3.13")
SIZE, FIRST = 700_000, 300_000

WRITE = """\
import json, sys
from layerstore import LayerService, open_driver
from layerstore.hashing import sha256
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.observed import Counts, ObservedDriver

url, uuid, path, start, stop, digest = json.loads(sys.argv[1])
counts = Counts.zero()
service = LayerService(CheckedDriver(ObservedDriver(open_driver(url), counts)))
upload = service.resume("two/pythons", uuid) if uuid else service.upload("two/pythons")
assert upload.tell() == start
with open(path, "rb") as source:
    source.seek(start)
    upload.write(source.read(stop - start))
upload.close() if digest is None else upload.finish(digest).close()
print(json.dumps([upload.uuid, sys.version_info[:2], sha256.exportable(), counts.bytes_read]))
"""


def interpreter(version: str) -> str:
    """Find a Python of a version that runs, or skip."""
    name = f"python{version}"
    here = sys.executable if sys.version_info[:2] == tuple(map(int, version.split("."))) else None
    found = here or shutil.which(name)
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"{name} is not installed")
    return found


def run(version: str, hashes: str, job: list[object]) -> tuple[str, bool, int]:
    """Write a part of an upload in a new process, and return its uuid, whether states export there, and bytes read."""
    rooms = (layerstore, layerstore_conformance, layerstore_drivers, pluggy)
    roots = {str(Path(module.__file__ or "").parents[1]) for module in rooms}
    path = os.pathsep.join([*sorted(roots), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [interpreter(version), "-c", WRITE, json.dumps(job)],
        env={**os.environ, "PYTHONPATH": path, "LAYERSTORE_HASH": hashes},
        stdout=subprocess.PIPE,
        check=True,
    )
    uuid, ran_on, exportable, bytes_read = json.loads(done.stdout)
    assert ran_on == list(map(int, version.split(".")))
    return uuid, exportable, bytes_read


@pytest.mark.parametrize(("first", "second"), list(itertools.product(VERSIONS, repeat=2)))
@pytest.mark.parametrize("hashes", [("auto", "auto"), ("auto", "hashlib"), ("hashlib", "auto"), ("hashlib", "hashlib")])
def test_an_upload_is_continued_under_another_python(
    first: str, second: str, hashes: tuple[str, str], tmp_path: Path
) -> None:
    """Whichever Pythons and hash backends write its halves, an upload ends right, re-read only without a state."""
    content = Payload("pythons").read(SIZE)
    source = tmp_path / "layer"
    source.write_bytes(content)
    url = f"local:{tmp_path}/store"
    uuid, began, _ = run(first, hashes[0], [url, None, str(source), 0, FIRST, None])
    _, ended, bytes_read = run(second, hashes[1], [url, uuid, str(source), FIRST, SIZE, digest(content)])
    assert (bytes_read >= FIRST) is not (began and ended)
    with layerstore.open(url).fetch("two/pythons", digest(content)) as layer:
        assert layer.read() == content

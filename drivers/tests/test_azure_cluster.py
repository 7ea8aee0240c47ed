"""Three processes share one container: an upload goes on where another process left it, dead or half alive."""

import hashlib
import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

import pytest
from azure.storage.blob import ContainerClient

import layerstore
from layerstore import LayerService
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

pytestmark = pytest.mark.xdist_group("azurite")

_numbers = itertools.count()
DATA = random.Random(5).randbytes(300_000)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"

CHILD = """
import random, sys
from layerstore import LayerService, LayerStoreError, open_driver
data = random.Random(5).randbytes(300_000)
service = LayerService(open_driver(sys.argv[1]), verify=sys.argv[2])
for line in sys.stdin:
    try:
        exec(line)
        print(upload.tell(), upload.uuid, flush=True)
    except LayerStoreError as error:
        print(type(error).__name__, flush=True)
"""


class Process:
    """A node of the cluster, which follows its orders, line by line."""

    def __init__(self, url: str, verify: str) -> None:
        """Start it."""
        command = [sys.executable, "-c", CHILD, url, verify]
        path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.child = subprocess.Popen(command, env=path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, code: str) -> str:
        """Run a line of code, and return where the upload is, and which, or the name of an error."""
        self.tell(code)
        return self.hear()

    def tell(self, code: str) -> None:
        """Give it a line of code."""
        said = _pipe(self.child.stdin)
        said.write(f"{code}\n")
        said.flush()

    def hear(self) -> str:
        """Wait for what comes of it."""
        return _pipe(self.child.stdout).readline().strip()

    def signal(self, number: signal.Signals) -> None:
        """Stop it, let it go on, or kill it."""
        self.child.send_signal(number)
        if number is signal.SIGKILL:
            self.child.wait()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@pytest.fixture(params=["resume", "reread"])
def nodes(request: pytest.FixtureRequest, azurite: Azurite) -> Iterator[list[Process]]:
    """Start three processes on one container, with blocks of 10 kB."""
    account = {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    with ContainerClient(azurite.endpoint, f"cluster-{os.getpid()}-{next(_numbers)}", account) as container:
        container.create_container()
        url = azurite.url(container.container_name, block_size="10000")
        started = [Process(url, request.param) for _ in range(3)]
        yield started
        for process in started:
            process.child.communicate(timeout=60)
        service = LayerService(layerstore.open_driver(url))
        with service.fetch("repository", DIGEST) as layer:
            assert layer.read() == DATA
        service.close()
        container.delete_container()


BEGIN = "upload = service.upload('repository'); upload.write(data[:100_000]); upload.flush(); upload.write(data[:9999])"
RESUME = "upload = service.resume('repository', '{}')"
FINISH = f"upload.write(data[upload.tell():]); upload.finish('{DIGEST}')"


def test_an_upload_goes_from_one_process_to_the_next(nodes: list[Process]) -> None:
    """It is begun in one that is killed, continued in a second, and finished in a third."""
    first, second, third = nodes
    uuid = first(BEGIN).split()[1]
    first.signal(signal.SIGKILL)
    assert second(RESUME.format(uuid)) == f"100000 {uuid}"
    assert second("upload.write(data[100_000:200_000]); upload.flush()") == f"200000 {uuid}"
    assert third(RESUME.format(uuid)) == f"200000 {uuid}"
    assert third(FINISH) == "LayerClosedError"  # told of where the upload is, when it is finished


def test_a_process_that_is_half_alive_changes_nothing(nodes: list[Process]) -> None:
    """The first one is stopped in mid-upload and wakes when others have taken over: whatever it writes is refused."""
    first, second, third = nodes
    uuid = first(BEGIN).split()[1]
    first.signal(signal.SIGSTOP)
    first.tell("upload.write(b'late' * 9999); upload.flush()")
    assert second(RESUME.format(uuid)) == f"100000 {uuid}"
    first.signal(signal.SIGCONT)
    assert first.hear() == "FencedError"
    assert second("upload.write(data[100_000:200_000]); upload.flush()") == f"200000 {uuid}"
    assert first("upload.write(b'late' * 9999); upload.flush()") == "FencedError"
    assert third(RESUME.format(uuid)) == f"200000 {uuid}"
    assert second("upload.write(b'late' * 9999); upload.flush()") == "FencedError"
    assert third(FINISH) == "LayerClosedError"  # told of where the upload is, when it is finished
    assert first("upload.write(b'late' * 9999); upload.flush()") == "UnknownUploadError"

"""Azurite, the emulator, for tests: one server for a test run, on a free port of this machine.

::

    npm install --prefix ~/.cache/layerstore-azurite azurite@3.35.0
    LAYERSTORE_AZURITE=~/.cache/layerstore-azurite python -m layerstore_drivers.azure.emulator

prints the URL of a store, ``azure+emulator://...``, for ``layerstore conformance`` or anything else, and serves it
until it is interrupted. In a test, a fixture of the session does the same::

    @pytest.fixture(scope="session")
    def azurite():
        with Azurite() as server:
            yield server
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

from layerstore_drivers.azure.options import EMULATOR_ACCOUNT
from layerstore_drivers.emulated import ServerProcess

VARIABLE = "LAYERSTORE_AZURITE"
"""The environment variable with the path of azurite: the program, or the directory that npm installed it in."""

VERSION = "3.35.0"
"""The newest Azurite that runs on Node 20."""

BLOCK = 512 << 10
"""Bytes of a block in the printed URL: with larger ones the suite measures more memory than it allows."""

PATIENCE = 60
"""Seconds that a server may take to listen, on a machine that has much to do."""

LISTENS = re.compile(rb"successfully listens on http://127\.0\.0\.1:(\d+)\s")
"""Its message once it has the port, also with ``--silent``. An answer alone may come from another server."""

OPTIONS = ("--silent", "--skipApiVersionCheck", "--disableTelemetry", "--disableProductStyleUrl")
"""The SDK uses a newer API version than Azurite knows; and Azurite sends usage data, unless it is stopped."""


class EmulatorError(RuntimeError):
    """There is no Azurite to run, or it does not start."""


def find() -> str:
    """Return the program that serves blobs: at ``LAYERSTORE_AZURITE``, or else on ``PATH``.

    Raises:
        EmulatorError: there is none; the message says how to install it.
    """
    where = os.environ.get(VARIABLE, "")
    inside = [Path(where), *(Path(where) / name / "azurite-blob" for name in ("node_modules/.bin", "bin", "."))]
    for path in inside if where else ():
        if path.is_file():
            return str(path)
    found = None if where else shutil.which("azurite-blob")
    if not found:
        hint = f"npm install --prefix DIRECTORY azurite@{VERSION}, and set {VARIABLE}=DIRECTORY"
        raise EmulatorError(f"no azurite-blob {f'in {where}' if where else 'on PATH'}; {hint}")
    return found


class Azurite(ServerProcess):
    """A server; of data in memory, or in a directory, where a later server finds it again."""

    def __init__(self, directory: Path | None = None, port: int = 0) -> None:
        """Serve on a port, or with 0 on a free one; nothing is started yet."""
        super().__init__()
        self.directory = directory
        self.port = port

    @property
    def endpoint(self) -> str:
        """The URL of its account's blob service."""
        return f"http://127.0.0.1:{self.port}/{EMULATOR_ACCOUNT}"

    def url(self, container: str, prefix: str = "", **options: str) -> str:
        """Return the URL of a store."""
        path = f"{container}/{prefix}" if prefix else container
        query = "&".join(f"{name}={value}" for name, value in {"endpoint": self.endpoint, **options}.items())
        return f"azure+emulator://{path}?{query}"

    def start(self) -> Self:
        """Start it, and wait until it listens. Started again, it uses the port that it found free the first time.

        Raises:
            EmulatorError: it does not start; the message has its output, such as a port that is in use.
        """
        where = ["--location", str(self.directory)] if self.directory else ["--inMemoryPersistence"]
        command = [find(), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), *OPTIONS, *where]
        with TemporaryFile() as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                self.port = _port(self._process, output.fileno())
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stop it; stopping again does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def restart(self) -> None:
        """Stop it, and start it again on the same port."""
        self.stop()
        self.start()


def _port(process: subprocess.Popen[bytes], output: int) -> int:
    """Wait until the server's output says that it listens, and return the port."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ended = process.poll() is not None or time.monotonic() > deadline
        said = os.pread(output, 1 << 16, 0)  # not from the position, which is the server's too
        if found := LISTENS.search(said):
            return int(found[1])
        if ended:
            raise EmulatorError(f"azurite does not start: {said.decode(errors='replace').strip()[-500:] or 'no word'}")
        time.sleep(0.05)


def main() -> None:
    """Serve a store until interrupted, and print its URL."""
    with Azurite() as server:
        server.serve(server.url("layerstore", create_container="true", block_size=str(BLOCK)))


if __name__ == "__main__":
    main()

"""docs/registry.md does what it says: a newcomer types it, from nothing to an image that was pushed and pulled."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.serving import environment
    from tests.test_registry_clients import program
else:
    from serving import environment
    from test_registry_clients import program

PAGE = Path(__file__).parents[2] / "docs" / "registry.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the tests run without their repository")


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_page_leads_to_an_image_that_was_pushed_and_pulled(tmp_path: Path) -> None:
    """Every block is typed, in order and in one directory; the first serves until the end."""
    for name in ("buildah", "skopeo"):
        program(name)
    port = free_port()
    server, *blocks = [block.replace("5000", str(port)) for block in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
    settings = tmp_path / ".config" / "containers"
    settings.mkdir(parents=True)
    (settings / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    place = f"--root {tmp_path}/root --runroot {tmp_path}/run --storage-driver vfs"
    typed = f'layerstore() {{ {sys.executable} -m layerstore "$@"; }}\nbuildah() {{ command buildah {place} "$@"; }}\n'
    words = server.split()
    assert words[:2] == ["layerstore", "serve"]
    with subprocess.Popen(
        [sys.executable, "-m", *words], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert "whoever reaches it may do everything" in process.stderr.readline()
            listed = ""
            for block in blocks:
                done = subprocess.run(
                    ["bash", "-euc", typed + block],
                    cwd=tmp_path,
                    env={**environment(), "HOME": str(tmp_path)},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, done.stderr
                listed = done.stdout
            assert (tmp_path / "copy" / "index.json").exists()
            assert "demo/hello" in listed
        finally:
            process.terminate()

"""Real clients: skopeo and buildah, and the reference registry on the same directory."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

if TYPE_CHECKING:
    from tests.registry_client import LAYER, OCI_IMAGE, OCI_INDEX, described, digest, dumped, image, index
    from tests.round_robin import round_robin
    from tests.serving import Node, serving
else:
    from registry_client import LAYER, OCI_IMAGE, OCI_INDEX, described, digest, dumped, image, index
    from round_robin import round_robin
    from serving import Node, serving

SIZE = 3_000_001
DEADLINE = 60.0
"""Seconds until a registry must answer."""


def program(name: str) -> str:
    """Find a program; where CI runs, it has installed it."""
    found = shutil.which(name)
    if found is None:
        assert "LAYERSTORE_CI" not in os.environ, f"CI has to install {name}"
        pytest.skip(f"{name} (Debian's package of that name) is not installed")
    return found


def told(*words: str | Path) -> str:
    """Run a program, and return what it writes."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo(*words: str | Path) -> str:
    """Run skopeo without signatures and without TLS."""
    command, *rest = words
    flags = {
        "copy": ["--src-tls-verify=false", "--dest-tls-verify=false", "--retry-times=5"],
        "inspect": ["--tls-verify=false"],
        "list-tags": ["--tls-verify=false"],
        "delete": ["--tls-verify=false"],
    }
    return told(program("skopeo"), "--insecure-policy", command, *flags[str(command)], *rest)


def blob(folder: Path, data: bytes) -> bytes:
    """Put something into a layout."""
    place = folder / "blobs" / "sha256" / digest(data)[7:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return data


def an_image(folder: Path, architecture: str) -> bytes:
    """Put an image into a layout, and return its manifest."""
    content = random.Random(architecture).randbytes(SIZE)
    layer = blob(folder, gzip.compress(content, 1, mtime=0))
    config = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(content)]}}
    manifest = image(blob(folder, dumped(config)), layer).replace(LAYER.encode(), f"{LAYER}+gzip".encode())
    return blob(folder, manifest)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Make an OCI layout."""
    return a_layout(tmp_path / "layout")


def a_layout(folder: Path) -> Path:
    """Make an OCI layout: an image, and an index of two."""
    one, other = an_image(folder, "amd64"), an_image(folder, "arm64")
    many = json.loads(index(one, other))
    for child, architecture in zip(many["manifests"], ("amd64", "arm64"), strict=True):
        child["platform"] = {"architecture": architecture, "os": "linux"}
    entries: list[dict[str, Any]] = [
        described(one, OCI_IMAGE, annotations={"org.opencontainers.image.ref.name": "one"}),
        described(blob(folder, dumped(many)), OCI_INDEX, annotations={"org.opencontainers.image.ref.name": "many"}),
    ]
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_bytes(dumped({"schemaVersion": 2, "manifests": entries}))
    return folder


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Serve a store."""
    with serving(store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        yield node


def assert_whole(pulled: Path, layout: Path) -> None:
    """Compare what came back with what was pushed."""
    there = {path.name for path in (layout / "blobs/sha256").iterdir()}
    assert {path.name for path in (pulled / "blobs/sha256").iterdir()} == there
    for path in (pulled / "blobs/sha256").iterdir():
        assert digest(path.read_bytes()) == f"sha256:{path.name}"


def test_skopeo_pushes_and_pulls(node: Node, layout: Path, tmp_path: Path) -> None:
    """An image, and an index with all that is in it: the same bytes come back."""
    for tag in ("one", "many"):
        skopeo("copy", "--all", f"oci:{layout}:{tag}", f"docker://{node.host}/demo/app:{tag}")
        skopeo("copy", "--all", f"docker://{node.host}/demo/app:{tag}", f"oci:{tmp_path / 'back'}:{tag}")
    assert_whole(tmp_path / "back", layout)


def test_skopeo_lists_inspects_and_deletes(node: Node, layout: Path) -> None:
    """What was pushed; what was deleted is gone."""
    for tag in ("a", "b"):
        skopeo("copy", f"oci:{layout}:one", f"docker://{node.host}/demo/app:{tag}")
    assert json.loads(skopeo("list-tags", f"docker://{node.host}/demo/app"))["Tags"] == ["a", "b"]
    assert json.loads(skopeo("inspect", f"docker://{node.host}/demo/app:a"))["Architecture"] == "amd64"
    skopeo("delete", f"docker://{node.host}/demo/app:a")
    assert json.loads(node.request("GET", "/v2/demo/app/tags/list").body)["tags"] == []


def test_skopeo_converts_and_mounts(node: Node, layout: Path) -> None:
    """To Docker's own kind of manifest; and a copy into another repository sends no layer again."""
    skopeo("copy", "--format=v2s2", f"oci:{layout}:one", f"docker://{node.host}/demo/app:docker")
    answer = node.request("GET", "/v2/demo/app/manifests/docker")
    assert answer.headers["Content-Type"] == "application/vnd.docker.distribution.manifest.v2+json"
    skopeo("copy", f"docker://{node.host}/demo/app:docker", f"docker://{node.host}/other/app:docker")
    assert node.request("GET", "/v2/other/app/manifests/docker").body == answer.body


def test_skopeo_logs_in(layout: Path, tmp_path: Path) -> None:
    """By a user of a file; without one, or as one who may only pull, it is refused to push."""
    users = tmp_path / "users"
    lines = [f"{name}:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}" for name in ("writer", "reader")]
    users.write_text("\n".join(lines))
    words = ["--htpasswd", str(users), "--read-only-user", "reader", "--anonymous-pull", "--access-log", "json"]
    with serving(*words, store=f"local:{tmp_path / 'store'}", log=tmp_path / "log") as node:
        target = f"docker://{node.host}/demo/app:one"
        skopeo("copy", "--dest-creds=writer:secret", f"oci:{layout}:one", target)
        for flags in (["--dest-creds=reader:secret"], ["--dest-creds=writer:wrong"], []):
            with pytest.raises(AssertionError, match=r"(?i)unauthorized|denied|may not"):
                skopeo("copy", *flags, f"oci:{layout}:many", f"docker://{node.host}/demo/app:two")
        skopeo("copy", "--src-creds=reader:secret", target, f"oci:{tmp_path / 'back'}:one")
        skopeo("copy", target, f"oci:{tmp_path / 'back'}:two")
    told = (tmp_path / "log").read_text() + "".join(node.lines)
    assert '"user": "writer"' in told
    assert "secret" not in told


def test_skopeo_pushes_through_three_nodes(layout: Path, tmp_path: Path) -> None:
    """Each of its connections goes to another."""
    with ExitStack() as stack:
        store = f"local:{tmp_path / 'store'}"
        nodes = [stack.enter_context(serving(store=store, log=tmp_path / f"log{each}")) for each in range(3)]
        proxy = stack.enter_context(round_robin([each.url for each in nodes]))
        skopeo("copy", "--all", f"oci:{layout}:many", f"docker://{proxy.host}/demo/app:many")
        nodes[1].process.kill()
        skopeo("copy", "--all", f"docker://{proxy.host}/demo/app:many", f"oci:{tmp_path / 'back'}:many")
    assert_whole(tmp_path / "back", layout)


def test_buildah_builds_pushes_and_pulls(node: Node, tmp_path: Path) -> None:
    """An image of a file; what it pulls holds the file."""
    (tmp_path / "file").write_bytes(b"content" * 100_000)
    (tmp_path / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def buildah(*words: str) -> str:
        place = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]
        return told(program("buildah"), *place, *words).strip()

    policy = f"--signature-policy={tmp_path / 'policy.json'}"
    container = buildah("from", policy, "scratch")
    buildah("add", container, str(tmp_path / "file"), "/file")
    built = buildah("commit", policy, "--rm", container, "demo")
    buildah("push", policy, "--tls-verify=false", built, f"docker://{node.host}/demo/built:v1")
    buildah("rmi", "--all", "--force")
    buildah("pull", policy, "--tls-verify=false", f"docker://{node.host}/demo/built:v1")
    container = buildah("from", policy, "--pull-never", f"{node.host}/demo/built:v1")
    mounted = Path(buildah("mount", container))
    assert (mounted / "file").read_bytes() == b"content" * 100_000


CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def reference(root: Path, config: Path) -> Iterator[str]:
    """Serve a directory by the reference registry, and tell where."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config.write_text(CONFIGURATION.format(root=root, port=port))
    words = [program("docker-registry"), "serve", str(config)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def _await(port: int) -> None:
    give_up = time.monotonic() + DEADLINE
    while time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), DEADLINE).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    pytest.fail("docker-registry does not start")


def test_the_reference_registry_serves_what_was_pushed_here_and_the_other_way(
    node: Node, layout: Path, tmp_path: Path
) -> None:
    """On one directory: images and indexes, by either, and each lists the other's tags."""
    with reference(tmp_path / "store", tmp_path / "config.yml") as other:
        for first, second, name in ((node.host, other, "ours"), (other, node.host, "theirs")):
            skopeo("copy", "--all", f"oci:{layout}:many", f"docker://{first}/{name}:many")
            skopeo("copy", f"oci:{layout}:one", f"docker://{first}/{name}:one")
            for tag in ("one", "many"):
                skopeo("copy", "--all", f"docker://{second}/{name}:{tag}", f"oci:{tmp_path / name}:{tag}")
            listed = json.loads(skopeo("list-tags", f"docker://{second}/{name}"))["Tags"]
            assert sorted(listed) == ["many", "one"]
        assert json.loads(node.request("GET", "/v2/_catalog").body)["repositories"] == ["ours", "theirs"]


def test_what_either_deletes_is_gone_for_both(node: Node, layout: Path, tmp_path: Path) -> None:
    """A manifest, by its digest, with its tags."""
    with reference(tmp_path / "store", tmp_path / "config.yml") as other:
        for first, second, name in ((node.host, other, "ours"), (other, node.host, "theirs")):
            skopeo("copy", f"oci:{layout}:one", f"docker://{first}/{name}:one")
            skopeo("delete", f"docker://{second}/{name}:one")
            for each in (node.host, other):
                with pytest.raises(AssertionError, match=r"(?i)manifest unknown|no manifest"):
                    skopeo("inspect", f"docker://{each}/{name}:one")

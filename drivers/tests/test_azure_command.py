"""The command line on Azurite: as on local, and one clear line for what goes wrong on the way there."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas

from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

pytestmark = pytest.mark.xdist_group("azurite")

ACCOUNT = "devstoreaccount1"
CREDENTIAL = {"account_name": ACCOUNT, "account_key": EMULATOR_KEY}
DATA = b"a layer\n" * 1000
DIGEST = f"sha256:{sha256(DATA).hexdigest()}"


def run(url: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run a command on a store, in a process of its own, with no variable of Azure's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AZURE_")}
    command = [sys.executable, "-m", "layerstore", *arguments, "--store", url]
    done = subprocess.run(command, input=DATA, capture_output=True, timeout=120, check=False, env=environment)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def store(azurite: Azurite) -> Iterator[str]:
    """Return the URL of a store in a container of its own."""
    with ContainerClient(azurite.endpoint, "command", CREDENTIAL) as container:
        container.create_container()
        yield azurite.url("command")
        container.delete_container()


def refused(url: str) -> str:
    """Return the one line that an upload to a store ends with."""
    done = run(url, "upload", "-", "--repo", "a", check=False)
    told = done.stderr.decode().strip()
    assert done.returncode != 0
    assert len(told.splitlines()) == 1, told
    return told


def test_a_layer_is_uploaded_and_fetched(store: str, tmp_path: Path) -> None:
    """A layer that one process uploads is fetched by another one, byte for byte."""
    run(store, "upload", "-", "--repo", "a")
    target = tmp_path / "layer"
    run(store, "fetch", DIGEST, "--repo", "a", "-o", str(target))
    assert target.read_bytes() == DATA


def test_an_upload_is_listed_and_cancelled(store: str) -> None:
    """An upload that was refused for its digest is kept, listed, and gone when it is cancelled."""
    wrong = f"sha256:{'0' * 64}"
    assert run(store, "upload", "-", "--repo", "b", "--digest", wrong, check=False).returncode != 0
    (upload,) = map(json.loads, run(store, "uploads", "list", "--json").stdout.splitlines())
    run(store, "uploads", "cancel", upload["uuid"], "--repo", "b")
    assert run(store, "uploads", "list", "--json").stdout == b""


def test_a_scrub_finds_what_is_damaged(azurite: Azurite, store: str) -> None:
    """A layer is scrubbed clean, and found when its blob holds other bytes."""
    run(store, "upload", "-", "--repo", "a")
    run(store, "scrub")
    with ContainerClient(azurite.endpoint, "command", CREDENTIAL) as container:
        (name,) = (each for each in container.list_blob_names() if each.endswith(f"{DIGEST[7:]}/data"))
        container.upload_blob(name, b"other", overwrite=True)
    done = run(store, "scrub", check=False)
    assert done.returncode == 1
    assert DIGEST[7:].encode() in done.stdout


def test_a_wrong_key_is_told_in_one_line(azurite: Azurite) -> None:
    """With a wrong key the message says that access is denied, and the key is not printed."""
    told = refused(azurite.url("command", account_key="c2VjcmV0"))
    assert "denied" in told
    assert "c2VjcmV0" not in told


def test_a_missing_container_is_told_in_one_line(azurite: Azurite) -> None:
    """A container that is not there is named as what is missing; it is no missing layer."""
    assert "ContainerNotFound" in refused(azurite.url("missing"))


def test_no_network_is_told_in_one_line() -> None:
    """If nobody answers, the message says so."""
    endpoint = f"http://127.0.0.1:9/{ACCOUNT}"
    assert "refused" in refused(f"azure+emulator://command?endpoint={endpoint}&retries=0").lower()


def test_an_expired_signature_is_told_in_one_line(azurite: Azurite, store: str) -> None:
    """A signature whose time is over is a denied access, and is not printed."""
    past = datetime.now(UTC) - timedelta(hours=1)
    every = ContainerSasPermissions(read=True, write=True, create=True, list=True)
    token = generate_container_sas(ACCOUNT, "command", account_key=EMULATOR_KEY, permission=every, expiry=past)
    told = refused(azurite.url("command", sas_token=token.replace("%", "%25").replace("&", "%26")))
    assert "denied" in told
    assert "sig" not in told

"""The leftovers of a killed process, of an upload that it had never flushed."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import ContainerClient

import layerstore
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

pytestmark = pytest.mark.xdist_group("azurite")

KILLED = """
import os, signal, sys
import layerstore
upload = layerstore.open(sys.argv[1]).upload("a/b")
upload.write(bytes(3 << 20))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_upload_that_was_never_flushed_is_told_and_purged(azurite: Azurite) -> None:
    """Its key is reserved by a blob that no listing shows: a scrub tells of a leftover, and a purge takes it."""
    account = {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    with ContainerClient(azurite.endpoint, f"unpublished-{uuid.uuid4().hex}", account) as container:
        container.create_container()
        url = azurite.url(container.container_name)
        done = subprocess.run([sys.executable, "-c", KILLED, url], check=False, timeout=120)
        assert done.returncode == -9
        store = layerstore.open(url)
        assert len(list(container.list_blobs())) == 1
        assert (list(store.repositories()), list(store.uploads())) == ([], [])
        (found,) = store.scrub()
        assert (found.kind, found.harmful) == ("leftover", False)
        assert len(store.purge(timedelta(days=7)).kept) == 1
        assert len(store.purge(timedelta(days=7), now=datetime.now(UTC) + timedelta(days=8)).removed) == 1
        assert list(container.list_blobs()) == []
        container.delete_container()

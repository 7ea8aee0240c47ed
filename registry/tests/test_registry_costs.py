"""What requests ask of the store: an exact number of calls, which says when one becomes dearer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from layerstore import LayerService

if TYPE_CHECKING:
    from tests.registry_client import NAME, Client, digest
else:
    from registry_client import NAME, Client, digest

DATA = b"x" * 10_000
CALLS = ("open_reader", "open_writer", "put", "stat", "list", "move", "delete")


@pytest.fixture
def calls(client: Client, store: LayerService, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is asked of the store's driver, when the repository has been used before."""
    client.push_blob(b"first")
    counted: Counter[str] = Counter()

    def counting(name: str) -> Any:
        real = getattr(store.driver, name)

        def call(*args: Any, **more: Any) -> Any:
            counted[name] += 1
            return real(*args, **more)

        return call

    for name in CALLS:
        monkeypatch.setattr(store.driver, name, counting(name))
    return counted


def test_a_small_push_costs_eleven_calls(client: Client, calls: Counter[str]) -> None:
    """Three of them puts: the upload, the blob, the link; and two deletes."""
    client.push_blob(DATA)
    assert calls == {"put": 3, "delete": 2, "open_reader": 1, "stat": 3, "list": 2}


def test_a_pull_costs_three_calls(client: Client, calls: Counter[str]) -> None:
    """The link, its time, and the blob."""
    path = f"/v2/{NAME}/blobs/{client.push_blob(DATA)}"
    calls.clear()
    assert client.get(path).data == DATA
    assert calls == {"open_reader": 2, "stat": 1}
    calls.clear()
    assert client.get(path.replace(digest(DATA), digest(b"none"))).status_code == 404
    assert calls == {"open_reader": 1}

"""A short soak: clients that push and pull, collection and purge beside them, and nodes that are killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.serving import eventually
    from tests.soak import Soak, run
else:
    from serving import eventually
    from soak import Soak, run

KILLS, REQUESTS = 4, 400


def test_what_was_promised_is_there_whatever_was_killed_and_collected(tmp_path: Path) -> None:
    """Every image that was answered by 201 pulls, and is what its digests say; nothing is left that a purge leaves."""
    kills = 0

    def wait(soak: Soak) -> bool:
        nonlocal kills
        eventually(lambda: soak.wrong or soak.counts["requests"] > (kills + 1) * REQUESTS)
        kills += 1
        return kills <= KILLS and not soak.wrong

    found = run(tmp_path, clients=6, nodes=3, pause=0.1, wait=wait)
    assert (found["wrong"], found["left"]) == ([], [])
    assert found["nodes killed"] == KILLS
    assert all(found[each] for each in ("images", "blobs", "collections"))

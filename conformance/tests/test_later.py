"""Later: in the block it is later for a driver's own code, and for nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from layerstore import open_driver
from layerstore_conformance.kit.later import later


def test_it_is_later_for_the_driver_in_the_block_alone() -> None:
    """What it stores in the block bears a later time, of the same class, and what it stores afterwards the true one."""
    driver = open_driver("memory://later")
    with later(driver, timedelta(days=2)):
        driver.put("later", b"")
        here = datetime.now(UTC)
    driver.put("now", b"")
    ahead = driver.stat("later").modified - here
    assert timedelta(days=1) < ahead < timedelta(days=3)
    assert type(driver.stat("later").modified) is datetime
    assert abs(driver.stat("now").modified - here) < timedelta(days=1)

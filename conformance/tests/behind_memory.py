"""Changes of a store in memory that no other program can make: the proof makes them, to find planted defects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from layerstore import open_driver
from layerstore_conformance.harness import How, changed


def tampering(url: str) -> Callable[[str, How], None]:
    """Return what changes the objects of a store in memory; quietly means that the time stays."""

    def tamper(key: str, how: How) -> None:
        with closing(open_driver(url)) as driver:
            if how == "make":
                driver.put(key, changed(b"", how) or b"")
                return
            store: Any = driver.inner._store  # type: ignore[attr-defined]  # the driver in memory has one
            before = store.objects[key]
            data = changed(driver.get(key, before.size), how)
            if data is None or how.startswith("remake"):
                driver.delete(key)
            if data is not None:
                driver.put(key, data)
            if how == "replace-quietly":
                store.objects[key] = replace(store.objects[key], modified=before.modified)

    return tamper

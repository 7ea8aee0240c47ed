"""The driver under test: whether its store can be used at all, and its description for reports."""

from __future__ import annotations

import importlib.metadata
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, TypedDict

from layerstore import AccessDeniedError, BackendUnavailableError, NoSpaceError, StoreURL
from layerstore.registry import Registry
from layerstore.unwritten import named
from layerstore_conformance.engine.context import though_interrupted
from layerstore_conformance.engine.declared import nonsense
from layerstore_conformance.harness import OFFERS
from layerstore_conformance.kit.keys import ROOT
from layerstore_conformance.kit.unwritten import unwritten

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.harness import Harness


class Subject(TypedDict):
    """The description of a driver in reports."""

    scheme: str
    distribution: str
    """Empty if no installed distribution has it."""
    version: str
    """Of the distribution."""
    driver_class: str
    url: str
    """Without options; empty if the harness has a factory."""
    capabilities: dict[str, bool]
    harness: list[str]
    """The offers of the harness: those of :data:`layerstore_conformance.harness.OFFERS` that it has."""


class UnusableStoreError(Exception):
    """No scenario can be run: there is no store, or it cannot be opened, or it cannot be written to."""


def examine(harness: Harness) -> Subject:
    """Open the store, write to it, delete that, and return the driver's description.

    Raises:
        UnusableStoreError: it cannot be opened, refuses access, has no space or is not there, or the driver declares
            what makes no sense. Scenarios find any other error.
    """
    try:
        driver = harness.open()
    except Exception as error:
        parts = unwritten(error)
        if parts:
            raise UnusableStoreError(f"next: implement {named(parts[0])}; every scenario depends on it") from error
        raise UnusableStoreError(f"the store does not open: {type(error).__name__}: {error}") from error
    try:
        if said := nonsense(driver.capabilities):
            raise UnusableStoreError(f"the driver's declaration makes no sense: {said}")
        _write(driver)
        return _subject(harness, driver)
    finally:
        driver.close()


def _write(driver: CheckedDriver) -> None:
    try:
        with _put(driver):
            pass
    except (AccessDeniedError, BackendUnavailableError, NoSpaceError) as error:
        raise UnusableStoreError(f"the store cannot be written to: {type(error).__name__}: {error}") from error
    except Exception:  # noqa: BLE001, S110  (a defect: scenarios find it)
        pass


@contextmanager
def _put(driver: CheckedDriver) -> Iterator[str]:
    """Put an object for the time of the block, and yield its key."""
    key = f"{ROOT}/first-{uuid.uuid4().hex}"
    try:
        driver.put(key, b"written before the first scenario, to see whether the store is there")
        yield key
    finally:
        though_interrupted(lambda: driver.delete(key))


def expect_one_store(harness: Harness) -> None:
    """Check that two openings of the store share its objects: scenarios open it again and again.

    Raises:
        UnusableStoreError: they do not, and every scenario would fail for it. Scenarios find any other error.
    """
    if not _is_one_store(harness):
        what_to_do = (
            "have the harness's factory open the same store every time"
            if harness.url is None
            else "give the URL of one that can be opened again, by a name if it can have one: "
            f"{StoreURL.parse(harness.url).scheme}://NAME"
        )
        raise UnusableStoreError(f"every opening is a store of its own, which does not see the others: {what_to_do}")


def _is_one_store(harness: Harness) -> bool:
    with suppress(Exception), closing(harness.open()) as driver, closing(harness.open()) as other, _put(driver) as key:
        return driver.find(key) is None or other.find(key) is not None
    return True


def _subject(harness: Harness, driver: CheckedDriver) -> Subject:
    kind = type(driver.inner)
    capabilities = driver.capabilities
    distribution, version = _distribution(driver.scheme, kind.__module__)
    return {
        "scheme": driver.scheme,
        "distribution": distribution,
        "version": version,
        "driver_class": f"{kind.__module__}.{kind.__qualname__}",
        "url": str(StoreURL.parse(harness.url)) if harness.url else "",
        "capabilities": {name: getattr(capabilities, name) for name in ("nested_keys", "shared", "durable")},
        "harness": sorted(harness.declared(capabilities) & OFFERS),
    }


def _distribution(scheme: str, module: str) -> tuple[str, str]:
    """Return the distribution of the driver, by its claim to the scheme or by its module, and the version."""
    for claim in Registry().drivers():
        if (claim.scheme == scheme.partition("+")[0] or claim.module == module) and not claim.shadowed:
            return claim.distribution, claim.version
    names = importlib.metadata.packages_distributions().get(module.partition(".")[0], [])
    return (names[0], importlib.metadata.version(names[0])) if names else ("", "")

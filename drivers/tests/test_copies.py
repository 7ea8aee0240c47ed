"""No copy of a handle is made, and nothing half made gives back what another one holds; on every driver here."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import layerstore
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_drivers.azure.emulator import Azurite

DATA = Payload("copies").read(700_000)
MORE = Payload("more").read(5000)

numbers = itertools.count()


@pytest.fixture(params=["memory", "local", "pyfs+mem", "pyfs+temp", "azure"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name a store of each driver."""
    if request.param == "azure":
        azurite: Azurite = request.getfixturevalue("azurite")
        return azurite.url(f"copies-{next(numbers)}", create_container="true", block_size="262144")
    if request.param.startswith("pyfs") and not find_spec("fs"):
        pytest.skip("without the extra")
    return {"memory": "memory:", "local": f"local://{tmp_path}/store"}.get(request.param, f"{request.param}://")


@dataclass
class Holder:
    """Something of a user's own that holds a handle."""

    held: object


COPIES: dict[str, Callable[[Any], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "asdict": lambda held: asdict(Holder([held])),
}


def half_made(held: Any) -> None:  # noqa: ANN401  (any kind)
    """Make one without its constructor, with no attributes and with the original's, and let it be collected."""
    for attributes in (dict[str, Any](), vars(held)):
        half = held.__new__(type(held))
        vars(half).update(attributes)
        del half
        gc.collect()


def handles(driver: CheckedDriver) -> dict[str, Any]:
    """Open a handle of each kind; writers of a new object, and of one that is appended to or changed."""
    for key in ("read", "appended", "changed"):
        driver.put(key, DATA)
    made = {key: driver.open_writer(key) for key in ("new", "appended", "changed")}
    made["changed"].seek(10)
    for writer in made.values():
        writer.write(MORE)
    reader = driver.open_reader("read")
    assert reader.read(10) == DATA[:10]
    return {**made, "read": reader, "checked": driver, "driver": driver.inner}


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_no_copy_takes_anything_from_a_drivers_handles(url: str) -> None:
    """Copying is refused, whatever is half made is collected, and every handle goes on to its end."""
    driver = layerstore.open_driver(url)
    made = handles(driver)
    for held in made.values():
        for how in COPIES.values():
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                how(held)
        half_made(held)
    assert made["read"].read() == DATA[10:]
    for key in ("new", "appended", "changed"):
        made[key].close()
    wanted = {"new": MORE, "appended": DATA + MORE, "changed": DATA[:10] + MORE + DATA[10 + len(MORE) :]}
    assert {key: driver.get(key, 1 << 20) for key in wanted} == wanted
    driver.close()


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_no_copy_of_an_upload_mixes_bytes_of_two(url: str) -> None:
    """After a refused copy of one upload, another one that is begun gets none of its bytes, nor gives any."""
    with layerstore.open(url) as store:
        first = store.upload("a")
        first.write(DATA)
        for how in COPIES.values():
            with pytest.raises(TypeError, match="a LayerUpload cannot be copied or pickled"):
                how(first)
        half_made(first)
        second = store.upload("a")
        second.write(MORE)
        first.write(DATA)
        assert second.finish(digest(MORE)).read() == MORE
        layer = first.finish(digest(DATA + DATA))
        assert layer.read(10) == DATA[:10]
        for how in COPIES.values():
            with pytest.raises(TypeError, match="a Layer cannot be copied or pickled"):
                how(layer)
        half_made(layer)
        assert layer.read() == DATA[10:] + DATA
        layer.close()

"""What a driver declares is checked for sense before it is used, and the message says what is wrong."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from layerstore import open_driver
from layerstore.driver import Capabilities, Driver
from layerstore_conformance.engine.subject import UnusableStoreError, examine
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.passing import PassingDriver

DURABLE = Capabilities(nested_keys=True, shared=False, durable=True)


def declaring(capabilities: Any) -> Harness:  # noqa: ANN401  (nonsense, too)
    """Make a store whose driver declares something."""

    def factory() -> Driver:
        driver = PassingDriver(open_driver("memory://declared"))
        driver.capabilities = capabilities
        return driver

    return Harness(factory=factory)


NONSENSE: dict[str, dict[str, Any]] = {
    "a terabyte": {"memory": 1 << 40},
    "no memory": {"memory": 0},
    "less than nothing": {"memory": -1},
    "less than layerstore's own": {"memory": 1 << 20},
    "half a byte": {"memory": 1e7},
    "memory that is a word": {"memory": "16 MiB"},
    "memory that is a flag": {"memory": True},
    "a number for a flag": {"shared": 1},
    "nothing for a flag": {"nested_keys": None},
    "a bound of what has none": {"durable": False, "memory": 32 << 20},
}


@pytest.mark.parametrize("given", NONSENSE.values(), ids=NONSENSE)
def test_a_declaration_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    """No scenario is run, and none fills the memory: one line names what is declared."""
    with pytest.raises(UnusableStoreError) as refused:
        examine(declaring(replace(DURABLE, **given)))
    name = list(given)[-1]
    assert f"makes no sense: {name}={given[name]!r} is declared" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_makes_sense_is_taken() -> None:
    """The least bound, the usual one, and the most."""
    for memory in (6 << 20, 16 << 20, 1 << 30):
        assert examine(declaring(replace(DURABLE, memory=memory)))["capabilities"]["durable"]


@pytest.mark.parametrize("scale", [0, -1, nan, inf, 1e6])
def test_a_scale_that_would_fill_the_memory_is_refused(scale: float) -> None:
    """A scale makes scenarios smaller, and never larger."""
    with pytest.raises(ValueError, match="scale must be above 0, and at most 1"):
        Harness("memory://declared", scale=scale)

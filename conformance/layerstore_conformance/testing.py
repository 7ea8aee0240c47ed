"""The suite's own tools, for a driver author's tests; docs/testing.md shows each at work.

The names here are public: they change only with a major version, as the driver contract does, and the changelog says
so. The modules that they come from are not public, and their names may change with any release.
"""

from layerstore_conformance.faults.faulty import FaultyDriver
from layerstore_conformance.faults.plan import KINDS, Fault, FaultPlan
from layerstore_conformance.harness import Harness, How, SideDoor, changed
from layerstore_conformance.kit.payloads import Payload, difference, digest, expect_same
from layerstore_conformance.kit.renaming import renaming
from layerstore_conformance.kit.requests import Requests
from layerstore_conformance.other_programs import littering, tampering
from layerstore_conformance.promises.forkserver import ExitRecord, ForkServer, Plan
from layerstore_conformance.promises.killing import CutPoint
from layerstore_conformance.promises.lifecycles import LIFECYCLES, TrackedUpload, straight
from layerstore_conformance.promises.theorem import cancel_again, check_cut_off, check_store, finish_again

__all__ = [
    "KINDS",
    "LIFECYCLES",
    "CutPoint",
    "ExitRecord",
    "Fault",
    "FaultPlan",
    "FaultyDriver",
    "ForkServer",
    "Harness",
    "How",
    "Payload",
    "Plan",
    "Requests",
    "SideDoor",
    "TrackedUpload",
    "cancel_again",
    "changed",
    "check_cut_off",
    "check_store",
    "difference",
    "digest",
    "expect_same",
    "finish_again",
    "littering",
    "renaming",
    "straight",
    "tampering",
]

_OLD = {"Death": ExitRecord, "Life": TrackedUpload, "Zygote": ForkServer}
"""Former names, each with its successor."""


def __getattr__(name: str) -> object:
    if name not in _OLD:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import warnings

    warnings.warn(f"{name} is deprecated: use {_OLD[name].__name__}", DeprecationWarning, stacklevel=2)
    return _OLD[name]

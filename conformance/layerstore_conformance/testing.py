"""What the suite is made of, for a driver author's own tests; docs/testing.md shows each at work.

What is named here is public: it changes as the driver contract does, with a major version and a word in the changelog.
The modules that it comes from are not; their names may change with any release.
"""

from layerstore_conformance.faults.faulty import FaultyDriver
from layerstore_conformance.faults.plan import KINDS, Fault, FaultPlan
from layerstore_conformance.harness import Harness, SideDoor
from layerstore_conformance.kit.payloads import Payload, difference, digest, expect_same
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
    "Payload",
    "Plan",
    "SideDoor",
    "TrackedUpload",
    "cancel_again",
    "check_cut_off",
    "check_store",
    "difference",
    "digest",
    "expect_same",
    "finish_again",
    "straight",
]

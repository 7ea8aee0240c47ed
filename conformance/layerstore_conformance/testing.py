"""What the suite is made of, for a driver author's own tests; docs/testing.md shows each at work.

What is named here is public: it changes as the driver contract does, with a major version and a word in the changelog.
The modules that it comes from are not; their names may change with any release.
"""

from layerstore_conformance.faults.faulty import FaultyDriver
from layerstore_conformance.faults.plan import KINDS, Fault, FaultPlan
from layerstore_conformance.harness import Harness, SideDoor
from layerstore_conformance.kit.payloads import Payload, difference, digest, expect_same
from layerstore_conformance.lives.crashing import Death, Plan, Zygote
from layerstore_conformance.lives.killing import CutPoint
from layerstore_conformance.lives.lifecycles import LIFECYCLES, Life, straight
from layerstore_conformance.lives.theorem import cancel_again, check_cut_off, check_store, finish_again

__all__ = [
    "KINDS",
    "LIFECYCLES",
    "CutPoint",
    "Death",
    "Fault",
    "FaultPlan",
    "FaultyDriver",
    "Harness",
    "Life",
    "Payload",
    "Plan",
    "SideDoor",
    "Zygote",
    "cancel_again",
    "check_cut_off",
    "check_store",
    "difference",
    "digest",
    "expect_same",
    "finish_again",
    "straight",
]

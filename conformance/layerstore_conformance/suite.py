"""The scenarios as one parametrised test, which a driver author's own test module imports.

::

    import pytest
    from layerstore_conformance.harness import Harness
    from layerstore_conformance.suite import *

    @pytest.fixture(scope="session")
    def layerstore_harness():
        return Harness("mystore://bucket")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore_conformance.engine.liveness import HungError, beside_a_watch
from layerstore_conformance.engine.prove import attempt, claims
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import selected
from layerstore_conformance.engine.subject import Subject, UnusableStoreError, examine, expect_one_store
from layerstore_conformance.session.items import CLAIM, RECORD, SUBJECT, UNUSABLE, UNWRITTEN, named, suite_of
from layerstore_conformance.session.replacing import Notes
from layerstore_conformance.verdict.record import record
from layerstore_conformance.verdict.waivers import Waiver, read_waivers

if TYPE_CHECKING:
    from layerstore_conformance.engine.defect import Defect
    from layerstore_conformance.engine.scenario import Scenario
    from layerstore_conformance.harness import Harness

__all__ = ["pytest_generate_tests", "test_proof", "test_scenario"]

_SUBJECTS = pytest.StashKey[list[tuple["Harness", Subject]]]()
_NOTES = pytest.StashKey[Notes]()
_WAIVERS = pytest.StashKey[dict[str, Waiver]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every selected scenario, and of each of their claims if a proof is asked for."""
    wanted = {"layerstore_scenario", "layerstore_claim"} & set(metafunc.fixturenames)
    if not wanted:
        return
    options = metafunc.config.option
    chosen = selected(options.layerstore_profile, tuple(options.layerstore_only))
    if "layerstore_scenario" in wanted:
        metafunc.parametrize("layerstore_scenario", chosen, ids=[named(each) for each in chosen])
        return
    # Without the option one item stands for all claims, and the plugin removes it.
    made = claims(chosen) if options.layerstore_prove else [None]
    metafunc.parametrize("layerstore_claim", made, ids=[named(each) for each in made])


def test_scenario(layerstore_scenario: Scenario, layerstore_harness: Harness, request: pytest.FixtureRequest) -> None:
    """A driver keeps its contract."""
    options = request.config.option
    seed, url = options.layerstore_seed, layerstore_harness.url
    subject = _examined(layerstore_harness, request)
    notes = request.config.stash.setdefault(_NOTES, Notes(request.config))
    about = {"test": request.node.nodeid, "suite": suite_of(request.node), "scenario": layerstore_scenario.id}
    waiver = _waivers(request.config).get(layerstore_scenario.id)
    waived = f"waived until {waiver.expires}: {waiver.reason}" if waiver and not waiver.expired else ""
    notes.begin({**about, "seed": seed, "url": url, "subject": subject, "waived": waived})
    result = run(layerstore_scenario, layerstore_harness, seed=seed, profile=options.layerstore_profile)
    kept = record(result, url, seed=seed)
    if result.stacks:
        notes.replace(kept)
    if result.stuck:
        request.session.shouldstop = "the store hangs in this process: with -n 1 it would be replaced"
    request.node.user_properties += [(RECORD, kept), (SUBJECT, subject)]
    if result.outcome == "skipped":
        pytest.skip(result.reason)
    if result.unwritten:
        request.node.user_properties.append((UNWRITTEN, list(result.unwritten)))
    if result.outcome == "failed":
        if waived:
            pytest.xfail(waived)
        pytest.fail(str(kept["narration"]), pytrace=False)


def test_proof(
    layerstore_claim: tuple[Defect, Scenario], layerstore_harness: Harness, request: pytest.FixtureRequest
) -> None:
    """A scenario finds a defect planted in front of the driver."""
    defect, scenario = layerstore_claim
    _examined(layerstore_harness, request)
    seed = request.config.option.layerstore_seed
    result = attempt(scenario, defect.drawn(seed), layerstore_harness, seed=seed)
    outcome = {"passed": "missed", "failed": "found", "skipped": "skipped"}[result.outcome]
    claim = {"defect": defect.id, "title": defect.title, "scenario": scenario.id}
    request.node.user_properties.append((CLAIM, {**claim, "outcome": outcome, "said": result.reason}))
    if outcome == "skipped":
        pytest.skip(result.reason)
    if outcome == "missed":
        drawn = defect.drawn(seed)
        pytest.fail(f"{scenario.id} passed although this was planted: {drawn.id}: {drawn.title}", pytrace=False)


def _examined(harness: Harness, request: pytest.FixtureRequest) -> Subject:
    """Return the description of the driver under test, made once for every harness."""
    known = request.config.stash.setdefault(_SUBJECTS, [])
    for each, subject in known:
        if each is harness:
            return subject
    try:
        subject = beside_a_watch(harness, examine)
        beside_a_watch(harness, expect_one_store)
    except UnusableStoreError as error:
        reason = str(error)
    except HungError as error:
        reason = f"{error}\n{error.stacks}"
    else:
        known.append((harness, subject))
        return subject
    # Every scenario would have the same error.
    request.node.user_properties.append((UNUSABLE, reason))
    request.session.shouldstop = "no store to run scenarios on"
    pytest.fail(reason, pytrace=False)


def _waivers(config: pytest.Config) -> dict[str, Waiver]:
    if _WAIVERS not in config.stash:
        path = config.option.layerstore_waivers
        config.stash[_WAIVERS] = read_waivers(Path(path)) if path else {}
    return config.stash[_WAIVERS]

"""The tests of ``pytest --pyargs layerstore_conformance --layerstore-url=URL``."""

from layerstore_conformance.suite import pytest_generate_tests, test_proof, test_scenario

__all__ = ["pytest_generate_tests", "test_proof", "test_scenario"]

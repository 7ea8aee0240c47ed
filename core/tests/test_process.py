"""Which process this is, without a system call each time."""

from __future__ import annotations

import os

import pytest

from layerstore.threads.process import this_process


def test_a_process_knows_its_number() -> None:
    """It is the one that the system gave it."""
    assert this_process() == os.getpid()


def test_the_system_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of a handle asks whose it is: that costs no system call."""
    number = os.getpid()
    monkeypatch.delattr(os, "getpid")
    assert this_process() == number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_knows_its_own() -> None:
    """Else it would take its parent's handles for its own."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(not (this_process() == os.getpid() != parent))
    assert os.waitpid(child, 0)[1] == 0

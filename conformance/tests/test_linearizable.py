"""Histories are explained if and only if some order explains them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore_conformance.model.linearizable import History, Operation, What, explaining_order


def operation(what: What, value: int | None, called: int, returned: int) -> Operation:
    """An operation on the one key there is."""
    return Operation(0, what, "key", value, called, returned)


EXPLAINED = {
    "nothing happened": [],
    "what was written is seen": [operation("write", 1, 0, 1), operation("see", 1, 2, 3)],
    "seen before the write has returned": [operation("write", 1, 0, 9), operation("see", 1, 2, 3)],
    "not yet seen though the write was called": [operation("write", 1, 0, 9), operation("see", None, 2, 3)],
    "two writes at once, in the other order": [
        *(operation("write", 1, 0, 9), operation("write", 2, 1, 8)),
        *(operation("see", 2, 10, 11), operation("take", 2, 12, 13), operation("list", None, 14, 15)),
    ],
}

UNEXPLAINED = {
    "seen, and nobody wrote it": [operation("see", 1, 0, 1)],
    "a write that was lost": [operation("write", 1, 0, 1), operation("see", None, 2, 3)],
    "seen, and then not any more": [
        *(operation("write", 1, 0, 9), operation("see", 1, 2, 3), operation("see", None, 4, 5)),
    ],
    "taken twice": [operation("write", 1, 0, 1), operation("take", 1, 2, 5), operation("take", 1, 3, 6)],
    "listed after it was removed": [
        *(operation("write", 1, 0, 1), operation("remove", None, 2, 3), operation("list", 1, 4, 5)),
    ],
}


@pytest.mark.parametrize("history", EXPLAINED.values(), ids=EXPLAINED)
def test_a_history_that_has_an_order_is_explained(history: list[Operation]) -> None:
    """The order found is one of all the operations."""
    found = explaining_order(history)
    assert found is not None
    assert sorted(found, key=str) == sorted(history, key=str)


@pytest.mark.parametrize("history", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_a_history_that_has_no_order_is_refused(history: list[Operation]) -> None:
    """The failure has all of the history."""
    told = History()
    told.operations = history
    with pytest.raises(AssertionError, match="no order explains this") as failure:
        told.check()
    assert all(str(each) in str(failure.value) for each in history)


def explains(order: tuple[Operation, ...]) -> bool:
    """Whether an order of operations keeps their times, and explains them; written without looking at the other."""
    if any(late.returned <= early.called for early, late in itertools.combinations(order, 2)):
        return False
    state: int | None = None
    for each in order:
        if each.what in ("see", "take") and each.value != state:
            return False
        if each.what == "list" and (each.value is not None) != (state is not None):
            return False
        state = {"write": each.value, "remove": None, "take": None}.get(each.what, state)
    return True


OPERATIONS = st.builds(
    lambda what, value, called, length: operation(what, None if what == "remove" else value, called, called + length),
    st.sampled_from(["write", "remove", "see", "take", "list"]),
    st.sampled_from([1, 2]) | st.none(),
    st.integers(0, 9),
    st.integers(1, 5),
).filter(lambda each: each.value is not None or each.what not in ("write", "take"))


@given(st.lists(OPERATIONS, max_size=5))
def test_trying_every_order_says_the_same(history: list[Operation]) -> None:
    """The search agrees with the definition."""
    assert (explaining_order(history) is not None) == any(explains(order) for order in itertools.permutations(history))

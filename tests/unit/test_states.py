"""The table of states: closed, and reachable as the picture in ARCHITECTURE.md has it."""

import pytest

from livelessons.states import ALLOWED, LIVE, State, sources_of


def test_the_table_knows_every_state():
    assert set(ALLOWED) == set(State)


@pytest.mark.parametrize("state", sorted(set(State) - {State.DELETED, State.DELETING}))
def test_every_state_may_be_ended_and_all_but_failed_may_fail(state):
    assert State.DELETING in ALLOWED[state]
    assert state == State.FAILED or State.FAILED in ALLOWED[state]


def test_deleted_is_the_end():
    assert ALLOWED[State.DELETED] == frozenset()
    assert sources_of(State.DELETED) == [State.DELETING]


def test_only_states_that_a_session_occupies_can_start_again():
    assert set(sources_of(State.INITIALIZED)) < LIVE

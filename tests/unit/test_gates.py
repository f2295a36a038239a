"""Which stages can be had, and what their gates wait for."""

import pytest

from livelessons.gates import closed_gate, open_stages, still_missing
from tests.conftest import objective_dict, stage_dict

SPEC = {
    "stages": [
        stage_dict(objective_dict("a"), objective_dict("x", optional=True), gate=True),
        stage_dict(objective_dict("b")),
        stage_dict(objective_dict("c"), gate=True),
        stage_dict(),
    ]
}


@pytest.mark.parametrize(
    ("at", "completed", "states", "checked", "number"),
    [
        (0, [], {}, True, 1),
        (0, [], {"a": "failed"}, True, 1),
        (0, [], {"a": "passed"}, True, 3),
        (0, [0], {"a": "waiting"}, True, 3),
        (0, [0, 2], {}, True, 4),
        (1, [], {}, True, 3),
        (2, [], {}, True, 3),
        (2, [], {"c": "passed"}, True, 4),
        (3, [], {}, True, 4),
        (0, [], {"a": "error"}, True, 3),
        (0, [], {}, False, 4),
    ],
)
def test_how_many_stages_are_open(at, completed, states, checked, number):
    known = {"at": at, "completed": completed, "states": states, "checked": checked}

    assert open_stages(SPEC, **known) == number
    gates = [closed_gate(SPEC, stage=stage, **known) for stage in range(4)]
    assert [gate is None for gate in gates] == [stage < number for stage in range(4)]


@pytest.mark.parametrize(
    ("states", "missing"),
    [
        ({}, ["a", "b", "c"]),
        ({"a": "passed", "b": "failed"}, ["b", "c"]),
        ({"a": "error"}, ["c"]),
        ({"c": "error"}, ["a", "b"]),
        ({"a": "error", "b": "passed", "c": "checking"}, ["c"]),
        ({"a": "error", "c": "passed"}, []),
        ({"x": "error"}, ["a", "b", "c"]),
    ],
)
def test_a_gate_does_not_wait_for_what_cannot_be_passed(states, missing):
    objectives = [
        objective_dict("b", needs=["a"]),
        objective_dict("a"),
        objective_dict("x", optional=True),
        objective_dict("c"),
    ]

    assert sorted(one["slug"] for one in still_missing(objectives, states)) == missing

"""What the scheduler may rely on, whatever backend it uses."""

import time
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from django.conf import settings

from scheduler.backends.base import (
    BackendRejected,
    EnvironmentRef,
    EnvironmentSpec,
    JobObservation,
    Phase,
    PresentationSpec,
    ReasonCode,
    check_name,
)
from scheduler.backends.file_checks import KEPT_CHECKS
from tests.contract.conftest import Kind
from tests.contract.descriptions import (
    CHECKED_FILES,
    CONFIGURED_FILES,
    SHELL,
    UTILITY,
    endpoint,
    observe,
)

CHECKED = {"files": CHECKED_FILES, "hidden": tuple(CHECKED_FILES)}
CONFIGURED = {
    "files": CONFIGURED_FILES,
    "stages": [{"linux1": name} for name in CONFIGURED_FILES],
}


def test_an_environment_runs_with_all_its_endpoints_and_ports(kind: Kind) -> None:
    web = PresentationSpec(name="web", port=8080, type="http")
    spec = kind.environment(
        endpoint("linux1", presentations=(SHELL, web), additional_ports=(5000,)), endpoint("linux2")
    )

    observation = kind.start(spec)

    assert observation.phase == Phase.RUNNING
    assert {name: set(seen.ports) for name, seen in observation.endpoints.items()} == {
        "linux1": {22, 8080, 5000},
        "linux2": {22},
    }
    assert {seen.phase for seen in observation.endpoints.values()} == {Phase.RUNNING}
    assert all(seen.host for seen in observation.endpoints.values())


def test_ensure_again_changes_nothing(kind: Kind) -> None:
    spec = kind.environment()
    before = kind.start(spec)

    kind.backend.ensure(spec)
    type(kind.backend)().ensure(spec)

    after = observe(kind.backend, spec)
    assert after.phase == Phase.RUNNING
    assert after.endpoints["linux1"].ports == before.endpoints["linux1"].ports


def test_every_ref_asked_for_is_answered(kind: Kind) -> None:
    spec = kind.environment()
    kind.start(spec)
    other_attempt = replace(spec.ref, attempt=2)
    stranger = EnvironmentRef(uuid4(), 0)

    answer = kind.backend.observe([stranger, spec.ref, other_attempt])

    assert {ref: seen.phase for ref, seen in answer.items()} == {
        stranger: Phase.ABSENT,
        spec.ref: Phase.RUNNING,
        other_attempt: Phase.ABSENT,
    }
    assert not kind.backend.observe([])


def test_another_process_sees_the_same(kind: Kind) -> None:
    spec = kind.environment()
    kind.start(spec)

    assert observe(type(kind.backend)(), spec).phase == Phase.RUNNING
    assert list(type(kind.backend)().owned()) == [spec.ref]


def test_destroy_removes_it_and_may_be_repeated(kind: Kind) -> None:
    spec = kind.environment()
    kind.start(spec)

    assert kind.end(spec.ref)
    assert list(kind.backend.owned()) == []
    kind.backend.destroy(spec.ref)
    kind.backend.destroy(EnvironmentRef(uuid4(), 3))
    assert observe(kind.backend, spec).phase == Phase.ABSENT


def test_destroy_during_the_start(kind: Kind) -> None:
    spec = kind.environment()
    kind.backend.ensure(spec)

    assert kind.end(spec.ref)
    assert list(kind.backend.owned()) == []


def test_owned_lists_attempts_apart(kind: Kind) -> None:
    first = kind.environment()
    second = replace(first, ref=replace(first.ref, attempt=2))
    kind.start(first)
    kind.start(second)

    assert set(kind.backend.owned()) == {first.ref, second.ref}
    assert kind.end(first.ref)
    assert list(kind.backend.owned()) == [second.ref]


def test_instances_do_not_meet(kind: Kind) -> None:
    spec = kind.environment()
    kind.start(spec)

    home = settings.SYRINGE_INSTANCE
    kind.enter_instance(f"{home}-other")
    assert list(kind.backend.owned()) == []
    assert observe(kind.backend, spec).phase == Phase.ABSENT
    kind.backend.destroy(spec.ref)

    kind.enter_instance(home)
    assert list(kind.backend.owned()) == [spec.ref]


def test_configuration_runs_once_per_run(kind: Kind) -> None:
    spec = kind.environment(endpoint(configuration_type="python"), **CONFIGURED)
    kind.start(spec)

    for run, stage in ((1, 0), (1, 0), (2, 1)):
        kind.backend.configure(spec, stage=stage, endpoint="linux1", run=run)
        assert kind.wait_until(
            lambda run=run: (
                observe(kind.backend, spec).jobs["linux1", run].phase  # type: ignore[misc]
                not in (Phase.STARTING, Phase.RUNNING)
            )
        )

    jobs = observe(kind.backend, spec).jobs
    assert {key: job.phase for key, job in jobs.items()} == {
        ("linux1", 1): Phase.SUCCEEDED,
        ("linux1", 2): Phase.SUCCEEDED,
    }


def test_configuration_of_what_is_gone_is_refused(kind: Kind) -> None:
    spec = kind.environment(endpoint(configuration_type="python"), **CONFIGURED)

    with pytest.raises(BackendRejected) as refusal:
        kind.backend.configure(spec, stage=0, endpoint="linux1", run=1)

    assert refusal.value.reason_code == ReasonCode.VANISHED


def check(kind: Kind, spec: EnvironmentSpec, *, stage: int = 0, run: int = 1) -> JobObservation:
    """Have a file judge an objective, and return what it said in the end."""
    kind.backend.run_check(
        spec,
        stage=stage,
        slug="made",
        endpoint="linux2",
        path="checks/made.py",
        language="python",
        environment={"OBJECTIVE_OTHER": "a $(value) for $1"},
        timeout_seconds=10,
        run=run,
    )
    key = check_name(stage, "made"), run
    assert kind.wait_until(
        lambda: observe(kind.backend, spec).jobs[key].phase not in (Phase.STARTING, Phase.RUNNING)
    )
    return observe(kind.backend, spec).jobs[key]


def test_a_file_judges_an_endpoint_that_has_no_configuration(kind: Kind) -> None:
    spec = kind.environment(endpoint("linux1"), endpoint("linux2"), **CHECKED)
    kind.start(spec)

    judged = [check(kind, spec, stage=stage, run=7) for stage in (0, 0, 1)]

    assert [(job.phase, job.broken) for job in judged] == [(Phase.SUCCEEDED, False)] * 3
    assert set(observe(kind.backend, spec).jobs) == {
        (check_name(0, "made"), 7),
        (check_name(1, "made"), 7),
    }


def test_of_many_checks_the_newest_are_kept(kind: Kind) -> None:
    spec = kind.environment(endpoint("linux1"), endpoint("linux2"), **CHECKED)
    kind.start(spec)

    for run in range(1, KEPT_CHECKS + 4):
        check(kind, spec, run=run)

    runs = sorted(run for _, run in observe(kind.backend, spec).jobs)
    assert runs == [4, 5, 6][-KEPT_CHECKS:]


def test_a_check_of_what_is_gone_is_refused(kind: Kind) -> None:
    spec = kind.environment(endpoint("linux1"), endpoint("linux2"), **CHECKED)

    with pytest.raises(BackendRejected) as refusal:
        check(kind, spec)

    assert refusal.value.reason_code == ReasonCode.VANISHED


def test_what_can_never_run_is_refused(kind: Kind) -> None:
    with pytest.raises(BackendRejected):
        kind.backend.ensure(kind.impossible)

    assert observe(kind.backend, kind.impossible).phase == Phase.ABSENT
    assert list(kind.backend.owned()) == []


def test_login_is_the_images_or_the_environments_own_and_hides_its_password(kind: Kind) -> None:
    without_password = replace(UTILITY, ssh_password="")
    spec = kind.environment(endpoint("linux1"), endpoint("linux2", image=without_password))

    login = kind.backend.login(spec, "linux1")
    own = kind.backend.login(spec, "linux2")

    assert login.username
    assert login.password in {UTILITY.ssh_password, spec.access_password}
    assert own.username
    assert own.password == spec.access_password
    for shown in (repr(login), repr(own), repr(spec)):
        assert spec.access_password not in shown
        assert UTILITY.ssh_password not in shown


def test_calls_return_at_once(kind: Kind) -> None:
    spec = kind.environment(endpoint("linux1"), endpoint("linux2"))
    calls: list[Callable[[], object]] = [
        lambda: kind.backend.ensure(spec),
        lambda: kind.backend.observe([spec.ref]),
        lambda: list(kind.backend.owned()),
        lambda: kind.backend.destroy(spec.ref),
    ]
    kind.started.append(spec)

    for call in calls:
        begin = time.monotonic()
        call()
        assert time.monotonic() - begin < kind.at_once


def test_nothing_prevents_it_from_working_here(kind: Kind) -> None:
    assert list(kind.backend.preflight()) == []
    assert list(kind.backend.owned()) == []

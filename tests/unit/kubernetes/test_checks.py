"""Checks that are files: their Jobs, what learners do not get, and how verdicts are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scheduler.backends.base import BackendRejected, JobObservation, Phase, check_name
from scheduler.backends.kubernetes.manifests import check_job, environment_manifests
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import is_dns_label
from tests.unit.kubernetes.descriptions import endpoint, environment, made, of_kind, options
from tests.unit.kubernetes.test_observation import (
    RUNNING,
    metadata,
    namespace,
    observe,
    pod,
    waits,
)

FILE = "checks/it costs $(PRICE).py"
SPEC = environment(endpoint("linux1"), endpoint("linux2"), hidden=(FILE, "checks/two.yml"))
USUAL: dict[str, Any] = {
    "stage": 1,
    "slug": "price",
    "endpoint": "linux2",
    "path": FILE,
    "language": "python",
    "environment": {"OBJECTIVE_OTHER": "$(HOME) is $5"},
    "timeout_seconds": 20,
    "run": 3,
    "options": options(),
}


def job(**changes: Any) -> Manifest:
    return check_job(SPEC, **{**USUAL, **changes})


def container(found: Manifest) -> Manifest:
    [only] = found["spec"]["template"]["spec"]["containers"]
    return only


def variables(found: Manifest) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container(found)["env"]}


def test_a_check_is_a_job_of_its_own_kind() -> None:
    found = job()

    labels = found["metadata"]["labels"]
    assert {name.removeprefix("syringe.dev/"): text for name, text in labels.items()}.items() >= {
        "role": "check",
        "endpoint": "linux2",
        "stage": "1",
        "objective": "price",
        "run": "3",
        "livelesson": SPEC.ref.live_lesson_id.hex,
    }.items()
    assert found["spec"]["template"]["metadata"]["labels"] == labels
    assert found["spec"]["backoffLimit"] == 0
    assert found["spec"]["activeDeadlineSeconds"] > 20
    assert found["spec"]["ttlSecondsAfterFinished"] <= 60


def test_names_differ_by_stage_slug_and_run() -> None:
    names = [
        job(**changes)["metadata"]["name"]
        for changes in ({}, {"stage": 2}, {"slug": "price-3"}, {"run": 4}, {"slug": "a" * 63})
    ]

    assert len(set(names)) == 5
    assert all(map(is_dns_label, names))


def test_kubernetes_expands_nothing() -> None:
    found = container(job())

    assert "/antidote/checks/it costs $$(PRICE).py" in found["command"]
    assert variables(job())["OBJECTIVE_OTHER"] == "$$(HOME) is $$5"
    assert "$" not in found["command"][2]


def test_an_endpoint_without_configuration_has_a_login_for_checks() -> None:
    secrets = of_kind(made(SPEC), "Secret")["lesson"]["data"]

    for language in ("python", "ansible"):
        reference = variables(job(language=language))["ANTIDOTE_TARGET_PASSWORD"]["secretKeyRef"]
        assert reference["key"] in secrets
    (volume,) = (
        volume
        for volume in job(language="ansible")["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    )
    assert volume["secret"]["items"][0]["key"] in secrets


def test_only_jobs_get_the_files_that_judge() -> None:
    for one in of_kind(made(SPEC), "Pod").values():
        [fetch] = one["spec"]["initContainers"]
        assert fetch["command"][-2:] == ["checks/it costs $$(PRICE).py", "checks/two.yml"]
    [fetch] = job()["spec"]["template"]["spec"]["initContainers"]
    assert len(fetch["command"]) == 3


def test_there_is_room_for_a_few_checks_at_once() -> None:
    def pods(hidden: int) -> int:
        spec = environment(hidden=tuple(f"checks/{number}.py" for number in range(hidden)))
        quota = of_kind(environment_manifests(spec, options()), "ResourceQuota")["lesson"]
        return int(quota["spec"]["hard"]["pods"])

    assert [pods(number) for number in (0, 1, 2, 9)] == [1, 2, 3, 4]


@pytest.mark.parametrize("wrong", [{"endpoint": "linux3"}, {"language": "napalm"}])
def test_what_no_job_can_do_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(BackendRejected):
        job(**wrong)


def listed(run: int = 1, *, conditions: tuple[str, ...] = (), reason: str = "") -> dict[str, Any]:
    """Return a check's Job as the cluster lists it."""
    return {
        "metadata": metadata(
            f"check-{run}", role="check", stage="0", objective="note", run=str(run)
        ),
        "spec": {"activeDeadlineSeconds": 140},
        "status": {
            "conditions": [
                {"type": kind, "status": "True", "reason": reason} for kind in conditions
            ]
        },
    }


def helper(status: dict[str, Any], run: int = 1) -> dict[str, Any]:
    labels = {"role": "check", "stage": "0", "objective": "note", "run": str(run)}
    return pod(status=status, labels=labels)


def ended(code: int, message: str) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "message": message}}
    return {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "check", "state": state}],
    }


def verdict(outcome: str) -> str:
    return json.dumps({"outcome": outcome, "message": "a word", "log_tail": "all of it"})


@pytest.mark.parametrize(
    ("found", "pods", "expected"),
    [
        (listed(), [], JobObservation(Phase.STARTING)),
        (listed(), [helper(RUNNING)], JobObservation(Phase.RUNNING)),
        (
            listed(),
            [helper(ended(0, verdict("passed")))],
            JobObservation(Phase.SUCCEEDED, "a word", "all of it"),
        ),
        (
            listed(conditions=("Failed",)),
            [helper(ended(1, verdict("failed")))],
            JobObservation(Phase.FAILED, "a word", "all of it"),
        ),
        (
            listed(),
            [helper(ended(1, verdict("broken")))],
            JobObservation(Phase.FAILED, "a word", "all of it", broken=True),
        ),
        (listed(conditions=("Complete",)), [], JobObservation(Phase.SUCCEEDED)),
        (
            listed(conditions=("Failed",), reason="DeadlineExceeded"),
            [],
            JobObservation(Phase.FAILED, "it took longer than 140 s.", broken=True),
        ),
        (
            listed(),
            [helper(ended(137, "Killed"))],
            JobObservation(
                Phase.FAILED, "the job ended with exit code 137.", "Killed", broken=True
            ),
        ),
        (
            listed(),
            [helper(waits("ErrImageNeverPull"))],
            JobObservation(
                Phase.FAILED, "The image example/one:1 of the job is not available.", broken=True
            ),
        ),
    ],
)
def test_verdicts(
    found: dict[str, Any], pods: list[dict[str, Any]], expected: JobObservation
) -> None:
    seen = observe([namespace()], [pod(), *pods], [found])

    assert seen.jobs == {(check_name(0, "note"), 1): expected}
    assert set(seen.endpoints) == {"linux1"}


def test_runs_that_the_cluster_still_has_are_not_all_reported() -> None:
    runs = [listed(run, conditions=("Complete",)) for run in range(1, 40)]

    assert {run for _, run in observe([namespace()], [pod()], runs).jobs} == {37, 38, 39}

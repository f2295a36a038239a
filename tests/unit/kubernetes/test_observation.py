"""How lists of objects become observations of environments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from scheduler.backends.base import (
    ABSENT,
    EndpointObservation,
    EnvironmentObservation,
    EnvironmentRef,
    JobObservation,
    Phase,
    ReasonCode,
)
from scheduler.backends.kubernetes.names import namespace_name
from scheduler.backends.kubernetes.observation import Listed, observations

INSTANCE = "test"
REF = EnvironmentRef(UUID(int=7), 2)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUNNING = {
    "phase": "Running",
    "podIP": "10.0.0.1",
    "containerStatuses": [{"name": "endpoint", "state": {"running": {}}}],
}


def metadata(name: str, ref: EnvironmentRef = REF, **labels: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace_name(INSTANCE, ref),
        "labels": {
            "app.kubernetes.io/managed-by": "syringe",
            "syringe.dev/instance": INSTANCE,
            "syringe.dev/livelesson": ref.live_lesson_id.hex,
            "syringe.dev/attempt": str(ref.attempt),
            **{f"syringe.dev/{name}": value for name, value in labels.items()},
        },
    }


def namespace(
    ref: EnvironmentRef = REF, endpoints: str = "linux1", **changes: Any
) -> dict[str, Any]:
    data = metadata(namespace_name(INSTANCE, ref), ref)
    del data["namespace"]
    data["annotations"] = {"syringe.dev/endpoints": endpoints}
    return {"metadata": {**data, **changes.pop("metadata", {})}, **changes}


def pod(name: str = "linux1", status: dict[str, Any] | None = None, **place: Any) -> dict[str, Any]:
    labels = {"endpoint": name, "role": "endpoint", **place.pop("labels", {})}
    return {
        "metadata": metadata(name, **place, **labels),
        "spec": {"containers": [{"name": "endpoint", "ports": [{"containerPort": 22}]}]},
        "status": RUNNING if status is None else status,
    }


def job(run: int, conditions: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    labels = {"endpoint": "linux1", "role": "configuration", "run": str(run)}
    return {
        "metadata": {**metadata(f"linux1-{run}", **labels), **changes},
        "spec": {"activeDeadlineSeconds": 600},
        "status": {
            "conditions": [
                {"type": kind, "status": "True", "reason": reason, "message": "by the job"}
                for kind, reason in (conditions or {}).items()
            ]
        },
    }


def helper(run: int, status: dict[str, Any]) -> dict[str, Any]:
    return pod(status=status, labels={"role": "configuration", "run": str(run)})


def observe(
    namespaces: list[dict[str, Any]],
    pods: list[dict[str, Any]] | None = None,
    jobs: list[dict[str, Any]] | None = None,
) -> EnvironmentObservation:
    listed = Listed(namespaces, pods or [], jobs or [])
    return observations(INSTANCE, [REF], listed, NOW)[REF]


def waits(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"image": "example/one:1", "state": state}]}


def test_a_pods_address_and_ports_are_where_its_endpoint_is() -> None:
    assert observe([namespace()], [pod()]) == EnvironmentObservation(
        phase=Phase.RUNNING,
        endpoints={
            "linux1": EndpointObservation(phase=Phase.RUNNING, host="10.0.0.1", ports={22: 22})
        },
    )


@pytest.mark.parametrize(("seconds", "is_said"), [(89, False), (91, True)])
def test_what_holds_up_an_end_is_said_after_ninety_seconds(seconds: int, is_said: bool) -> None:
    since = (NOW - timedelta(seconds=seconds)).isoformat()
    ending = namespace(metadata={"deletionTimestamp": since, "finalizers": ["example.com/kept"]})

    seen = observe([ending], [pod()])

    assert seen.phase == Phase.DELETING
    assert ("example.com/kept" in seen.message) is is_said


def test_pods_of_other_attempts_and_namespaces_are_nobodys() -> None:
    other = EnvironmentRef(REF.live_lesson_id, 1)
    stranger = pod("linux9")
    stranger["metadata"]["namespace"] = "somewhere-else"

    seen = observe([namespace(), namespace(other)], [pod(), pod("linux2", ref=other), stranger])

    assert set(seen.endpoints) == {"linux1"}


def test_only_a_namespace_of_our_making_counts() -> None:
    renamed = namespace(metadata={"name": "somebody-copied-the-labels"})

    assert observe([renamed], [pod()]) is ABSENT
    assert observe([]) is ABSENT


def test_a_pod_that_was_taken_away_fails_the_environment() -> None:
    seen = observe([namespace(endpoints="linux1,linux2")], [pod()])

    assert (seen.phase, seen.reason) == (Phase.FAILED, ReasonCode.VANISHED)
    assert seen.message == "linux2 is gone."
    assert seen.endpoints["linux1"].phase == Phase.RUNNING


def test_a_pod_that_was_to_run_for_ever_and_ended_has_crashed() -> None:
    seen = observe([namespace()], [pod(status={"phase": "Succeeded"})])

    assert (seen.phase, seen.reason) == (Phase.FAILED, ReasonCode.CRASHED)


def test_an_environment_starts_until_all_of_it_runs_and_says_what_it_waits_for() -> None:
    three = namespace(endpoints="linux1,linux2,linux3")
    pods = [
        pod("linux1"),
        pod("linux2", status={}),
        pod("linux3", status=waits("ImagePullBackOff")),
    ]

    seen = observe([three], pods)

    assert (seen.phase, seen.reason) == (Phase.STARTING, ReasonCode.IMAGE_PULL)
    assert "linux3" in seen.message


def test_a_namespace_on_its_way_out() -> None:
    deleted = {"deletionTimestamp": "2026-01-01T11:59:50Z"}

    assert observe([namespace(metadata=deleted)], [pod()]) == EnvironmentObservation(
        phase=Phase.DELETING
    )


def test_a_namespace_that_hangs_says_why() -> None:
    conditions = [
        {
            "type": "NamespaceFinalizersRemaining",
            "status": "True",
            "message": "Some content in the namespace has finalizers remaining: example.com/hold "
            "in 1 resource instances",
        },
        {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "all is well"},
    ]
    hanging = namespace(
        metadata={"deletionTimestamp": "2026-01-01T11:58:00Z", "finalizers": ["example.com/own"]},
        status={"conditions": conditions},
    )

    seen = observe([hanging])

    assert seen.phase == Phase.DELETING
    assert seen.message == (
        "Terminating since 2026-01-01 11:58:00 UTC: Some content in the namespace has finalizers "
        "remaining: example.com/hold in 1 resource instances; Finalizers of the namespace: "
        "example.com/own"
    )


def ended(exit_code: int = 2, message: str = "Traceback\n") -> dict[str, Any]:
    state = {"terminated": {"exitCode": exit_code, "message": message}}
    return {"phase": "Failed", "containerStatuses": [{"state": state}]}


@pytest.mark.parametrize(
    ("found", "pods", "expected"),
    [
        (job(1), [], JobObservation(Phase.STARTING)),
        (
            job(1),
            [helper(1, waits("ImagePullBackOff"))],
            JobObservation(
                Phase.STARTING,
                "The image of the job could not be fetched yet; it is tried again.",
            ),
        ),
        (job(1), [helper(1, RUNNING)], JobObservation(Phase.RUNNING)),
        (job(1), [helper(2, ended())], JobObservation(Phase.STARTING)),
        (job(1), [helper(1, {"phase": "Succeeded"})], JobObservation(Phase.SUCCEEDED)),
        (job(1, {"Complete": ""}), [], JobObservation(Phase.SUCCEEDED)),
        (
            job(1, {"Failed": "BackoffLimitExceeded"}),
            [helper(1, ended())],
            JobObservation(Phase.FAILED, "the job ended with exit code 2.", "Traceback"),
        ),
        (
            job(1, {"Failed": "DeadlineExceeded"}),
            [],
            JobObservation(Phase.FAILED, "it took longer than 600 s.", "by the job"),
        ),
        (
            job(1),
            [helper(1, ended())],
            JobObservation(Phase.FAILED, "the job ended with exit code 2.", "Traceback"),
        ),
        (
            job(1),
            [
                helper(
                    1,
                    {
                        "phase": "Failed",
                        "initContainerStatuses": [
                            {"state": {"terminated": {"exitCode": 1, "message": "404\n"}}}
                        ],
                    },
                )
            ],
            JobObservation(Phase.FAILED, "the lesson's files could not be fetched.", "404"),
        ),
        (
            job(1, deletionTimestamp="2026-01-01T11:59:50Z"),
            [],
            JobObservation(Phase.FAILED, "the job was removed."),
        ),
    ],
)
def test_jobs(found: dict[str, Any], pods: list[dict[str, Any]], expected: JobObservation) -> None:
    seen = observe([namespace()], [pod(), *pods], [found])

    assert seen.jobs == {("linux1", 1): expected}
    # A job's pod is no endpoint.
    assert set(seen.endpoints) == {"linux1"}
    assert seen.phase == Phase.RUNNING

"""What learners are told of a pod, by the statuses that kubelets and schedulers write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.backends.base import Phase, ReasonCode
from scheduler.backends.kubernetes.phases import Standing, pod_standing

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOT_FOUND = "failed to resolve reference: docker.io/example/none:latest: not found"


def container(state: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": "endpoint", "image": "example/one:1", "state": state, **changes}


def waiting(reason: str, message: str = "", **changes: Any) -> dict[str, Any]:
    return container({"waiting": {"reason": reason, "message": message}}, **changes)


def ended(exit_code: int = 1, message: str = "boom\n", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": exit_code, "message": message, "reason": reason}}


RUNS = container({"running": {}}, restartCount=0)
FETCHED = container(ended(0, ""), restartCount=0)


def standing(
    *containers: dict[str, Any],
    inits: list[dict[str, Any]] | None = None,
    deleted: bool = False,
    conditions: dict[str, tuple[str, str]] | None = None,
    **status: Any,
) -> Standing:
    metadata = {
        "name": "linux1",
        **({"deletionTimestamp": "2026-01-01T12:00:00Z"} if deleted else {}),
    }
    found = {
        "containerStatuses": list(containers),
        "initContainerStatuses": inits or [],
        "conditions": [
            {"type": kind, "status": value, "message": message}
            for kind, (value, message) in (conditions or {}).items()
        ],
        **status,
    }
    return pod_standing({"metadata": metadata, "status": found}, "linux1", NOW)


def test_a_pod_runs_when_all_its_containers_do_and_it_has_an_address() -> None:
    assert standing(RUNS, podIP="10.0.0.1", phase="Running") == Standing(Phase.RUNNING)
    assert standing(RUNS, phase="Running").phase == Phase.STARTING
    assert standing(RUNS, waiting("ContainerCreating"), podIP="10.0.0.1").phase == Phase.STARTING


def test_a_pod_that_nobody_has_looked_at_waits_for_its_turn() -> None:
    seen = pod_standing({"metadata": {"name": "linux1"}}, "linux1", NOW)

    assert (seen.phase, seen.reason) == (Phase.STARTING, ReasonCode.PENDING)


def test_with_its_network_ready_a_pod_waits_for_its_image() -> None:
    ready = {"PodReadyToStartContainers": ("True", "")}

    before = standing(waiting("ContainerCreating"))
    after = standing(waiting("ContainerCreating"), conditions=ready)
    fetching = standing(
        waiting("PodInitializing"), inits=[container({"running": {}})], conditions=ready
    )

    assert before.reason == ReasonCode.PENDING
    assert after == Standing(Phase.STARTING, ReasonCode.IMAGE_PULL, "Fetching the image of linux1.")
    assert fetching.message == "Fetching the lesson's files for linux1."


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", NOT_FOUND),
        ("ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {NOT_FOUND}'),
        ("ErrImagePull", "pull access denied, repository does not exist"),
        ("ErrImagePull", "failed to authorize: 401 Unauthorized"),
        ("ErrImagePull", "manifest unknown"),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
        ("InvalidImageName", "couldn't parse image name"),
    ],
)
def test_an_image_that_waiting_will_not_bring(reason: str, message: str) -> None:
    seen = standing(waiting(reason, message))

    assert (seen.phase, seen.reason) == (Phase.FAILED, ReasonCode.IMAGE_MISSING)
    assert seen.message == "The image example/one:1 of linux1 is not available."
    assert seen.log_tail == message


@pytest.mark.parametrize(
    "message",
    [
        "",
        'Back-off pulling image "example/one:1"',
        "dial tcp: lookup registry.example: i/o timeout",
        "toomanyrequests: You have reached your unauthenticated pull rate limit",
        "unexpected status: 503 Service Unavailable",
    ],
)
def test_an_image_that_may_come_later(message: str) -> None:
    seen = standing(waiting("ImagePullBackOff", message))

    assert (seen.phase, seen.reason) == (Phase.STARTING, ReasonCode.IMAGE_PULL)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("0/3 nodes are available: 3 Insufficient memory.", ReasonCode.NO_CAPACITY),
        ("0/1 nodes are available: 1 Too many pods.", ReasonCode.NO_CAPACITY),
        (
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            ReasonCode.UNSCHEDULABLE,
        ),
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
            ReasonCode.UNSCHEDULABLE,
        ),
    ],
)
def test_a_pod_without_a_node(message: str, reason: ReasonCode) -> None:
    seen = standing(conditions={"PodScheduled": ("False", message)}, phase="Pending")

    assert seen == Standing(Phase.STARTING, reason, log_tail=message)


def test_one_crash_is_forgiven_and_a_loop_is_not() -> None:
    back_off = {"reason": "CrashLoopBackOff"}

    first = standing(container({"waiting": back_off}, lastState=ended(), restartCount=1))
    again = standing(container({"waiting": back_off}, lastState=ended(), restartCount=2))
    just_ended = standing(container(ended(3), restartCount=2))
    without_error = standing(
        container({"waiting": back_off}, lastState=ended(0, "", "Completed"), restartCount=2)
    )

    assert first == Standing(
        Phase.STARTING, ReasonCode.PENDING, "linux1 starts again.", log_tail="boom"
    )
    assert again == Standing(
        Phase.FAILED, ReasonCode.CRASHED, "linux1 ended with exit code 1.", log_tail="boom"
    )
    assert just_ended.message == "linux1 ended with exit code 3."
    assert without_error == Standing(Phase.FAILED, ReasonCode.CRASHED, "linux1 ended by itself.")


def test_what_runs_again_after_crashes_runs() -> None:
    alive = container({"running": {}}, lastState=ended(), restartCount=7)

    assert standing(alive, podIP="10.0.0.1").phase == Phase.RUNNING


def test_memory_is_named_as_the_cause() -> None:
    seen = standing(container(ended(137, reason="OOMKilled"), restartCount=2))

    assert seen.message == "linux1 needs more memory than it may have."


def test_a_folder_that_cannot_be_fetched() -> None:
    tries_again = container(
        {"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended(1, "404\n"), restartCount=1
    )

    seen = standing(waiting("PodInitializing"), inits=[tries_again])

    assert seen == Standing(Phase.FAILED, ReasonCode.FOLDER_MISSING, log_tail="404")
    assert standing(RUNS, inits=[FETCHED], podIP="10.0.0.1").phase == Phase.RUNNING
    fetched_again = container(ended(0, ""), restartCount=3)
    assert standing(RUNS, inits=[fetched_again], podIP="10.0.0.1").phase == Phase.RUNNING
    in_a_job = standing(inits=[container(ended(1, "404\n"))], phase="Failed")
    assert in_a_job.reason == ReasonCode.FOLDER_MISSING


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            {"reason": "Evicted", "message": "The node was low on resource: memory."},
            Standing(
                Phase.FAILED,
                ReasonCode.VANISHED,
                "linux1 was evicted.",
                log_tail="The node was low on resource: memory.",
            ),
        ),
        (
            {"reason": "NodeShutdown", "message": "Pod was terminated"},
            Standing(
                Phase.FAILED,
                ReasonCode.VANISHED,
                "linux1 was ended by the cluster.",
                log_tail="Pod was terminated",
            ),
        ),
        (
            {"reason": "OutOfcpu", "message": "Node didn't have enough resource"},
            Standing(
                Phase.FAILED, ReasonCode.NO_CAPACITY, log_tail="Node didn't have enough resource"
            ),
        ),
        (
            {"reason": "SysctlForbidden", "message": "forbidden sysctl"},
            Standing(
                Phase.FAILED,
                ReasonCode.REJECTED,
                "The cluster does not let linux1 forward packets.",
                log_tail="forbidden sysctl",
            ),
        ),
        (
            {"reason": "AppArmor", "message": "Cannot enforce AppArmor"},
            Standing(
                Phase.FAILED,
                ReasonCode.REJECTED,
                "The cluster's nodes cannot confine linux1 as they should.",
                log_tail="Cannot enforce AppArmor",
            ),
        ),
        ({}, Standing(Phase.FAILED, ReasonCode.CRASHED, "linux1 ended.")),
    ],
)
def test_a_pod_that_ended_for_good(status: dict[str, str], expected: Standing) -> None:
    assert standing(phase="Failed", **status) == expected


def test_a_pod_that_is_being_deleted_is_gone() -> None:
    seen = standing(RUNS, podIP="10.0.0.1", deleted=True)

    assert (seen.phase, seen.reason) == (Phase.FAILED, ReasonCode.VANISHED)


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError"])
def test_a_container_that_cannot_be_created_gets_a_while(reason: str) -> None:
    def after(seconds: int) -> Standing:
        started = NOW - timedelta(seconds=seconds)
        return standing(
            waiting(reason, 'secret "lesson" not found'),
            startTime=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

    assert after(5).phase == Phase.STARTING
    assert after(60) == Standing(
        Phase.FAILED,
        ReasonCode.REJECTED,
        "linux1 cannot be created.",
        log_tail='secret "lesson" not found',
    )


def test_a_log_is_cut_to_its_end() -> None:
    seen = standing(container(ended(1, "x" * 10_000 + "the end"), restartCount=9))

    assert len(seen.log_tail) == 4000
    assert seen.log_tail.endswith("the end")

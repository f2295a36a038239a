"""What the backend says while nodes have trouble with a lesson."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.backends.base import EnvironmentObservation, EnvironmentSpec, Phase, ReasonCode
from scheduler.backends.kubernetes import KubernetesBackend
from tests.contract.descriptions import UTILITY, endpoint, observe, start, wait_until
from tests.fake_kubernetes import (
    Behaviour,
    FakeCluster,
    crash_loop,
    evicted,
    image_missing,
    init_failure,
    job_failure,
    kinds,
    registry_unreachable,
    unschedulable,
)
from tests.integration.kubernetes.conftest import Connect, lesson


def settle(
    backend: KubernetesBackend, spec: EnvironmentSpec, reason: ReasonCode
) -> EnvironmentObservation:
    """Start a lesson and wait until it is observed for a reason."""
    backend.ensure(spec)
    assert wait_until(lambda: observe(backend, spec).reason == reason), observe(backend, spec)
    return observe(backend, spec)


@pytest.mark.parametrize(
    ("behaviour", "phase", "reason", "words"),
    [
        (image_missing(), Phase.FAILED, ReasonCode.IMAGE_MISSING, "is not available"),
        (registry_unreachable(), Phase.STARTING, ReasonCode.IMAGE_PULL, "tried again"),
        (unschedulable(), Phase.STARTING, ReasonCode.NO_CAPACITY, ""),
        (
            unschedulable("1 node(s) had untolerated taint {only: others}"),
            Phase.STARTING,
            ReasonCode.UNSCHEDULABLE,
            "",
        ),
        (init_failure(), Phase.FAILED, ReasonCode.FOLDER_MISSING, ""),
        (crash_loop(), Phase.FAILED, ReasonCode.CRASHED, "linux1 ended with exit code 1"),
        (evicted(0.01), Phase.FAILED, ReasonCode.VANISHED, "linux1 was evicted"),
    ],
)
def test_trouble(
    cluster: FakeCluster,
    backend: KubernetesBackend,
    behaviour: Behaviour,
    phase: Phase,
    reason: ReasonCode,
    words: str,
) -> None:
    cluster.kubelet.on("linux1", behaviour)

    seen = settle(backend, lesson(endpoint("linux1"), endpoint("linux2")), reason)

    assert seen.phase == phase
    assert words in seen.message
    assert seen.endpoints["linux1"].reason == reason
    assert seen.endpoints["linux1"].log_tail


def test_an_image_that_does_nothing_and_ends(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    cluster.kubelet.on("linux1", crash_loop("bye\n", exit_code=0))

    assert settle(backend, lesson(), ReasonCode.CRASHED).message == "linux1 ended by itself."


ROUTER = endpoint("router", image=replace(UTILITY, enable_forwarding=True))


def test_a_router_where_nodes_let_it_forward_packets(connect: Connect) -> None:
    with FakeCluster(unsafe_sysctls=["net.ipv4.ip_forward"]) as cluster:
        assert start(connect(cluster), lesson(ROUTER)).phase == Phase.RUNNING


def test_a_router_where_nodes_do_not_is_refused(backend: KubernetesBackend) -> None:
    seen = settle(backend, lesson(ROUTER), ReasonCode.REJECTED)

    assert seen.phase == Phase.FAILED
    assert seen.message == "The cluster does not let router forward packets."
    assert "net.ipv4.ip_forward" in seen.endpoints["router"].log_tail


def test_a_crash_shows_the_end_of_the_log(cluster: FakeCluster, backend: KubernetesBackend) -> None:
    cluster.kubelet.on("linux1", crash_loop("no such file\n"))

    seen = settle(backend, lesson(), ReasonCode.CRASHED)

    assert seen.endpoints["linux1"].log_tail == "no such file"


def test_a_pod_that_somebody_deletes_has_vanished(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson(endpoint("linux1"), endpoint("linux2"))
    start(backend, spec)
    (key,) = (key for key in cluster.store.all(kinds.PODS) if key[1] == "linux2")
    cluster.store.remove(kinds.PODS, key)

    seen = observe(backend, spec)

    assert (seen.phase, seen.reason) == (Phase.FAILED, ReasonCode.VANISHED)
    assert seen.endpoints["linux1"].phase == Phase.RUNNING
    assert seen.endpoints["linux2"].phase == Phase.FAILED


def configured() -> EnvironmentSpec:
    return lesson(
        endpoint(configuration_type="python"), stages=[{"linux1": "stage0/configs/linux1.py"}]
    )


def test_a_job_goes_from_its_start_to_its_end(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = configured()
    start(backend, spec)
    seen = set()

    backend.configure(spec, stage=0, endpoint="linux1", run=1)

    def is_over() -> bool:
        phase = observe(backend, spec).jobs["linux1", 1].phase
        seen.add(phase)
        return phase == Phase.SUCCEEDED

    assert wait_until(is_over)
    assert seen <= {Phase.STARTING, Phase.RUNNING, Phase.SUCCEEDED}
    assert observe(backend, spec).phase == Phase.RUNNING


def test_a_job_that_fails_shows_the_end_of_its_log(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = configured()
    start(backend, spec)
    cluster.kubelet.on("linux1-1-*", job_failure("Traceback: no route to host\n"))

    backend.configure(spec, stage=0, endpoint="linux1", run=1)

    assert wait_until(lambda: observe(backend, spec).jobs["linux1", 1].phase == Phase.FAILED)
    job = observe(backend, spec).jobs["linux1", 1]
    assert job.message == "the job ended with exit code 1."
    assert job.log_tail == "Traceback: no route to host"
    assert observe(backend, spec).phase == Phase.RUNNING


def test_a_job_that_takes_too_long_has_failed(
    cluster: FakeCluster, backend: KubernetesBackend, settings: object
) -> None:
    settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS = 1  # type: ignore[attr-defined]
    spec = configured()
    start(backend, spec)
    cluster.kubelet.on("linux1-1-*", Behaviour(job=60))

    backend.configure(spec, stage=0, endpoint="linux1", run=1)

    assert wait_until(lambda: observe(backend, spec).jobs["linux1", 1].phase == Phase.FAILED)
    assert observe(backend, spec).jobs["linux1", 1].message == "it took longer than 1 s."

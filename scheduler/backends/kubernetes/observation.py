"""From lists of namespaces, pods and jobs to what the scheduler wants to know: pure functions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.backends.base import (
    ABSENT,
    EndpointObservation,
    EnvironmentObservation,
    EnvironmentRef,
    JobObservation,
    Phase,
    ReasonCode,
)
from scheduler.backends.kubernetes.deletion import is_terminating, obstacles
from scheduler.backends.kubernetes.labels import ENDPOINT, ENDPOINTS, ROLE, RUN, Role, ref_of
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import namespace_name
from scheduler.backends.kubernetes.phases import Standing, pod_standing

JobKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything that the cluster has under some livelessons' labels."""

    namespaces: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    jobs: Sequence[Manifest] = ()


def namespaces_of(
    instance: str, refs: Iterable[EnvironmentRef], namespaces: Iterable[Manifest]
) -> dict[EnvironmentRef, Manifest]:
    """Return those namespaces that are the refs' own, by their labels and by their name."""
    wanted = set(refs)
    found = {}
    for namespace in namespaces:
        ref = ref_of(namespace["metadata"].get("labels") or {})
        if ref in wanted and namespace["metadata"]["name"] == namespace_name(instance, ref):
            found[ref] = namespace
    return found


def observations(
    instance: str, refs: Sequence[EnvironmentRef], listed: Listed, now: datetime
) -> dict[EnvironmentRef, EnvironmentObservation]:
    """Return how each ref's environment stands; what belongs to none of them is left out."""
    namespaces = namespaces_of(instance, refs, listed.namespaces)
    pods = _by_namespace(listed.pods)
    jobs = _by_namespace(listed.jobs)
    seen = dict.fromkeys(refs, ABSENT)
    for ref, namespace in namespaces.items():
        name = namespace["metadata"]["name"]
        if is_terminating(namespace):
            seen[ref] = EnvironmentObservation(
                phase=Phase.DELETING, message=obstacles(namespace, now)
            )
        else:
            seen[ref] = _environment(namespace, pods[name], jobs[name], now)
    return seen


def _by_namespace(objects: Iterable[Manifest]) -> Mapping[str, list[Manifest]]:
    grouped: dict[str, list[Manifest]] = defaultdict(list)
    for found in objects:
        grouped[found["metadata"]["namespace"]].append(found)
    return grouped


def _environment(
    namespace: Manifest, pods: Iterable[Manifest], jobs: Iterable[Manifest], now: datetime
) -> EnvironmentObservation:
    machines: dict[str, Manifest] = {}
    helpers: dict[JobKey, Manifest] = {}
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        if labels.get(ROLE) == Role.CONFIGURATION:
            if (key := _job_key(labels)) is not None:
                helpers[key] = pod
        elif ENDPOINT in labels:
            machines[labels[ENDPOINT]] = pod
    endpoints = {
        name: _endpoint(name, machines.get(name), now)
        for name in dict.fromkeys((*expected_endpoints(namespace), *machines))
    }
    found = {}
    for job in jobs:
        key = _job_key(job["metadata"].get("labels") or {})
        if key is not None:
            found[key] = _job(job, helpers.get(key), now)
    worst = _worst(endpoints.values())
    return EnvironmentObservation(
        phase=worst.phase,
        reason=worst.reason,
        message=worst.message,
        endpoints=endpoints,
        jobs=found,
    )


def expected_endpoints(namespace: Manifest) -> list[str]:
    """Return the endpoints that the environment was made with."""
    annotations = namespace["metadata"].get("annotations") or {}
    return [name for name in annotations.get(ENDPOINTS, "").split(",") if name]


def _worst(endpoints: Iterable[EndpointObservation]) -> EndpointObservation:
    """Return what stands for all: what failed, else what still starts, else what runs."""
    worst = EndpointObservation(phase=Phase.RUNNING)
    for endpoint in endpoints:
        if endpoint.phase == Phase.FAILED:
            return endpoint
        if endpoint.phase != Phase.RUNNING and (
            worst.phase == Phase.RUNNING or worst.reason in {ReasonCode.NONE, ReasonCode.PENDING}
        ):
            worst = endpoint
    return worst


def _endpoint(name: str, pod: Manifest | None, now: datetime) -> EndpointObservation:
    if pod is None:
        # Pods are all there before the first look, so this one has been taken away.
        return EndpointObservation(Phase.FAILED, ReasonCode.VANISHED, f"{name} is gone.")
    standing = pod_standing(pod, name, now)
    if standing.phase == Phase.SUCCEEDED:
        standing = Standing(Phase.FAILED, ReasonCode.CRASHED, f"{name} ended.")
    return EndpointObservation(
        phase=standing.phase,
        reason=standing.reason,
        message=standing.message,
        host=str((pod.get("status") or {}).get("podIP") or ""),
        ports={port: port for port in _ports(pod)},
        log_tail=standing.log_tail,
    )


def _ports(pod: Manifest) -> list[int]:
    return [
        port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
    ]


def _job_key(labels: Mapping[str, str]) -> JobKey | None:
    run = labels.get(RUN, "")
    return (labels.get(ENDPOINT, ""), int(run)) if run.isdecimal() else None


def _job(job: Manifest, pod: Manifest | None, now: datetime) -> JobObservation:
    conditions = {
        condition["type"]: condition
        for condition in (job.get("status") or {}).get("conditions") or ()
        if condition.get("status") == "True"
    }
    if "Complete" in conditions:
        return JobObservation(Phase.SUCCEEDED)
    standing = _helper_standing(pod, now)
    if (failed := conditions.get("Failed")) is not None:
        message = standing.message or "the job failed."
        if failed.get("reason") == "DeadlineExceeded":
            seconds = job["spec"].get("activeDeadlineSeconds")
            message = f"it took longer than {seconds} s."
        log_tail = standing.log_tail or str(failed.get("message") or "")
        return JobObservation(Phase.FAILED, message, log_tail)
    if job["metadata"].get("deletionTimestamp"):
        return JobObservation(Phase.FAILED, "the job was removed.")
    if standing.phase == Phase.FAILED:
        # Nothing is tried twice, so the job's own word would only come later.
        return JobObservation(Phase.FAILED, standing.message, standing.log_tail)
    if standing.phase == Phase.STARTING:
        return JobObservation(Phase.STARTING, standing.message)
    return JobObservation(Phase.RUNNING)


def _helper_standing(pod: Manifest | None, now: datetime) -> Standing:
    if pod is None:
        return Standing(Phase.STARTING, ReasonCode.PENDING)
    standing = pod_standing(pod, "the job", now)
    if standing.reason == ReasonCode.FOLDER_MISSING:
        return Standing(
            standing.phase,
            standing.reason,
            "the lesson's files could not be fetched.",
            standing.log_tail,
        )
    return standing

"""From lists of namespaces, pods and jobs to what the scheduler wants to know: pure functions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from scheduler.backends.base import (
    ABSENT,
    EndpointObservation,
    EnvironmentObservation,
    EnvironmentRef,
    JobObservation,
    Phase,
    ReasonCode,
    check_name,
    is_check,
)
from scheduler.backends.file_checks import KEPT_CHECKS, read_verdict
from scheduler.backends.kubernetes.deletion import is_terminating, obstacles
from scheduler.backends.kubernetes.labels import (
    ENDPOINT,
    ENDPOINTS,
    OBJECTIVE,
    ROLE,
    RUN,
    STAGE,
    Role,
    ref_of,
)
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import CHECK_CONTAINER, namespace_name
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
        if labels.get(ROLE) in {Role.CONFIGURATION, Role.CHECK}:
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
        labels = job["metadata"].get("labels") or {}
        key = _job_key(labels)
        if key is not None:
            look = _check if labels.get(ROLE) == Role.CHECK else _job
            found[key] = look(job, helpers.get(key), now)
    worst = _worst(endpoints.values())
    return EnvironmentObservation(
        phase=worst.phase,
        reason=worst.reason,
        message=worst.message,
        endpoints=endpoints,
        jobs=_without_old_checks(found),
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
    run, stage = labels.get(RUN, ""), labels.get(STAGE, "")
    if not run.isdecimal():
        return None
    if labels.get(ROLE) != Role.CHECK:
        return labels.get(ENDPOINT, ""), int(run)
    return (check_name(int(stage), labels.get(OBJECTIVE, "")), int(run)) if stage else None


def _without_old_checks(jobs: Mapping[JobKey, JobObservation]) -> dict[JobKey, JobObservation]:
    """Leave out the runs of checks that the cluster has not yet removed."""
    runs: dict[str, list[int]] = defaultdict(list)
    for name, run in jobs:
        runs[name].append(run)
    newest = {name: sorted(numbers)[-KEPT_CHECKS:] for name, numbers in runs.items()}
    return {
        (name, run): job
        for (name, run), job in jobs.items()
        if not is_check(name) or run in newest[name]
    }


def _check(job: Manifest, pod: Manifest | None, now: datetime) -> JobObservation:
    """Read a check's verdict from its pod, which tells more than the job, and earlier."""
    if (verdict := read_verdict(_last_words(pod))) is not None:
        phase = Phase.SUCCEEDED if verdict.outcome == "passed" else Phase.FAILED
        broken = verdict.outcome == "broken"
        return JobObservation(phase, verdict.message, verdict.log_tail, broken=broken)
    seen = _job(job, pod, now)
    return replace(seen, broken=seen.phase == Phase.FAILED)


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
    # Nothing is run or tried twice, so the job's own word would only come a second later.
    if standing.phase == Phase.SUCCEEDED:
        return JobObservation(Phase.SUCCEEDED)
    if job["metadata"].get("deletionTimestamp"):
        return JobObservation(Phase.FAILED, "the job was removed.")
    if standing.phase == Phase.FAILED:
        return JobObservation(Phase.FAILED, standing.message, standing.log_tail)
    if standing.phase == Phase.STARTING:
        return JobObservation(Phase.STARTING, standing.message)
    return JobObservation(Phase.RUNNING)


def _last_words(pod: Manifest | None) -> str:
    """Return the termination message of a check."""
    for container in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        if container.get("name") == CHECK_CONTAINER:
            ended = (container.get("state") or {}).get("terminated") or {}
            return str(ended.get("message") or "")
    return ""


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

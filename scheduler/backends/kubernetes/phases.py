"""What a pod's status means: a phase, and a reason that a learner understands."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.backends.base import Phase, ReasonCode
from scheduler.backends.kubernetes.manifests.types import Manifest

CRASHES_ALLOWED = 1
"""Restarts that may be an endpoint's teething trouble; more is a crash loop."""

_PATIENCE = timedelta(seconds=30)
_NEVER_PULLED = {"ErrImageNeverPull", "InvalidImageName"}
_PULL_FAILED = {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"}
_NO_SUCH_IMAGE = (
    "not found",
    "manifest unknown",
    "does not exist",
    "repository name not known",
    "denied",
    "unauthorized",
    "forbidden",
    "no basic auth credentials",
    "no match for platform",
    "invalid reference",
)
"""What registries answer, by way of the container runtime, for what waiting does not change."""
_NODE_REFUSES = {
    "SysctlForbidden": "The cluster does not let {name} forward packets.",
    "AppArmor": "The cluster's nodes cannot confine {name} as they should.",
    "PodOSNotSupported": "The cluster's nodes have the wrong operating system for {name}.",
}
"""Why kubelets do not admit a pod, for what another attempt does not change."""
_CANNOT_CREATE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_NO_ROOM = ("insufficient ", "too many pods")
_LONGEST_LOG = 4000


@dataclass(frozen=True, slots=True)
class Standing:
    """How one pod stands; an empty ``message`` leaves the sentence to the scheduler."""

    phase: Phase
    reason: ReasonCode = ReasonCode.NONE
    message: str = ""
    log_tail: str = ""


def parse_time(text: str) -> datetime:
    """Read a time as Kubernetes writes it."""
    return datetime.fromisoformat(text)


def pod_standing(pod: Manifest, name: str, now: datetime) -> Standing:
    """Return how a pod stands; ``name`` is what learners call it.

    SUCCEEDED is for pods that are meant to end.
    """
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return Standing(Phase.FAILED, ReasonCode.VANISHED, f"{name} was removed.")
    if status.get("phase") == "Failed":
        return _failed(status, name)
    if status.get("phase") == "Succeeded":
        return Standing(Phase.SUCCEEDED)
    if (waiting := _unscheduled(status)) is not None:
        return waiting
    for is_init, container in _containers(status):
        if (trouble := _trouble(status, container, name, now, is_init=is_init)) is not None:
            return trouble
    return _progress(status, name)


def _containers(status: Manifest) -> Iterator[tuple[bool, Manifest]]:
    for container in status.get("initContainerStatuses") or ():
        yield True, container
    for container in status.get("containerStatuses") or ():
        yield False, container


def _failed(status: Manifest, name: str) -> Standing:
    """Explain a pod that has ended for good: by its node's decision, or by its own."""
    reason, text = status.get("reason") or "", status.get("message") or ""
    if reason.startswith("OutOf"):
        return Standing(Phase.FAILED, ReasonCode.NO_CAPACITY, log_tail=text)
    if reason in _NODE_REFUSES:
        message = _NODE_REFUSES[reason].format(name=name)
        return Standing(Phase.FAILED, ReasonCode.REJECTED, message, log_tail=text)
    if reason or _condition(status, "DisruptionTarget") == "True":
        verb = "was evicted" if reason == "Evicted" else "was ended by the cluster"
        return Standing(Phase.FAILED, ReasonCode.VANISHED, f"{name} {verb}.", log_tail=text)
    for is_init, container in _containers(status):
        ended = _ended(container)
        if ended is not None and ended.get("exitCode") != 0:
            return _crash(ended, name, is_init=is_init)
    return Standing(Phase.FAILED, ReasonCode.CRASHED, f"{name} ended.", log_tail=text)


def _unscheduled(status: Manifest) -> Standing | None:
    if _condition(status, "PodScheduled") != "False":
        return None
    text = str(_condition_of(status, "PodScheduled").get("message") or "")
    no_room = any(sign in text.lower() for sign in _NO_ROOM)
    reason = ReasonCode.NO_CAPACITY if no_room else ReasonCode.UNSCHEDULABLE
    # A cluster that grows by itself needs minutes, so only the scheduler's patience ends this.
    return Standing(Phase.STARTING, reason, log_tail=text)


def _trouble(
    status: Manifest, container: Manifest, name: str, now: datetime, *, is_init: bool
) -> Standing | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, text = waiting.get("reason") or "", waiting.get("message") or ""
    if reason in _NEVER_PULLED | _PULL_FAILED:
        return _image_trouble(container, reason, text, name)
    ended = _ended(container)
    # A fetch that failed has already tried for a while.
    allowed = 0 if is_init else CRASHES_ALLOWED
    if (
        ended is not None
        # A fetch is meant to end, an endpoint is not.
        and (ended.get("exitCode") != 0 or not is_init)
        and reason in {"CrashLoopBackOff", ""}
        and not _runs(container)
        and container.get("restartCount", 0) > allowed
    ):
        return _crash(ended, name, is_init=is_init)
    if reason == "CrashLoopBackOff":
        tail = _tail(ended or {})
        return Standing(Phase.STARTING, ReasonCode.PENDING, f"{name} starts again.", log_tail=tail)
    if reason in _CANNOT_CREATE:
        return _creation_trouble(status, text, name, now)
    return None


def _image_trouble(container: Manifest, reason: str, text: str, name: str) -> Standing:
    image = container.get("image") or ""
    if reason in _NEVER_PULLED or any(sign in text.lower() for sign in _NO_SUCH_IMAGE):
        return Standing(
            Phase.FAILED,
            ReasonCode.IMAGE_MISSING,
            f"The image {image} of {name} is not available.",
            log_tail=text,
        )
    return Standing(
        Phase.STARTING,
        ReasonCode.IMAGE_PULL,
        f"The image of {name} could not be fetched yet; it is tried again.",
        log_tail=text,
    )


def _creation_trouble(status: Manifest, text: str, name: str, now: datetime) -> Standing:
    started = status.get("startTime")
    if started and now - parse_time(started) > _PATIENCE:
        return Standing(
            Phase.FAILED, ReasonCode.REJECTED, f"{name} cannot be created.", log_tail=text
        )
    return Standing(Phase.STARTING, ReasonCode.PENDING, log_tail=text)


def _progress(status: Manifest, name: str) -> Standing:
    for container in status.get("initContainerStatuses") or ():
        if _runs(container):
            return Standing(
                Phase.STARTING, ReasonCode.PENDING, f"Fetching the lesson's files for {name}."
            )
    containers = status.get("containerStatuses") or ()
    if containers and all(map(_runs, containers)) and status.get("podIP"):
        return Standing(Phase.RUNNING)
    if _condition(status, "PodReadyToStartContainers") == "True":
        # With its network in place, a pod waits for nothing but its images.
        return Standing(Phase.STARTING, ReasonCode.IMAGE_PULL, f"Fetching the image of {name}.")
    return Standing(Phase.STARTING, ReasonCode.PENDING)


def _crash(ended: Manifest, name: str, *, is_init: bool) -> Standing:
    if is_init:
        return Standing(Phase.FAILED, ReasonCode.FOLDER_MISSING, log_tail=_tail(ended))
    if ended.get("reason") == "OOMKilled":
        message = f"{name} needs more memory than it may have."
    elif ended.get("exitCode") == 0:
        message = f"{name} ended by itself."
    else:
        message = f"{name} ended with exit code {ended.get('exitCode')}."
    return Standing(Phase.FAILED, ReasonCode.CRASHED, message, log_tail=_tail(ended))


def _runs(container: Manifest) -> bool:
    return (container.get("state") or {}).get("running") is not None


def _ended(container: Manifest) -> Manifest | None:
    """Return how a container ended, the last time that it did."""
    for state in ("state", "lastState"):
        ended: Manifest | None = (container.get(state) or {}).get("terminated")
        if ended is not None:
            return ended
    return None


def _tail(ended: Manifest) -> str:
    return str(ended.get("message") or "")[-_LONGEST_LOG:].strip()


def _condition(status: Manifest, kind: str) -> str:
    """Return whether a condition is True, False or Unknown; empty where nobody has said."""
    return str(_condition_of(status, kind).get("status") or "")


def _condition_of(status: Manifest, kind: str) -> Manifest:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            found: Manifest = condition
            return found
    return {}

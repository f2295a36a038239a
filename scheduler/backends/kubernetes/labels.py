"""Labels: how an instance finds its own objects again, and nothing else's."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from scheduler.backends.base import EnvironmentRef, EnvironmentSpec
from scheduler.backends.kubernetes.names import dns_label

PREFIX = "syringe.dev/"

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "syringe"
INSTANCE = PREFIX + "instance"
LIVELESSON = PREFIX + "livelesson"
ATTEMPT = PREFIX + "attempt"
SESSION = PREFIX + "session"
LESSON = PREFIX + "lesson"
ENDPOINT = PREFIX + "endpoint"
ROLE = PREFIX + "role"
RUN = PREFIX + "run"
STAGE = PREFIX + "stage"
OBJECTIVE = PREFIX + "objective"

ENDPOINTS = PREFIX + "endpoints"
"""An annotation of the namespace: which endpoints it was made for, separated by commas."""


class Role(StrEnum):
    """What a pod is for."""

    ENDPOINT = "endpoint"
    CONFIGURATION = "configuration"
    CHECK = "check"
    GUIDE = "guide"


def environment_labels(instance: str, spec: EnvironmentSpec) -> dict[str, str]:
    """Return the labels that every object of an environment carries."""
    return {
        MANAGED_BY: MANAGER,
        INSTANCE: instance,
        LIVELESSON: spec.ref.live_lesson_id.hex,
        ATTEMPT: str(spec.ref.attempt),
        SESSION: spec.session_id.hex,
        LESSON: dns_label(spec.lesson.slug),
    }


def endpoint_labels(endpoint: str, role: Role) -> dict[str, str]:
    """Return what an endpoint's pod carries beside; its Service selects by the same."""
    return {ENDPOINT: endpoint, ROLE: role.value}


def instance_selector(instance: str) -> str:
    """Select everything of one instance."""
    return f"{MANAGED_BY}={MANAGER},{INSTANCE}={instance}"


def environments_selector(instance: str, refs: Iterable[EnvironmentRef]) -> str:
    """Select everything of these livelessons, whatever the attempt; ``refs`` is not empty."""
    ids = sorted({ref.live_lesson_id.hex for ref in refs})
    return f"{instance_selector(instance)},{LIVELESSON} in ({','.join(ids)})"


def ref_of(labels: Mapping[str, str]) -> EnvironmentRef | None:
    """Return the environment that an object belongs to, None where its labels name none."""
    name = f"{labels.get(LIVELESSON, '')}-{labels.get(ATTEMPT, '')}"
    try:
        return EnvironmentRef.parse(name)
    except ValueError:
        return None

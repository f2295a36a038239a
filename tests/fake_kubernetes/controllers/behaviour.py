"""What the pods of a test do, scripted by name or image."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tests.fake_kubernetes.objects import Manifest


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The course of a pod; times are in seconds, each after the step before.

    Scheduled after ``schedule``, unless ``unschedulable`` says why not; images there after
    ``pull``, unless ``pull_error`` says why not; each init container runs for ``init``, unless
    ``init_failure`` is its log; ready after ``start``. ``crash`` is the log of containers that
    end with ``exit_code`` at once, again and again; ``exits_after`` lets them end by themselves,
    which a job's do after ``job``. ``evicted_after`` lets a node under pressure evict the pod.
    ``stop`` is how long a pod takes to end when it is deleted. With a ``spread`` each pod is slower
    in starting than said, by a factor between 1 and 1 more than that.
    """

    schedule: float = 0.005
    pull: float = 0.01
    init: float = 0.01
    start: float = 0.01
    stop: float = 0.02
    spread: float = 0
    job: float = 0.05
    backoff: float = 0.05
    unschedulable: str = ""
    pull_error: str = ""
    init_failure: str = ""
    crash: str = ""
    exits_after: float | None = None
    exit_code: int = 0
    log: str = ""
    evicted_after: float | None = None
    never_ready: bool = False

    def drawn(self) -> Behaviour:
        """Return the course of one pod, as slow as chance makes it."""
        factor = 1 + random.uniform(0, self.spread)
        slower = {
            step: factor * getattr(self, step) for step in ("schedule", "pull", "init", "start")
        }
        return replace(self, spread=0, **slower)


def unschedulable(why: str = "1 Insufficient cpu") -> Behaviour:
    """No node has room, or none is allowed; ``why`` as the scheduler says it."""
    return Behaviour(
        unschedulable=f"0/1 nodes are available: {why}. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )


# https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
def image_missing(image: str = "example.com/none:latest") -> Behaviour:
    """The registry does not know the image."""
    return Behaviour(
        pull_error=f'failed to pull and unpack image "{image}": failed to resolve reference '
        f'"{image}": {image}: not found'
    )


def registry_unreachable(image: str = "example.com/none:latest") -> Behaviour:
    """The registry does not answer."""
    return Behaviour(
        pull_error=f'failed to pull and unpack image "{image}": failed to resolve reference '
        f'"{image}": failed to do request: Head "https://example.com/v2/": dial tcp: lookup '
        "example.com: i/o timeout"
    )


def crash_loop(log: str = "Traceback: boom\n", exit_code: int = 1) -> Behaviour:
    """The containers end with an error as soon as they start."""
    return Behaviour(crash=log, exit_code=exit_code)


def init_failure(log: str = "wget: server returned error: HTTP/1.1 404\n") -> Behaviour:
    """The first init container ends with an error."""
    return Behaviour(init_failure=log, exit_code=1)


def job_failure(log: str = "failed\n", *, after: float = 0.05) -> Behaviour:
    """A job's container does something and ends with an error."""
    return Behaviour(exits_after=after, exit_code=1, log=log)


def evicted(after: float = 0.1) -> Behaviour:
    """The pod runs, and is evicted."""
    return Behaviour(evicted_after=after)


class Script:
    """Which pod behaves how: the rule added last wins."""

    def __init__(self, default: Behaviour) -> None:
        self.default = default
        self._lock = threading.Lock()
        self._rules: list[tuple[str, Behaviour]] = []

    def on(self, pattern: str, behaviour: Behaviour) -> None:
        """Script pods whose name, ``namespace/name`` or any image matches a shell pattern."""
        with self._lock:
            self._rules.insert(0, (pattern, behaviour))

    def clear(self) -> None:
        """Let every pod behave by default again; those that live keep to their course."""
        with self._lock:
            self._rules.clear()

    def of(self, pod: Manifest) -> Behaviour:
        """Return how a pod behaves."""
        metadata, spec = pod["metadata"], pod["spec"]
        containers = (*spec["containers"], *(spec.get("initContainers") or ()))
        subjects = [metadata["name"], f"{metadata['namespace']}/{metadata['name']}"]
        subjects += [container.get("image", "") for container in containers]
        with self._lock:
            for pattern, behaviour in self._rules:
                if any(fnmatchcase(subject, pattern) for subject in subjects):
                    return behaviour
        return self.default

"""A Kubernetes cluster for tests: an API over HTTP with the rules of a real one.

Each rule has the address of its documentation beside it. What is left out is said in ``README.md``.
"""

from tests.fake_kubernetes.calls import Call, Calls
from tests.fake_kubernetes.cluster import FakeCluster
from tests.fake_kubernetes.controllers.behaviour import (
    Behaviour,
    crash_loop,
    evicted,
    image_missing,
    init_failure,
    job_failure,
    registry_unreachable,
    unschedulable,
)
from tests.fake_kubernetes.faults import Fault, Faults

__all__ = [
    "Behaviour",
    "Call",
    "Calls",
    "FakeCluster",
    "Fault",
    "Faults",
    "crash_loop",
    "evicted",
    "image_missing",
    "init_failure",
    "job_failure",
    "registry_unreachable",
    "unschedulable",
]

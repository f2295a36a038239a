"""Lessons on a Kubernetes cluster: a namespace for each, fenced before anything runs in it.

The backend comes in when it is asked for, so that what only needs a name or a label does not
load a client for it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduler.backends.kubernetes.backend import KubernetesBackend

__all__ = ["KubernetesBackend"]


def __getattr__(name: str) -> Any:
    if name == "KubernetesBackend":
        from scheduler.backends.kubernetes.backend import KubernetesBackend

        return KubernetesBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

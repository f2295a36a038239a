"""The status of pods, as the kubelet and the scheduler write it.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from typing import Any

from tests.fake_kubernetes.objects import Manifest, now


def set_condition(
    status: Manifest, kind: str, value: str, reason: str = "", message: str = ""
) -> None:
    """Write one condition, True or False; its time moves only when its value does."""
    conditions = status.setdefault("conditions", [])
    old = next((one for one in conditions if one["type"] == kind), None)
    new: Manifest = {"type": kind, "status": value, "lastProbeTime": None}
    same = old is not None and old["status"] == value
    new["lastTransitionTime"] = old["lastTransitionTime"] if old and same else now()
    if reason:
        new["reason"] = reason
    if message:
        new["message"] = message
    if old is None:
        conditions.append(new)
    else:
        conditions[conditions.index(old)] = new


def waiting(reason: str, message: str = "") -> Manifest:
    """A container that does not run yet, or not just now."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def running() -> Manifest:
    """A container that runs."""
    return {"running": {"startedAt": now()}}


# https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
def terminated(container: Manifest, exit_code: int, log: str) -> Manifest:
    """A container that ended; its log's end comes with it only where the pod asked for that."""
    state: dict[str, Any] = {
        "exitCode": exit_code,
        "reason": "Error" if exit_code else "Completed",
        "startedAt": now(),
        "finishedAt": now(),
        "containerID": "containerd://0",
    }
    if exit_code and container["terminationMessagePolicy"] == "FallbackToLogsOnError":
        tail = "".join(log.splitlines(keepends=True)[-80:])
        state["message"] = tail.encode()[-2048:].decode(errors="ignore")
    return {"terminated": state}


def container_status(container: Manifest, state: Manifest, **more: Any) -> Manifest:
    """Return the status of one container."""
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "state": state,
        "lastState": {},
        "ready": False,
        "started": False,
        "restartCount": 0,
        **more,
    }

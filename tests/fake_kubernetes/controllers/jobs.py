"""Jobs with one pod at a time.

https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from __future__ import annotations

from functools import partial

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.controllers.status import set_condition
from tests.fake_kubernetes.deletion import delete
from tests.fake_kubernetes.errors import ApiError
from tests.fake_kubernetes.loop import Loop
from tests.fake_kubernetes.objects import Manifest, controller_of, copy_of, now
from tests.fake_kubernetes.registry import Registry, generated_name
from tests.fake_kubernetes.store import Change, Key

RETRY_SECONDS = 0.1


class Jobs:
    """Creates jobs' pods and reads their end; since 1.31 a condition announces the last one.

    ``late`` is for how long changes of pods are gathered, which on a real cluster is a second:
    https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/controller/job/job_controller.go
    """

    def __init__(self, registry: Registry, loop: Loop, *, announces: bool, late: float) -> None:
        self._registry = registry
        self._store = registry.store
        self._loop = loop
        self._announces = announces
        self._late = late

    def on_change(self, change: Change) -> None:
        """Act on new jobs and on what happens to the pods of jobs."""
        if change.kind is kinds.JOBS and change.before is None and change.after is not None:
            uid = change.after.manifest["metadata"]["uid"]
            self._loop.soon(partial(self._begin, change.key, uid))
        if change.kind is not kinds.PODS or change.before is None:
            return
        pod = (change.after or change.before).manifest
        owner = controller_of(pod)
        if not owner:
            return
        job = next(o for o in pod["metadata"]["ownerReferences"] if o["uid"] == owner)
        if job["kind"] == "Job":
            look = partial(self._look, (change.key[0], job["name"]), owner)
            self._loop.later(self._late, look)

    def _job(self, key: Key, uid: str) -> Manifest | None:
        """Return a job that is still at work."""
        job = self._store.get(kinds.JOBS, key)
        if job is None or job["metadata"]["uid"] != uid or _finished(job):
            return None
        return None if "deletionTimestamp" in job["metadata"] else job

    def _begin(self, key: Key, uid: str) -> None:
        with self._store.lock:
            job = self._job(key, uid)
            if job is None or job["spec"]["suspend"]:
                return
            self._store.edit(kinds.JOBS, key, lambda job: job["status"].update(startTime=now()))
        deadline = job["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            self._loop.later(deadline, partial(self._too_late, key, uid))
        self._create_pod(key, uid)

    def _create_pod(self, key: Key, uid: str) -> None:
        with self._store.lock:
            job = self._job(key, uid)
            if job is None:
                return
            template = copy_of(job["spec"]["template"])
            name = job["metadata"]["name"]
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **template.get("metadata", {}),
                    "name": generated_name(f"{name}-"),
                    "generateName": f"{name}-",
                    "namespace": key[0],
                    "ownerReferences": [
                        {
                            "apiVersion": "batch/v1",
                            "kind": "Job",
                            "name": name,
                            "uid": uid,
                            "controller": True,
                            "blockOwnerDeletion": True,
                        }
                    ],
                },
                "spec": template["spec"],
            }
            try:
                self._registry.create(kinds.PODS, pod, manager="")
            except ApiError:
                # Nothing but an event tells of it on a real cluster, which tries again.
                self._loop.later(RETRY_SECONDS, partial(self._create_pod, key, uid))
                return
        self._look(key, uid)

    def _pods(self, key: Key, uid: str) -> list[Manifest]:
        pods = self._store.in_namespace(kinds.PODS, key[0])
        return [pod for pod in pods if controller_of(pod) == uid]

    def _look(self, key: Key, uid: str) -> None:
        """Count the pods, and begin or end what follows from it."""
        with self._store.lock:
            job = self._job(key, uid)
            if job is None:
                return
            pods = self._pods(key, uid)
            phases = [pod["status"]["phase"] for pod in pods]
            failed, active = phases.count("Failed"), [p for p in pods if _active(p)]
            failed += max(0, job["status"].get("failed", 0) - failed)
            ready = sum(_ready(pod) for pod in active)

            def count(job: Manifest) -> None:
                figures = {"active": len(active), "failed": failed}
                figures["succeeded"] = phases.count("Succeeded")
                for name, number in figures.items():
                    job["status"].pop(name, None)
                    if number:
                        job["status"][name] = number
                job["status"]["ready"] = ready

            self._store.edit(kinds.JOBS, key, count)
            restarts = sum(
                state["restartCount"]
                for pod in active
                for state in pod["status"].get("containerStatuses") or ()
            )
            limit = job["spec"]["backoffLimit"]
            if "Succeeded" in phases:
                self._finish(
                    key,
                    uid,
                    "Complete",
                    "CompletionsReached",
                    "Reached expected number of succeeded pods",
                )
            elif failed > limit or (restarts > limit and active):
                self._finish(
                    key,
                    uid,
                    "Failed",
                    "BackoffLimitExceeded",
                    "Job has reached the specified backoff limit",
                )
            elif not active:
                self._loop.later(RETRY_SECONDS if failed else 0, partial(self._again, key, uid))

    def _again(self, key: Key, uid: str) -> None:
        if not any(_active(pod) for pod in self._pods(key, uid)):
            self._create_pod(key, uid)

    def _too_late(self, key: Key, uid: str) -> None:
        with self._store.lock:
            if self._job(key, uid) is not None:
                self._finish(
                    key,
                    uid,
                    "Failed",
                    "DeadlineExceeded",
                    "Job was active longer than specified deadline",
                )

    def _finish(self, key: Key, uid: str, kind: str, reason: str, message: str) -> None:
        announcement = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"

        def announce(job: Manifest) -> None:
            set_condition(job["status"], announcement, "True", reason, message)

        def end(job: Manifest) -> None:
            status = job["status"]
            set_condition(status, kind, "True", reason, message)
            status.pop("active", None)
            status["ready"] = 0
            if kind == "Complete":
                status["completionTime"] = now()
            elif not status.get("failed"):
                status["failed"] = 1

        if self._announces:
            self._store.edit(kinds.JOBS, key, announce)
        for pod in self._pods(key, uid):
            if _active(pod):
                place = (key[0], pod["metadata"]["name"])
                delete(self._store, kinds.PODS, place, {"propagationPolicy": "Background"})
        job = self._store.edit(kinds.JOBS, key, end)
        # https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/
        ttl = (job or {"spec": {}})["spec"].get("ttlSecondsAfterFinished")
        if ttl is not None:
            self._loop.later(ttl, partial(self._expire, key, uid))

    def _expire(self, key: Key, uid: str) -> None:
        with self._store.lock:
            job = self._store.get(kinds.JOBS, key)
            if job is not None and job["metadata"]["uid"] == uid:
                delete(self._store, kinds.JOBS, key, {"propagationPolicy": "Foreground"})


def _finished(job: Manifest) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _active(pod: Manifest) -> bool:
    ended = pod["status"]["phase"] in ("Succeeded", "Failed")
    return not ended and "deletionTimestamp" not in pod["metadata"]


def _ready(pod: Manifest) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

"""The scheduler and the nodes: pods go through the states that real ones go through.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.admission.pod_security import SAFE_SYSCTLS
from tests.fake_kubernetes.controllers import multus
from tests.fake_kubernetes.controllers.behaviour import Behaviour, Script
from tests.fake_kubernetes.controllers.ports import PodPorts
from tests.fake_kubernetes.controllers.status import (
    container_status,
    running,
    set_condition,
    terminated,
    waiting,
)
from tests.fake_kubernetes.deletion import finish
from tests.fake_kubernetes.loop import Loop
from tests.fake_kubernetes.objects import Manifest, controller_of, now
from tests.fake_kubernetes.store import Change, Key, Store

NODE = "node-1"
HOST_IP = "127.0.0.1"


class Kubelet:
    """Runs pods; ``logs`` is where ``/log`` reads."""

    def __init__(
        self,
        store: Store,
        loop: Loop,
        script: Script,
        *,
        logs: dict[Key, str],
        ports: PodPorts | None,
        unsafe_sysctls: Sequence[str],
        multus_installed: bool,
    ) -> None:
        self._store = store
        self._loop = loop
        self._script = script
        self._logs = logs
        self._ports = ports
        self.unsafe_sysctls = unsafe_sysctls
        self.multus = multus_installed
        self._addresses = itertools.count(1)

    def on_change(self, change: Change) -> None:
        """Begin with new pods, end those to be deleted."""
        if change.kind is not kinds.PODS:
            return
        if change.after is None:
            self._loop.soon(partial(self._clean_up, change.key, change.before.manifest))  # type: ignore[union-attr]
            return
        pod = change.after.manifest
        if change.before is None:
            behaviour = self._script.of(pod).drawn()
            uid = pod["metadata"]["uid"]
            self._loop.later(
                behaviour.schedule, partial(_Pod(self, change.key, uid, behaviour).schedule)
            )
        elif (
            "deletionTimestamp" in pod["metadata"]
            and "deletionTimestamp" not in change.before.manifest["metadata"]
        ):
            behaviour = self._script.of(pod)
            uid = pod["metadata"]["uid"]
            self._loop.later(behaviour.stop, partial(self._end, change.key, uid))

    def _end(self, key: Key, uid: str) -> None:
        def stopped(pod: Manifest) -> None:
            pod["metadata"]["deletionGracePeriodSeconds"] = 0
            for status in pod["status"].get("containerStatuses") or ():
                status["ready"] = False
            set_condition(pod["status"], "Ready", "False")

        with self._store.lock:
            pod = self._store.get(kinds.PODS, key)
            if pod is not None and pod["metadata"]["uid"] == uid:
                self._store.edit(kinds.PODS, key, stopped)
                finish(self._store, kinds.PODS, key)

    def _clean_up(self, key: Key, pod: Manifest) -> None:
        self._logs.pop(key, None)
        if self._ports is not None:
            self._ports.close(pod["metadata"]["uid"])

    def address(self, pod: Manifest) -> str:
        """Return an address of its own for a pod, with its ports open where that is wanted."""
        while True:
            number = next(self._addresses)
            address = f"127.{64 + number // 62500 % 190}.{number // 250 % 250}.{number % 250 + 1}"
            if self._ports is None or self._ports.open(pod, address):
                return address


class _Pod:
    """The course of one pod, each step a call on the loop."""

    def __init__(self, kubelet: Kubelet, key: Key, uid: str, behaviour: Behaviour) -> None:
        self._kubelet = kubelet
        self._store = kubelet._store
        self._loop = kubelet._loop
        self._key = key
        self._uid = uid
        self._behaviour = behaviour

    def _write(self, change: Callable[[Manifest], None]) -> Manifest | None:
        """Change the pod, unless it is gone, replaced, at its end or on its way out."""
        with self._store.lock:
            pod = self._store.get(kinds.PODS, self._key)
            if (
                pod is None
                or pod["metadata"]["uid"] != self._uid
                or "deletionTimestamp" in pod["metadata"]
                or pod["status"]["phase"] in ("Succeeded", "Failed")
            ):
                return None
            return self._store.edit(kinds.PODS, self._key, change)

    def _then(
        self, seconds: float, change: Callable[[Manifest], None], step: Callable[[], None] | None
    ) -> None:
        if self._write(change) is not None and step is not None:
            self._loop.later(seconds, step)

    def schedule(self) -> None:
        """Find a node, or say why there is none."""
        behaviour = self._behaviour
        with self._store.lock:
            pod = self._store.get(kinds.PODS, self._key)
            if pod is None:
                return
            why = behaviour.unschedulable or self._no_node(pod)

        def refuse(pod: Manifest) -> None:
            set_condition(pod["status"], "PodScheduled", "False", "Unschedulable", why)

        def bind(pod: Manifest) -> None:
            pod["spec"]["nodeName"] = NODE
            set_condition(pod["status"], "PodScheduled", "True")

        if why:
            self._write(refuse)
        else:
            self._then(0, bind, self._accept)

    def _no_node(self, pod: Manifest) -> str:
        """https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodeselector"""
        wanted = (pod["spec"].get("nodeSelector") or {}).items()
        node = self._store.get(kinds.NODES, ("", NODE)) or {"metadata": {}}
        if wanted <= (node["metadata"].get("labels") or {}).items():
            return ""
        return (
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. "
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )

    # https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#enabling-unsafe-sysctls
    def _refused_sysctls(self) -> bool:
        """Let a pod fail for good whose sysctls the node does not allow."""
        pod = self._store.get(kinds.PODS, self._key)
        context = (pod or {"spec": {}})["spec"].get("securityContext") or {}
        allowed = SAFE_SYSCTLS.union(self._kubelet.unsafe_sysctls)
        names = [s["name"] for s in context.get("sysctls") or () if s["name"] not in allowed]
        if not names:
            return False

        def refuse(pod: Manifest) -> None:
            message = f'forbidden sysctl: "{names[0]}" not allowlisted'
            pod["status"].update(phase="Failed", reason="SysctlForbidden", message=message)

        self._write(refuse)
        return True

    def _accept(self) -> None:
        if self._refused_sysctls():
            return

        def accept(pod: Manifest) -> None:
            spec, status = pod["spec"], pod["status"]
            status["hostIP"] = HOST_IP
            status["hostIPs"] = [{"ip": HOST_IP}]
            status["startTime"] = now()
            inits = spec.get("initContainers") or ()
            names = " ".join(container["name"] for container in spec["containers"])
            unready = ("ContainersNotReady", f"containers with unready status: [{names}]")
            set_condition(status, "PodReadyToStartContainers", "False")
            if inits:
                waiting_for = " ".join(container["name"] for container in inits)
                message = f"containers with incomplete status: [{waiting_for}]"
                set_condition(status, "Initialized", "False", "ContainersNotInitialized", message)
            else:
                set_condition(status, "Initialized", "True")
            set_condition(status, "Ready", "False", *unready)
            set_condition(status, "ContainersReady", "False", *unready)
            reason = "PodInitializing" if inits else "ContainerCreating"
            status["containerStatuses"] = [
                container_status(container, waiting(reason)) for container in spec["containers"]
            ]
            if inits:
                status["initContainerStatuses"] = [
                    container_status(container, waiting("PodInitializing")) for container in inits
                ]

        failing = self._behaviour.pull_error
        self._then(self._behaviour.pull, accept, self._pull_failed if failing else self._sandbox)

    def _pull_failed(self, *, backoff: bool = False) -> None:
        def fail(pod: Manifest) -> None:
            status = pod["status"]
            field = "initContainerStatuses" if "initContainerStatuses" in status else ""
            for container in status[field or "containerStatuses"]:
                image = container["image"]
                container["state"] = (
                    waiting(
                        "ImagePullBackOff",
                        f'Back-off pulling image "{image}": ErrImagePull: '
                        + self._behaviour.pull_error,
                    )
                    if backoff
                    else waiting("ErrImagePull", self._behaviour.pull_error)
                )

        self._then(self._behaviour.backoff, fail, partial(self._pull_failed, backoff=not backoff))

    def _sandbox(self) -> None:
        with self._store.lock:
            pod = self._store.get(kinds.PODS, self._key)
            if pod is None or pod["metadata"]["uid"] != self._uid:
                return
            if self._kubelet.multus and multus.problem(self._store, pod):
                # Nothing but an event tells of it: the pod stays in ContainerCreating.
                self._loop.later(self._behaviour.backoff, self._sandbox)
                return

        def connect(pod: Manifest) -> None:
            address = self._kubelet.address(pod)
            pod["status"]["podIP"] = address
            pod["status"]["podIPs"] = [{"ip": address}]
            set_condition(pod["status"], "PodReadyToStartContainers", "True")

        pod = self._write(connect)
        if pod is None:
            return
        if pod["spec"].get("initContainers"):
            self._init(0)
        else:
            self._loop.later(self._behaviour.start, self._run)

    def _init(self, place: int) -> None:
        """Run one init container; the next begins when it has ended well."""
        if self._behaviour.init_failure:
            self._init_fails()
            return

        def begin(pod: Manifest) -> None:
            states = pod["status"]["initContainerStatuses"]
            if place:
                _completed(pod, states[place - 1])
            states[place]["state"] = running()
            states[place]["started"] = True

        pod = self._write(begin)
        if pod is None:
            return
        last = place + 1 == len(pod["spec"]["initContainers"])
        self._loop.later(
            self._behaviour.init, self._initialized if last else partial(self._init, place + 1)
        )

    def _initialized(self) -> None:
        def end(pod: Manifest) -> None:
            _completed(pod, pod["status"]["initContainerStatuses"][-1])
            set_condition(pod["status"], "Initialized", "True")

        self._then(self._behaviour.start, end, self._run)

    def _init_fails(self) -> None:
        log = self._behaviour.init_failure
        self._kubelet._logs[self._key] = log

        def fail(pod: Manifest) -> None:
            status = pod["status"]
            container, state = pod["spec"]["initContainers"][0], status["initContainerStatuses"][0]
            end = terminated(container, self._behaviour.exit_code or 1, log)
            self._ended(pod, state, end)
            if status["phase"] == "Failed":
                status["reason"] = ""

        self._then(self._behaviour.backoff, fail, self._init_fails)

    def _ended(self, pod: Manifest, state: Manifest, end: Manifest) -> None:
        """Write a container's end: for good, or until it is started again after a while."""
        code = end["terminated"]["exitCode"]
        policy = pod["spec"]["restartPolicy"]
        state["ready"] = state["started"] = False
        if policy == "Never" or (policy == "OnFailure" and not code):
            state["state"] = end
            pod["status"]["phase"] = "Failed" if code else "Succeeded"
            reason = "PodFailed" if code else "PodCompleted"
            set_condition(pod["status"], "Ready", "False", reason)
            set_condition(pod["status"], "ContainersReady", "False", reason)
            return
        state["restartCount"] += 1
        state["lastState"] = end
        state["state"] = waiting(
            "CrashLoopBackOff",
            f"back-off 10s restarting failed container={state['name']} "
            f"pod={pod['metadata']['name']}_{pod['metadata']['namespace']}({self._uid})",
        )
        set_condition(pod["status"], "Ready", "False", "ContainersNotReady")

    def _run(self) -> None:
        behaviour = self._behaviour
        if behaviour.crash:
            self._exit(behaviour.exit_code, behaviour.crash)
            return
        self._kubelet._logs[self._key] = behaviour.log

        def run(pod: Manifest) -> None:
            status = pod["status"]
            status["phase"] = "Running"
            for container in status["containerStatuses"]:
                container.update(state=running(), ready=not behaviour.never_ready, started=True)
                container["imageID"] = "sha256:0"
            if not behaviour.never_ready:
                set_condition(status, "ContainersReady", "True")
                set_condition(status, "Ready", "True")

        pod = self._write(run)
        if pod is None:
            return
        after = behaviour.exits_after
        if after is None and controller_of(pod):
            after = behaviour.job
        if after is not None:
            self._loop.later(after, partial(self._exit, behaviour.exit_code, behaviour.log))
        if behaviour.evicted_after is not None:
            self._loop.later(behaviour.evicted_after, self._evict)

    def _exit(self, code: int, log: str) -> None:
        self._kubelet._logs[self._key] = log

        def end(pod: Manifest) -> None:
            if pod["spec"]["restartPolicy"] != "Never":
                pod["status"]["phase"] = "Running"
            pairs = zip(pod["spec"]["containers"], pod["status"]["containerStatuses"], strict=True)
            for container, state in pairs:
                self._ended(pod, state, terminated(container, code, log))

        self._then(self._behaviour.backoff, end, partial(self._exit, code, log))

    # https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
    def _evict(self) -> None:
        def evict(pod: Manifest) -> None:
            status = pod["status"]
            message = "The node was low on resource: memory."
            status.update(phase="Failed", reason="Evicted", message=message)
            set_condition(status, "DisruptionTarget", "True", "TerminationByKubelet", message)
            set_condition(status, "Ready", "False", "PodFailed")

        self._write(evict)


def _completed(pod: Manifest, state: Manifest) -> None:
    container = next(c for c in pod["spec"]["initContainers"] if c["name"] == state["name"])
    state.update(state=terminated(container, 0, ""), ready=True, started=False)

"""The contract of ``scheduler.backends.base``, kept by a cluster's API server."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Lock
from typing import Any
from uuid import UUID

from django.conf import settings

from scheduler.backends.base import (
    BackendRejected,
    BackendUnavailable,
    EnvironmentObservation,
    EnvironmentRef,
    EnvironmentSpec,
    Login,
    ReasonCode,
    RuntimeBackend,
)
from scheduler.backends.kubernetes import manifests, preflight
from scheduler.backends.kubernetes.client import Cluster, load_api
from scheduler.backends.kubernetes.deletion import (
    is_ours,
    is_stuck,
    is_terminating,
    may_have_pods,
    obstacles,
)
from scheduler.backends.kubernetes.failures import unknown_kind
from scheduler.backends.kubernetes.labels import environments_selector, instance_selector, ref_of
from scheduler.backends.kubernetes.manifests.credentials import DEFAULT_USER
from scheduler.backends.kubernetes.manifests.limits import QUOTA
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import namespace_name
from scheduler.backends.kubernetes.observation import Listed, namespaces_of, observations
from scheduler.backends.kubernetes.options import Options, current_options
from scheduler.backends.kubernetes.resources import RESOURCES
from scheduler.backends.kubernetes.watching import Watcher
from syringe_project.kubernetes_environment import KubernetesEnvironment

logger = logging.getLogger(__name__)

MAX_REFS = 100
"""Livelessons that a list call names: their ids are part of its address, which servers limit.

For more, everything of this installation is listed.
"""

_SENDERS = 8
"""Calls at once besides those of the scheduler's own threads, however many starts there are."""

_ENSURE_TIMEOUTS = 4
"""How many times the longest call a whole start may take, for the lease that it runs under."""


class KubernetesBackend(RuntimeBackend):
    """A namespace for each environment; see ``manifests`` for what is in it.

    One instance serves several threads. It keeps nothing that another process would miss.
    """

    label = "kubernetes"

    def __init__(self) -> None:
        self._lock = Lock()
        self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix="kubernetes")
        self._connected: tuple[KubernetesEnvironment, Cluster] | None = None
        self._known_kinds: set[str] = set()
        self._reported: set[str] = set()

    @property
    def runs_guides(self) -> bool:
        """Only with a domain: Jupyter's pages have absolute addresses, so they need a host name."""
        return bool(current_options().settings.ingress_domain)

    def ensure(self, spec: EnvironmentSpec) -> None:
        """Create what is missing, pods after all else; repeated, it changes nothing."""
        cluster = self._cluster()
        options = _with_overhead(current_options(), cluster)
        namespace, *contents = manifests.environment_manifests(spec, options)
        end = time.monotonic() + _ENSURE_TIMEOUTS * options.settings.timeout_seconds
        self._check_kinds(cluster, contents)
        is_new = self._ensure_namespace(cluster, namespace, options.instance, spec.ref)
        if not is_new:
            pods = [manifest for manifest in contents if manifest["kind"] == "Pod"]
            missing = _missing(cluster, pods, options.instance, spec.ref)
            if not missing:
                # Pods come last, so nothing else is missing.
                return
            # Servers charge the quota for what is asked for again, although it is there.
            contents = [one for one in contents if one["kind"] != "Pod" or one in missing]

        # Pods need all the rest, which is nothing to each other.
        sent = [
            self._senders.submit(_apply, cluster, one, end)
            for one in contents
            if one["kind"] != "Pod"
        ]
        wait(sent)
        for one in sent:
            one.result()
        # One after the other: servers that charge a quota for several at once begin anew for each.
        [quota] = (one for one in contents if one["kind"] == "ResourceQuota")
        for pod in contents:
            if pod["kind"] == "Pod":
                _check_time(end)
                _create_pod(cluster, pod, quota, options.instance, spec.ref)

    def observe(
        self, refs: Sequence[EnvironmentRef]
    ) -> Mapping[EnvironmentRef, EnvironmentObservation]:
        """Report them by a list of each kind, however many there are."""
        if not refs:
            return {}
        cluster = self._cluster()
        instance = settings.SYRINGE_INSTANCE
        many = len(refs) > MAX_REFS
        labels = instance_selector(instance) if many else environments_selector(instance, refs)
        listing = self._senders.submit(cluster.list, "Namespace", labels=labels, paged=many)
        # A job's pod ends first and tells more, so it must not look older than its job.
        jobs = cluster.list("Job", labels=labels, paged=many).items
        pods = cluster.list("Pod", labels=labels, paged=many).items
        namespaces = listing.result().items
        for ref, namespace in namespaces_of(instance, refs, namespaces).items():
            self._urge(cluster, namespace, ref)
        return observations(instance, refs, Listed(namespaces, pods, jobs), _now())

    def configure(self, spec: EnvironmentSpec, *, stage: int, endpoint: str, run: int) -> None:
        options = current_options()
        job = manifests.configuration_job(
            spec, stage=stage, endpoint=endpoint, run=run, options=options
        )
        self._cluster().create(job)

    def run_check(
        self,
        spec: EnvironmentSpec,
        *,
        stage: int,
        slug: str,
        endpoint: str,
        path: str,
        language: str,
        environment: Mapping[str, str],
        timeout_seconds: float,
        run: int,
    ) -> None:
        job = manifests.check_job(
            spec,
            stage=stage,
            slug=slug,
            endpoint=endpoint,
            path=path,
            language=language,
            environment=environment,
            timeout_seconds=timeout_seconds,
            run=run,
            options=current_options(),
        )
        self._cluster().create(job)

    def destroy(self, ref: EnvironmentRef) -> None:
        """Delete the environment's namespace, if it is the one that we made."""
        cluster = self._cluster()
        instance = settings.SYRINGE_INSTANCE
        namespace = cluster.read("Namespace", namespace_name(instance, ref))
        if namespace is None:
            return
        name = namespace["metadata"]["name"]
        if not is_ours(namespace, instance, ref):
            logger.warning("namespace %s is not ours and stays", name)
        elif is_terminating(namespace):
            self._urge(cluster, namespace, ref)
        else:
            cluster.delete("Namespace", name, uid=namespace["metadata"]["uid"])

    def owned(self) -> Iterable[EnvironmentRef]:
        instance = settings.SYRINGE_INSTANCE
        labels = instance_selector(instance)
        found = self._cluster().list("Namespace", labels=labels, paged=True).items
        refs = {ref_of(namespace["metadata"]["labels"]) for namespace in found} - {None}
        return list(namespaces_of(instance, (ref for ref in refs if ref), found))

    def login(self, spec: EnvironmentSpec, endpoint: str) -> Login:
        """Return the image's own login where it has a password, else the environment's."""
        for candidate in spec.lesson.endpoints:
            if candidate.name == endpoint:
                image = candidate.image
                return Login(
                    username=image.ssh_user or DEFAULT_USER,
                    password=image.ssh_password or spec.access_password,
                )
        raise BackendRejected(reason=f"there is no endpoint {endpoint!r}")

    def page_domain(self, ref: EnvironmentRef, *, endpoint: str, presentation: str) -> str:
        return manifests.page_domain(ref, endpoint, presentation, current_options())

    def watch(self, wake: Callable[[Collection[UUID]], None], stop: Event) -> None:
        Watcher(self._cluster(), settings.SYRINGE_INSTANCE, wake).run(stop)

    def preflight(self) -> Sequence[str]:
        return preflight.problems(self._cluster, settings.SYRINGE_KUBERNETES)

    def _check_kinds(self, cluster: Cluster, contents: Iterable[Manifest]) -> None:
        """Refuse what needs an add-on that the cluster lacks, before anything is created."""
        for kind in {m["kind"] for m in contents if RESOURCES[m["kind"]].installed_by}:
            if kind in self._known_kinds:
                continue
            if not cluster.knows(kind):
                raise BackendRejected(
                    reason="the machines here cannot connect endpoints",
                    detail=unknown_kind(RESOURCES[kind]),
                )
            self._known_kinds.add(kind)

    def _ensure_namespace(
        self, cluster: Cluster, manifest: Manifest, instance: str, ref: EnvironmentRef
    ) -> bool:
        """Create the namespace and say whether it is new; refuse one that is not our own."""
        name = manifest["metadata"]["name"]
        if cluster.create(manifest) is not None:
            return True
        namespace = cluster.read("Namespace", name)
        if namespace is None or is_terminating(namespace):
            raise BackendRejected(
                reason_code=ReasonCode.VANISHED, detail=f"namespace {name} is being deleted"
            )
        if not is_ours(namespace, instance, ref):
            raise BackendRejected(detail=f"namespace {name} exists and is not ours")
        return False

    def _urge(self, cluster: Cluster, namespace: Manifest, ref: EnvironmentRef) -> None:
        """Report a namespace that hangs in its deletion, and where that is wished, force it."""
        if not is_stuck(namespace, _now()):
            return
        name, uid = namespace["metadata"]["name"], namespace["metadata"]["uid"]
        if uid not in self._reported:
            self._reported.add(uid)
            logger.warning("namespace %s hangs: %s", name, obstacles(namespace, _now()))
        if settings.SYRINGE_KUBERNETES.force_finalize:
            try:
                if _has_pods(cluster, namespace, ref):
                    # Without their namespace they would run on, and nobody would find them.
                    return
                cluster.finalize(namespace)
            except (BackendRejected, BackendUnavailable) as error:
                logger.warning("namespace %s cannot be forced: %s", name, error)
            else:
                logger.warning("namespace %s was forced to go", name)

    def _cluster(self) -> Cluster:
        wanted: KubernetesEnvironment = settings.SYRINGE_KUBERNETES
        with self._lock:
            if self._connected is None or self._connected[0] != wanted:
                self._connected = (wanted, _cluster(wanted))
            return self._connected[1]


def _cluster(environment: KubernetesEnvironment) -> Cluster:
    def load() -> Any:
        return load_api(environment, connections=settings.SYRINGE_WORKER_THREADS + _SENDERS)

    return Cluster(load, timeout_seconds=environment.timeout_seconds)


def _with_overhead(options: Options, cluster: Cluster) -> Options:
    """Add what only the cluster knows of the RuntimeClass; one that is missing is its to refuse."""
    name = options.settings.runtime_class
    found = cluster.read("RuntimeClass", name) if name else None
    overhead = ((found or {}).get("overhead") or {}).get("podFixed") or {}
    return replace(options, overhead=overhead)


def _check_time(end: float) -> None:
    if time.monotonic() > end:
        raise BackendUnavailable(reason="the API server takes too long for a whole start")


def _apply(cluster: Cluster, manifest: Manifest, end: float) -> None:
    _check_time(end)
    stored = cluster.apply(manifest)
    if manifest["kind"] == "NetworkPolicy" and not _is_kept(manifest, stored):
        raise BackendRejected(
            detail=f"the cluster does not keep NetworkPolicy {manifest['metadata']['name']} as it "
            "was written, so nothing is started"
        )


def _has_pods(cluster: Cluster, namespace: Manifest, ref: EnvironmentRef) -> bool:
    """Say whether there are pods in a namespace, ours or of somebody else."""
    if may_have_pods(namespace):
        return True
    labels = environments_selector(settings.SYRINGE_INSTANCE, [ref])
    name = namespace["metadata"]["name"]
    return any(
        pod["metadata"]["namespace"] == name for pod in cluster.list("Pod", labels=labels).items
    )


def _create_pod(
    cluster: Cluster, pod: Manifest, quota: Manifest, instance: str, ref: EnvironmentRef
) -> None:
    try:
        cluster.create(pod)
    except BackendRejected as error:
        if error.reason_code != ReasonCode.NO_CAPACITY:
            raise
        # Where another process was faster, servers look at the quota before they say so.
        present = cluster.list("Pod", labels=environments_selector(instance, [ref])).items
        if _place(pod) in map(_place, present):
            return
        if f"exceeded quota: {QUOTA}," not in error.detail:
            raise
        # There is room for the whole lesson in it. So either something was charged twice, until
        # the quota's controller counts again, or pods have become more than they were sent as.
        used = (cluster.apply(quota).get("status") or {}).get("used") or {}
        if used.get("pods") != str(sum(_is_charged(one, quota) for one in present)):
            raise BackendUnavailable(reason=error.detail) from error
        raise BackendRejected(
            detail=f"{error.detail} (the quota counts no pod that is not there, so the cluster "
            "adds to what this one asks for: a sidecar, or a limit of its own)"
        ) from error


def _missing(
    cluster: Cluster, pods: Iterable[Manifest], instance: str, ref: EnvironmentRef
) -> list[Manifest]:
    """Return those of the pods that do not exist."""
    found = cluster.list("Pod", labels=environments_selector(instance, [ref])).items
    present = set(map(_place, found))
    return [pod for pod in pods if _place(pod) not in present]


def _place(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _is_charged(pod: Manifest, quota: Manifest) -> bool:
    """Say whether a pod counts against a quota: one of its namespace that has not ended."""
    ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return _place(pod)[0] == _place(quota)[0] and not ended


def _now() -> datetime:
    return datetime.now(UTC)


def _is_kept(sent: Manifest, stored: Manifest) -> bool:
    return bool(_plain(sent["spec"]) == _plain(stored.get("spec")))


def _plain(value: Any) -> Any:
    """Return JSON without keys whose list is empty, which servers leave out, or keep."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if one not in ([], None)}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value

"""A cluster in this process."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.admission import quota
from tests.fake_kubernetes.api import Api
from tests.fake_kubernetes.calls import Calls
from tests.fake_kubernetes.controllers.behaviour import Behaviour, Script
from tests.fake_kubernetes.controllers.garbage import GarbageCollector
from tests.fake_kubernetes.controllers.jobs import Jobs
from tests.fake_kubernetes.controllers.kubelet import NODE, Kubelet
from tests.fake_kubernetes.controllers.namespaces import Holds, Namespaces
from tests.fake_kubernetes.controllers.ports import PodPorts
from tests.fake_kubernetes.controllers.quotas import Quotas
from tests.fake_kubernetes.faults import Faults
from tests.fake_kubernetes.kinds import BUILT_IN, NETWORK_ATTACHMENTS, Kind, Kinds
from tests.fake_kubernetes.loop import Loop
from tests.fake_kubernetes.objects import Manifest, copy_of
from tests.fake_kubernetes.rbac import EVERYTHING, Authorizer, Rule
from tests.fake_kubernetes.registry import Registry
from tests.fake_kubernetes.schemas import newest_version, schemas_of
from tests.fake_kubernetes.server import ApiServer
from tests.fake_kubernetes.store import Store

USER = "system:serviceaccount:syringe:syringe"


class FakeCluster:
    """An API server on loopback with controllers and one node; a context manager.

    ``rules`` are those of a ClusterRole, ``namespace_rules`` those of Roles by namespace; without
    ``rules`` everything is granted. ``version`` chooses schemas and behaviour, ``multus`` whether
    NetworkAttachmentDefinitions are installed. With ``listen`` pods answer on their ports.
    ``unsafe_sysctls`` are those that the node's kubelet is configured to allow; ``quota_seconds``
    is how long a new quota keeps nothing because nobody has counted yet, ``job_seconds`` how long
    after its pod a job ends.
    """

    def __init__(
        self,
        *,
        version: str = "",
        rules: Sequence[Rule] = EVERYTHING,
        namespace_rules: Mapping[str, Sequence[Rule]] | None = None,
        multus: bool = True,
        behaviour: Behaviour | None = None,
        listen: bool = False,
        node_labels: Mapping[str, str] | None = None,
        unsafe_sysctls: Sequence[str] = (),
        quota_seconds: float = 0,
        job_seconds: float = 0,
        namespace_interval: float = 0.02,
        bookmark_seconds: float = 60,
        port: int = 0,
    ) -> None:
        self.version = version or newest_version()
        self.token = secrets.token_urlsafe(20)
        self.calls = Calls()
        self.faults = Faults()
        self.kubelet = Script(behaviour or Behaviour())
        self.holds = Holds()
        self.store = Store()
        self._node_labels = dict(node_labels or {})
        installed = Kinds((*BUILT_IN, *((NETWORK_ATTACHMENTS,) if multus else ())))
        self.registry = Registry(self.store, schemas_of(self.version))
        self._api = Api(
            self.registry, installed, version=self.version, bookmark_seconds=bookmark_seconds
        )
        self._loop = Loop()
        self._ports = PodPorts() if listen else None
        self._users = {self.token: (USER, Authorizer(rules, namespace_rules))}
        minor = int(self.version.split(".")[1])
        for controller in (
            GarbageCollector(self.store, self._loop),
            Kubelet(
                self.store,
                self._loop,
                self.kubelet,
                logs=self._api.logs,
                ports=self._ports,
                unsafe_sysctls=unsafe_sysctls,
                multus_installed=multus,
            ),
            Jobs(self.registry, self._loop, announces=minor >= 31, late=job_seconds),
            Namespaces(
                self.registry, self._loop, installed, self.holds, interval=namespace_interval
            ),
            # The last, as it may write at once: the others have seen what it writes about.
            Quotas(self.store, self._loop, after=quota_seconds),
        ):
            self.store.listen(controller.on_change)
        self._server = ApiServer(
            port,
            api=self._api,
            installed=installed,
            users=self._users,
            calls=self.calls,
            faults=self.faults,
        )
        self._furnish()

    def _furnish(self) -> None:
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            self.add(kinds.NAMESPACES, {"metadata": {"name": name}})
        labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", **self._node_labels}
        self.add(kinds.NODES, {"metadata": {"name": NODE, "labels": labels}})

    def __enter__(self) -> Self:
        self._loop.start()
        if self._ports is not None:
            self._ports.start()
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.store.close()
        self._server.stop()
        self._loop.stop()
        if self._ports is not None:
            self._ports.stop()
        problems = [*self._api.bugs, *self._loop.failures]
        if problems and value is None:
            raise AssertionError("the fake cluster has a bug") from problems[0]

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def refused(self) -> list[str]:
        """What somebody tried without the right to it."""
        return list(self._api.refused)

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig of the cluster's user, and return its path."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": self.token}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "current-context": "fake",
        }
        # Whole or not there at all, as another process may wait for it.
        unfinished = path.with_name(f".{path.name}.new")
        unfinished.touch(0o600)
        unfinished.write_text(yaml.safe_dump(config))
        return unfinished.replace(path)

    def add_user(self, rules: Sequence[Rule], name: str = "other") -> str:
        """Let somebody else in, with rules of a ClusterRole; return the token."""
        token = secrets.token_urlsafe(20)
        self._users[token] = (name, Authorizer(rules))
        return token

    def add(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create an object as an administrator would, past the HTTP side and its record."""
        namespace = manifest["metadata"].get("namespace", "")
        decoded, _ = self.registry.decode(kind, manifest, namespace, "Strict")
        return copy_of(self.registry.create(kind, decoded, manager="kubectl"))  # type: ignore[no-any-return]

    def recount(self) -> None:
        """Count what quotas are about, as their controller does every few minutes."""
        with self.store.lock:
            for namespace, _ in self.store.all(kinds.RESOURCE_QUOTAS):
                quota.account(self.store, namespace)

    def settle(self) -> None:
        """Wait until the controllers have done what is due now, such as default accounts."""
        done = threading.Event()
        self._loop.soon(done.set)
        done.wait(10)

    def compact(self) -> None:
        """Forget history: watches from older versions, and pages of lists, expire."""
        self.store.compact()

    def drop_connections(self) -> None:
        """End every connection at once, watches as well."""
        self._server.drop_connections()

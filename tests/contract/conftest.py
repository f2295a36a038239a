"""One suite for every backend, and real sandboxes for the tests of ``local`` alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings

from scheduler.backends.base import EnvironmentRef, EnvironmentSpec, ImageSpec, RuntimeBackend
from scheduler.backends.fake import FakeBackend
from scheduler.backends.kubernetes import KubernetesBackend
from scheduler.backends.local import LocalBackend
from tests.contract.descriptions import (
    CHECKED_FILES,
    CONFIGURED_FILES,
    Shell,
    end,
    endpoint,
    environment,
    observe,
    start,
    wait_until,
)
from tests.contract.real_cluster import bundle_service, kubeconfig_of_run
from tests.fake_kubernetes import FakeCluster
from tests.granted_clusters import granted_cluster
from tests.waiting import PATIENCE


@dataclass
class Kind:
    """A backend with what the suite needs to know to try it.

    ``bundles`` is where pods get lessons' folders, ``patience`` how many seconds a start or an
    end may take, ``at_once`` how many a call may.
    """

    backend: RuntimeBackend
    impossible: EnvironmentSpec
    enter_instance: Callable[[str], None]
    bundles: str = ""
    patience: float = PATIENCE
    at_once: float = 5.0
    started: list[EnvironmentSpec] = field(default_factory=list)

    def environment(self, *args: Any, **kwargs: Any) -> EnvironmentSpec:
        """Describe a new environment, with a folder that is there to be fetched."""
        spec = environment(*args, **kwargs)
        return replace(spec, bundle_url=f"{self.bundles}/{spec.lesson.bundle_sha256}")

    def start(self, spec: EnvironmentSpec) -> Any:
        """Start an environment that is ended after the test."""
        self.started.append(spec)
        return start(self.backend, spec, self.patience)

    def end(self, ref: EnvironmentRef) -> bool:
        """End an environment; return whether it was gone in time."""
        return end(self.backend, ref, self.patience)

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Return whether a condition came true in time."""
        return wait_until(condition, self.patience)


@pytest.fixture(
    params=[
        pytest.param("fake", marks=pytest.mark.django_db),
        pytest.param("local", marks=pytest.mark.local_backend),
        "kubernetes",
        pytest.param("cluster", marks=[pytest.mark.cluster, pytest.mark.timeout(900)]),
    ]
)
def kind(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[Kind]:
    """Return each backend in turn; what the test started is gone afterwards."""
    home = f"{django_settings.SYRINGE_INSTANCE}-a"

    def enter_instance(name: str) -> None:
        settings.SYRINGE_INSTANCE = name
        settings.SYRINGE_INSTANCE_FOLDER = tmp_path / name

    match request.param:
        case "fake":
            settings.SYRINGE_FAKE_SCRIPT = '{"lessons": {"impossible": {"rejected": true}}}'
            kind = Kind(FakeBackend(), environment(slug="impossible"), enter_instance)
        case "local":
            impossible = environment(endpoint(image=ImageSpec(slug="nobody-has-this")))
            kind = Kind(LocalBackend(), impossible, enter_instance)
        case "kubernetes":
            cluster = request.getfixturevalue("fake_cluster")
            settings.SYRINGE_KUBERNETES = settings.SYRINGE_KUBERNETES.model_copy(
                update={"kubeconfig": str(cluster.kubeconfig(tmp_path / "kubeconfig"))}
            )
            impossible = environment(endpoint("no host name"))
            kind = Kind(KubernetesBackend(), impossible, enter_instance, "http://bundles.test:8002")
        case _:
            kubeconfig_of_run(request.config)
            # Runs on one cluster at once do not meet.
            home = f"contract-{uuid4().hex[:8]}"
            service = request.getfixturevalue("real_bundles")
            settings.SYRINGE_KUBERNETES = service.settings
            impossible = environment(endpoint("no host name"))
            # A start is a dozen calls, and the cluster may be far away.
            kind = Kind(KubernetesBackend(), impossible, enter_instance, service.url, 180.0, 10.0)
    enter_instance(home)
    yield kind
    enter_instance(home)
    for spec in kind.started:
        assert kind.end(spec.ref)


@pytest.fixture
def fake_cluster() -> Iterator[FakeCluster]:
    """Return an empty fake cluster, with no more rights than the chart grants."""
    with granted_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def real_bundles(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Serve the folders of this suite's lessons from a namespace of the real cluster."""
    specs = [environment(files=files) for files in (None, CONFIGURED_FILES, CHECKED_FILES)]
    with bundle_service(kubeconfig_of_run(request.config), *specs) as service:
        yield service


@pytest.fixture
def local(settings: Any, tmp_path: Path) -> Iterator[Kind]:
    """Return the local backend with an instance folder of its own."""
    settings.SYRINGE_INSTANCE_FOLDER = tmp_path / "instance"
    kind = Kind(LocalBackend(), environment(), lambda _: None)
    yield kind
    for spec in kind.started:
        assert end(kind.backend, spec.ref)


@pytest.fixture(scope="module")
def pair() -> Iterator[Shell]:
    """Return a running lesson of two endpoints, linux1 and linux2, for a whole module."""
    backend = LocalBackend()
    spec = environment(endpoint("linux1"), endpoint("linux2"))
    observation = start(backend, spec)
    try:
        assert observation.phase == "running", observation
        yield Shell(backend, spec)
        # Whatever the tests tried, the environment lives.
        assert observe(backend, spec).phase == "running", observe(backend, spec)
    finally:
        assert end(backend, spec.ref)

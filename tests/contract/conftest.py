"""One suite for every backend, and real sandboxes for the tests of ``local`` alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from scheduler.backends.base import EnvironmentSpec, ImageSpec, RuntimeBackend
from scheduler.backends.fake import FakeBackend
from scheduler.backends.local import LocalBackend
from tests.contract.descriptions import Shell, end, endpoint, environment, observe, start


@dataclass
class Kind:
    """A backend with what the suite needs to know to try it."""

    backend: RuntimeBackend
    impossible: EnvironmentSpec
    enter_instance: Callable[[str], None]
    started: list[EnvironmentSpec]

    def start(self, spec: EnvironmentSpec) -> Any:
        """Start an environment that is ended after the test."""
        self.started.append(spec)
        return start(self.backend, spec)


@pytest.fixture(
    params=[
        pytest.param("fake", marks=pytest.mark.django_db),
        pytest.param("local", marks=pytest.mark.local_backend),
    ]
)
def kind(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[Kind]:
    """Return each backend in turn; what the test started is gone afterwards."""
    impossible = environment(endpoint(image=ImageSpec(slug="nobody-has-this")))
    if request.param == "fake":
        settings.SYRINGE_FAKE_SCRIPT = '{"lessons": {"impossible": {"rejected": true}}}'
        impossible = environment(slug="impossible")
        backend: RuntimeBackend = FakeBackend()
    else:
        backend = LocalBackend()

    def enter_instance(name: str) -> None:
        settings.SYRINGE_INSTANCE = name
        settings.SYRINGE_INSTANCE_FOLDER = tmp_path / name

    home = f"{django_settings.SYRINGE_INSTANCE}-a"
    enter_instance(home)
    kind = Kind(backend, impossible, enter_instance, [])
    yield kind
    enter_instance(home)
    for spec in kind.started:
        assert end(backend, spec.ref)


@pytest.fixture
def local(settings: Any, tmp_path: Path) -> Iterator[Kind]:
    """Return the local backend with an instance folder of its own."""
    settings.SYRINGE_INSTANCE_FOLDER = tmp_path / "instance"
    kind = Kind(LocalBackend(), environment(), lambda _: None, [])
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

"""Descriptions of lessons and installations, and ways to look into what is made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

from scheduler.backends.base import (
    EndpointSpec,
    EnvironmentRef,
    EnvironmentSpec,
    ImageSpec,
    LessonSpec,
    PresentationSpec,
    StageSpec,
)
from scheduler.backends.kubernetes.manifests import environment_manifests
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.options import Options
from syringe_project.kubernetes_environment import KubernetesEnvironment

SHELL = PresentationSpec("cli", 22, "ssh")
WEB = PresentationSpec("web", 8080, "http")
BUNDLE_URL = "http://bundles.syringe:8002/bundles/abc?signature=a-secret-signature"
ACCESS_PASSWORD = "a-secret-access-password"
IMAGE_PASSWORD = "a-secret-image-password"
CONFIGURATION_PASSWORD = "a-secret-configuration-password"


def image(**changes: Any) -> ImageSpec:
    """Return an untrusted image without passwords."""
    return replace(ImageSpec(slug="utility"), **changes)


def endpoint(name: str = "linux1", flavor: str = "untrusted", **changes: Any) -> EndpointSpec:
    """Return an endpoint with a shell."""
    found = EndpointSpec(name, image(flavor=flavor), presentations=(SHELL,))
    return replace(found, **changes)


def environment(*endpoints: EndpointSpec, **changes: Any) -> EnvironmentSpec:
    """Return an environment; ``changes`` are the lesson's."""
    lesson = LessonSpec(
        slug="a-lesson",
        digest="d",
        bundle_sha256="0" * 64,
        endpoints=endpoints or (endpoint(),),
        stages=(StageSpec(),),
    )
    return EnvironmentSpec(
        ref=EnvironmentRef(UUID(int=7), 2),
        session_id=UUID(int=8),
        lesson=replace(lesson, **changes),
        access_password=ACCESS_PASSWORD,
        read_bundle=lambda: b"",
        bundle_url=BUNDLE_URL,
    )


def options(*, pull_config: str = "", instance: str = "test", **settings: Any) -> Options:
    """Return an installation's options; ``settings`` as they are in the environment, unread."""
    as_text = {
        name: json.dumps(value) if isinstance(value, list | dict) else value
        for name, value in settings.items()
    }
    return Options(
        instance=instance,
        settings=KubernetesEnvironment(_env_file=None, **as_text),  # type: ignore[call-arg]
        page_key=b"a key that only tests use",
        pull_config=pull_config,
    )


def made(spec: EnvironmentSpec | None = None, **settings: Any) -> list[Manifest]:
    """Return the manifests of an environment."""
    return environment_manifests(spec or environment(), options(**settings))


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the objects of a kind by their names."""
    return {found["metadata"]["name"]: found for found in manifests if found["kind"] == kind}


def pods(*endpoints: EndpointSpec, **settings: Any) -> dict[str, Manifest]:
    """Return the specs of a lesson's pods."""
    found = of_kind(made(environment(*endpoints), **settings), "Pod")
    return {name: pod["spec"] for name, pod in found.items()}

"""What manifests depend on beside the lesson, gathered so that they stay pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings

from scheduler.backends.base import BackendUnavailable
from syringe_project.kubernetes_environment import KubernetesEnvironment
from syringe_project.signing import mac


@dataclass(frozen=True, slots=True)
class Options:
    """How this installation wants its lessons.

    ``page_key`` makes the host names of web pages unguessable; ``pull_config`` is the text of a
    ``.dockerconfigjson``, empty where images need no credentials. ``page_origins`` are those whose
    pages may show lessons, as a Content-Security-Policy has them. ``overhead`` is what the cluster
    adds to pods of the RuntimeClass.
    """

    instance: str
    settings: KubernetesEnvironment
    page_key: bytes = field(repr=False)
    configuration_timeout_seconds: int = 600
    page_origins: str = "*"
    pull_config: str = field(default="", repr=False)
    overhead: Mapping[str, str] = field(default_factory=dict)


def current_options() -> Options:
    """Return this installation's options; raise BackendUnavailable if a file cannot be read."""
    kubernetes: KubernetesEnvironment = settings.SYRINGE_KUBERNETES
    return Options(
        instance=settings.SYRINGE_INSTANCE,
        settings=kubernetes,
        page_key=mac("lesson-page", settings.SYRINGE_INSTANCE.encode()),
        configuration_timeout_seconds=settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS,
        page_origins=_page_origins(),
        pull_config=_pull_config(kubernetes),
    )


def _page_origins() -> str:
    """Return our own origin, and those of other front ends, which are who may call ``/exp``."""
    if getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False):
        return "*"
    own = "://".join(urlsplit(settings.SYRINGE_PUBLIC_URL)[:2])
    return " ".join(dict.fromkeys((own, *settings.CORS_ALLOWED_ORIGINS)))


def _pull_config(kubernetes: KubernetesEnvironment) -> str:
    if kubernetes.pull_config_file is None:
        return ""
    try:
        return kubernetes.pull_config_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BackendUnavailable(
            reason=f"the credentials in {kubernetes.pull_config_file} cannot be read: "
            f"{type(error).__name__}"
        ) from error

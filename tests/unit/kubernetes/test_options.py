"""From settings to what manifests depend on."""

from pathlib import Path
from typing import Any

import pytest

from scheduler.backends.base import BackendUnavailable
from scheduler.backends.kubernetes.options import current_options
from syringe_project.kubernetes_environment import KubernetesEnvironment


def configured(settings: Any, **kubernetes: Any) -> None:
    settings.SYRINGE_KUBERNETES = KubernetesEnvironment(_env_file=None, **kubernetes)


def test_options_are_the_installations(settings: Any) -> None:
    configured(settings, image_tag="v7")
    settings.SYRINGE_INSTANCE = "lab"
    settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS = 77

    found = current_options()

    assert found.instance == "lab"
    assert found.settings.image_tag == "v7"
    assert found.configuration_timeout_seconds == 77
    assert found.pull_config == ""


def test_lessons_are_shown_by_our_own_pages_and_by_who_may_call_us(settings: Any) -> None:
    settings.SYRINGE_PUBLIC_URL = "https://labs.example.org:8443/below"
    settings.CORS_ALLOW_ALL_ORIGINS = False
    settings.CORS_ALLOWED_ORIGINS = ["https://other.example.org"]

    assert current_options().page_origins == (
        "https://labs.example.org:8443 https://other.example.org"
    )

    settings.CORS_ALLOW_ALL_ORIGINS = True
    assert current_options().page_origins == "*"


def test_each_instance_and_each_secret_has_a_key_of_its_own(settings: Any) -> None:
    keys = set()
    for instance in ("one", "two"):
        for secret in ("a" * 32, "b" * 32):
            settings.SYRINGE_INSTANCE, settings.SECRET_KEY = instance, secret
            keys.add(current_options().page_key)

    assert len(keys) == 4
    assert not {b"a" * 32, b"b" * 32} & keys


def test_credentials_are_read_each_time(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    configured(settings, pull_config_file=file)

    file.write_text('{"auths": {}}')
    assert current_options().pull_config == '{"auths": {}}'
    file.write_text('{"auths": {"x": {}}}')
    assert current_options().pull_config == '{"auths": {"x": {}}}'


def test_credentials_that_cannot_be_read_are_waited_for(settings: Any, tmp_path: Path) -> None:
    configured(settings, pull_config_file=tmp_path / "nowhere.json")

    with pytest.raises(BackendUnavailable, match=r"nowhere\.json cannot be read: FileNotFound"):
        current_options()

"""Configuration jobs of every type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.backends.base import BackendRejected, EnvironmentSpec, ReasonCode, StageSpec
from scheduler.backends.kubernetes.manifests import configuration_job
from scheduler.backends.kubernetes.manifests.types import Manifest
from tests.unit.kubernetes.descriptions import endpoint, environment, image, made, of_kind, options

KEEPER = image(ssh_user="antidote", ssh_password="ssh", config_user="root", config_password="conf")
FILES = {
    "python": "stage0/configs/vqfx-1.py",
    "ansible": "stage0/configs/vqfx-1.yml",
    "napalm": "stage0/configs/vqfx-1-junos.txt",
}


def configured(kind: str, file: str = "", **changes: Any) -> EnvironmentSpec:
    return environment(
        endpoint("vqfx-1", image=replace(KEEPER, **changes), configuration_type=kind),
        stages=(StageSpec(), StageSpec(configurations={"vqfx-1": file or FILES[kind]})),
    )


def job(spec: EnvironmentSpec, *, stage: int = 1, run: int = 3, **settings: Any) -> Manifest:
    return configuration_job(
        spec, stage=stage, endpoint="vqfx-1", run=run, options=options(**settings)
    )


def container(spec: EnvironmentSpec, **settings: Any) -> Manifest:
    [only] = job(spec, **settings)["spec"]["template"]["spec"]["containers"]
    return only


def variables(spec: EnvironmentSpec) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container(spec)["env"]}


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("python", ["python", "/antidote/stage0/configs/vqfx-1.py"]),
        (
            "ansible",
            [
                "ansible-playbook",
                "-vvvv",
                "-i",
                "vqfx-1,",
                "/antidote/stage0/configs/vqfx-1.yml",
            ],
        ),
        ("napalm", ["configure-napalm", "junos", "/antidote/stage0/configs/vqfx-1-junos.txt"]),
    ],
)
def test_what_runs_is_what_authors_know(kind: str, command: list[str]) -> None:
    found = container(configured(kind), configurator_image="ours/configurator:1")

    assert found["command"] == command
    assert found["image"] == "ours/configurator:1"


@pytest.mark.parametrize("driver", ["junos", "eos", "iosxr", "nxos", "nxos_ssh", "ios"])
def test_the_driver_is_what_follows_the_endpoints_name(driver: str) -> None:
    spec = configured("napalm", f"stage0/configs/vqfx-1-{driver}.txt")

    assert container(spec)["command"][1] == driver


@pytest.mark.parametrize("kind", FILES)
def test_the_target_is_reached_by_name_with_the_authors_credentials(kind: str) -> None:
    found = variables(configured(kind))

    assert found["ANTIDOTE_TARGET_HOST"] == "vqfx-1"
    assert found["ANTIDOTE_TARGET_USERNAME"] == "root"
    assert found["ANTIDOTE_TARGET_PASSWORD"] == {
        "secretKeyRef": {"name": "lesson", "key": "configuration-password.vqfx-1"}
    }


@pytest.mark.parametrize(
    ("changes", "user", "password"),
    [
        ({}, "root", "Y29uZg=="),
        ({"config_user": "", "config_password": ""}, "antidote", "c3No"),
        ({"config_user": "", "ssh_user": ""}, "antidote", "Y29uZg=="),
    ],
)
def test_credentials_fall_back_to_those_of_the_terminal(
    changes: dict[str, str], user: str, password: str
) -> None:
    spec = configured("python", **changes)
    secret = of_kind(made(spec), "Secret")["lesson"]["data"]

    assert variables(spec)["ANTIDOTE_TARGET_USERNAME"] == user
    assert secret["configuration-password.vqfx-1"] == password


def test_playbooks_need_not_name_user_and_password() -> None:
    spec = configured("ansible")
    found = variables(spec)
    pod = job(spec)["spec"]["template"]["spec"]
    volume = next(v["secret"] for v in pod["volumes"] if "secret" in v)
    [mount] = [m for m in pod["containers"][0]["volumeMounts"] if m.get("readOnly")]

    assert found["ANSIBLE_HOST_KEY_CHECKING"] == "False"
    assert found["ANSIBLE_REMOTE_USER"] == "root"
    [item] = volume["items"]
    assert found["ANSIBLE_CONNECTION_PASSWORD_FILE"] == f"{mount['mountPath']}/{item['path']}"
    assert item["key"] == "configuration-password.vqfx-1"
    assert volume["defaultMode"] & 0o111 == 0


@pytest.mark.parametrize("kind", ["python", "napalm"])
def test_only_ansible_gets_a_file_of_the_password(kind: str) -> None:
    pod = job(configured(kind))["spec"]["template"]["spec"]

    assert [list(volume) for volume in pod["volumes"]] == [["name", "emptyDir"]]


def test_a_job_runs_once_and_ends_in_time() -> None:
    spec = configuration_job(
        configured("python"),
        stage=1,
        endpoint="vqfx-1",
        run=3,
        options=replace(options(), configuration_timeout_seconds=77),
    )["spec"]

    assert spec["backoffLimit"] == 0
    assert spec["activeDeadlineSeconds"] == 77
    # None of a run's jobs may be missing while others are still at work.
    assert spec["ttlSecondsAfterFinished"] >= 77
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_job_and_its_pod_say_what_they_are() -> None:
    found = job(configured("python"))

    assert found["metadata"]["name"] == "vqfx-1-3"
    expected = {
        "syringe.dev/endpoint": "vqfx-1",
        "syringe.dev/role": "configuration",
        "syringe.dev/run": "3",
    }
    assert expected.items() <= found["metadata"]["labels"].items()
    assert found["spec"]["template"]["metadata"]["labels"] == found["metadata"]["labels"]


def test_another_run_is_another_job() -> None:
    names = {job(configured("python"), run=run)["metadata"]["name"] for run in range(20)}

    assert len(names) == 20


def test_authors_code_runs_with_no_rights_in_a_sandbox() -> None:
    pod = job(configured("python"), runtime_class="gvisor")["spec"]["template"]["spec"]

    assert pod["runtimeClassName"] == "gvisor"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "sysctls": [{"name": "net.ipv4.ping_group_range", "value": "0 2147483647"}],
    }
    for found in (*pod["containers"], *pod["initContainers"]):
        assert found["securityContext"]["runAsNonRoot"] is True
        assert found["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert found["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_job_gets_the_lessons_folder_and_the_usual_amounts() -> None:
    spec = configured("python")
    pod = job(spec)["spec"]["template"]["spec"]
    endpoint_pod = of_kind(made(spec), "Pod")["vqfx-1"]["spec"]

    assert pod["initContainers"] == endpoint_pod["initContainers"]
    assert pod["containers"][0]["volumeMounts"] == endpoint_pod["containers"][0]["volumeMounts"]
    assert pod["containers"][0]["resources"]["limits"]["cpu"] == "1"


@pytest.mark.parametrize(
    ("spec", "stage"),
    [
        (configured("python"), 0),
        (configured("napalm", "stage0/configs/other-junos.txt"), 1),
        (configured("napalm", "stage0/configs/vqfx-1-.txt"), 1),
        (configured("shell", "stage0/configs/vqfx-1.sh"), 1),
        (configured("", "stage0/configs/vqfx-1.sh"), 1),
    ],
)
def test_what_cannot_be_configured_is_refused(spec: EnvironmentSpec, stage: int) -> None:
    with pytest.raises(BackendRejected) as caught:
        job(spec, stage=stage)

    assert caught.value.reason_code == ReasonCode.CONFIGURATION_UNSUPPORTED


@pytest.mark.parametrize("stage", [-1, 2])
def test_a_stage_that_does_not_exist_is_refused(stage: int) -> None:
    with pytest.raises(BackendRejected, match="no endpoint 'vqfx-1' with stage"):
        job(configured("python"), stage=stage)

"""What jobs' containers run, run here as they are described: against an SSH server, by Ansible."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.backends.base import StageSpec
from scheduler.backends.file_checks import read_verdict
from scheduler.backends.kubernetes.manifests import (
    check_job,
    configuration_job,
    environment_manifests,
)
from scheduler.backends.kubernetes.manifests.types import Manifest
from tests.ssh_endpoint import SshEndpoint
from tests.unit.kubernetes.descriptions import (
    CONFIGURATION_PASSWORD,
    endpoint,
    environment,
    image,
    options,
)
from tests.waiting import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client here")

SPEC = environment(
    endpoint(
        "linux1",
        image=image(config_user="admin", config_password=CONFIGURATION_PASSWORD),
        configuration_type="ansible",
    ),
    stages=(StageSpec(configurations={"linux1": "configs/linux1.yml"}),),
    hidden=("checks/notes.yml",),
)
PLAYBOOK = """
- hosts: all
  gather_facts: false
  vars: {ansible_host: 127.0.0.1, ansible_port: PORT}
  tasks:
    - raw: COMMAND
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[SshEndpoint]:
    """Return an endpoint that knows one password; whoever has another finds no home."""
    (tmp_path / "homes" / CONFIGURATION_PASSWORD).mkdir(parents=True)
    with SshEndpoint(tmp_path / "homes", home_of_each=True) as target:
        yield target


@pytest.fixture
def home() -> Iterator[str]:
    """Return a home whose sockets' paths are not too long, which they are in pytest's folders."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield folder


@pytest.fixture
def run(tmp_path: Path, home: str) -> Callable[[Manifest], subprocess.CompletedProcess[str]]:
    """Return a function that plays the kubelet for a job, below a folder instead of the root."""
    folder = tmp_path / "root"
    made = environment_manifests(SPEC, options())
    [secret] = (m["data"] for m in made if m["kind"] == "Secret")

    def read(reference: dict[str, Any]) -> str:
        return base64.b64decode(secret[reference["key"]]).decode()

    def placed(text: str) -> str:
        for path in ("/antidote", "/run/syringe", "/dev/termination-log"):
            text = text.replace(path, f"{folder}{path}")
        return text.replace("$$", "$")

    def run(job: Manifest) -> subprocess.CompletedProcess[str]:
        pod = job["spec"]["template"]["spec"]
        [container] = pod["containers"]
        mounts = {m["name"]: f"{folder}{m['mountPath']}" for m in container["volumeMounts"]}
        for volume in pod["volumes"]:
            for item in (volume.get("secret") or {"items": []})["items"]:
                file = Path(mounts[volume["name"]], item["path"])
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(read(item))
                file.chmod(volume["secret"]["defaultMode"])
        Path(f"{folder}/dev").mkdir(exist_ok=True)
        variables = {
            v["name"]: placed(v["value"]) if "value" in v else read(v["valueFrom"]["secretKeyRef"])
            for v in container["env"]
        }
        return subprocess.run(
            [placed(word) for word in container["command"]],
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": home,
                "LC_ALL": "C.UTF-8",
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    return run


def write_playbook(path: Path, target: SshEndpoint, command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PLAYBOOK.replace("PORT", str(target.port)).replace("COMMAND", command))


def test_a_playbook_configures_and_another_one_judges(
    target: SshEndpoint, run: Callable[[Manifest], Any], tmp_path: Path
) -> None:
    folder = tmp_path / "root" / "antidote"
    write_playbook(folder / "configs" / "linux1.yml", target, "echo configured > notes.txt")
    write_playbook(folder / "checks" / "notes.yml", target, "grep configured notes.txt")
    check = check_job(
        SPEC,
        stage=0,
        slug="notes",
        endpoint="linux1",
        path="checks/notes.yml",
        language="ansible",
        environment={},
        timeout_seconds=30,
        run=1,
        options=options(),
    )

    def outcome() -> str:
        run(check)
        verdict = read_verdict(Path(f"{tmp_path}/root/dev/termination-log").read_text())
        assert verdict is not None
        return verdict.outcome

    assert outcome() == "failed"
    done = run(configuration_job(SPEC, stage=0, endpoint="linux1", run=1, options=options()))

    assert done.returncode == 0, done.stdout + done.stderr
    notes = tmp_path / "homes" / CONFIGURATION_PASSWORD / "notes.txt"
    assert notes.read_text() == "configured\n"
    assert CONFIGURATION_PASSWORD not in done.stdout + done.stderr
    assert outcome() == "passed"

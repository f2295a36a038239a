"""Authors' code, in a sandbox of its own on the lesson's network."""

import json
from dataclasses import replace
from typing import Any

import pytest

from scheduler.backends.base import (
    BackendRejected,
    EnvironmentSpec,
    JobObservation,
    Phase,
    ReasonCode,
)
from tests.contract.conftest import Kind
from tests.contract.descriptions import Shell, endpoint, environment, observe, wait_until

pytestmark = pytest.mark.local_backend

OVER_SSH = """
import asyncio, os, asyncssh

async def main():
    async with asyncssh.connect(
        os.environ["ANTIDOTE_TARGET_HOST"],
        username=os.environ["ANTIDOTE_TARGET_USERNAME"],
        password=os.environ["ANTIDOTE_TARGET_PASSWORD"],
        known_hosts=None,
    ) as connection:
        await connection.run("echo configured in $(hostname) > ~/by-python", check=True)
        print("done on", os.environ["ANTIDOTE_TARGET_HOST"])

asyncio.run(main())
"""
PARAMIKO = """
import os, paramiko

client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(os.environ["ANTIDOTE_TARGET_HOST"], username=os.environ["ANTIDOTE_TARGET_USERNAME"],
               password=os.environ["ANTIDOTE_TARGET_PASSWORD"], look_for_keys=False)
_, out, _ = client.exec_command("hostname")
print("paramiko on", out.read().decode())
client.close()
"""
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Write a file
      ansible.builtin.copy:
        content: "by {{ lookup('env', 'ANTIDOTE_TARGET_USERNAME') }}"
        dest: ~/by-ansible
    - name: Read it back
      ansible.builtin.command: cat by-ansible
      register: answer
    - ansible.builtin.assert:
        that: answer.stdout == "by antidote"
"""
LOOK = """
import json, os, socket, subprocess

def attempt(address):
    try:
        socket.create_connection(address, 2).close()
    except OSError as error:
        return type(error).__name__
    return "connected"

print("SEEN " + json.dumps({
    "root": sorted(os.listdir("/")),
    "lesson": os.listdir("/antidote"),
    "environment": dict(os.environ),
    "namespaces": [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "net", "mnt", "user")],
    "processes": [entry for entry in os.listdir("/proc") if entry.isdigit()],
    "loopback": attempt(("127.0.0.1", HOST_PORT)),
    "outside": attempt(("192.0.2.1", 80)),
    "endpoint": attempt(("linux2", 22)),
    "ssh": subprocess.call(["sh", "-c", "echo x > /antidote/x"]),
}))
"""


def run(
    kind: Kind, spec: EnvironmentSpec, endpoint: str = "linux1", *, stage: int = 0
) -> JobObservation:
    """Configure an endpoint and return how that ended."""
    key = (endpoint, stage + 1)
    kind.backend.configure(spec, stage=stage, endpoint=endpoint, run=key[1])
    assert wait_until(
        lambda: observe(kind.backend, spec).jobs[key].phase not in (Phase.STARTING, Phase.RUNNING),
        60,
    )
    return observe(kind.backend, spec).jobs[key]


def configured(text: str, kind: str = "python") -> EnvironmentSpec:
    """Return an environment whose first endpoint is configured by ``text``."""
    file = f"stage0/configs/linux1.{'yml' if kind == 'ansible' else 'py'}"
    return environment(
        endpoint("linux1", configuration_type=kind),
        endpoint("linux2"),
        files={file: text},
        stages=[{"linux1": file}],
    )


def test_python_configures_over_ssh(local: Kind) -> None:
    spec = configured(OVER_SSH)
    local.start(spec)

    job = run(local, spec)

    assert (job.phase, job.log_tail) == (Phase.SUCCEEDED, "done on linux1\n")
    assert Shell(local.backend, spec).run("cat by-python").output == "configured in linux1"


def test_paramiko_is_there_for_authors(local: Kind) -> None:
    spec = configured(PARAMIKO)
    local.start(spec)

    assert "paramiko on linux1" in run(local, spec).log_tail


def test_ansible_configures_without_an_ssh_client(local: Kind) -> None:
    spec = configured(PLAYBOOK, "ansible")
    local.start(spec)

    job = run(local, spec)

    assert job.phase == Phase.SUCCEEDED, job.log_tail
    assert "failed=0" in job.log_tail
    assert Shell(local.backend, spec).run("cat by-ansible").output == "by antidote"


def test_a_failure_is_reported_with_its_output(local: Kind) -> None:
    spec = configured("import sys; print('half way'); sys.exit('no such device')")
    local.start(spec)

    job = run(local, spec)

    assert job.phase == Phase.FAILED
    assert "code 1" in job.message
    assert "half way" in job.log_tail
    assert "no such device" in job.log_tail


def test_a_job_that_takes_too_long_is_ended(local: Kind, settings: Any) -> None:
    settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS = 6
    spec = configured(
        "import subprocess, time; print('waiting', flush=True)\n"
        "subprocess.Popen(['sleep', '300.25'], start_new_session=True); time.sleep(300)"
    )
    local.start(spec)

    job = run(local, spec)

    assert job.phase == Phase.FAILED
    assert "longer than 6 s" in job.message
    assert "waiting" in job.log_tail


def test_only_the_end_of_much_output_is_kept(local: Kind) -> None:
    spec = configured("print('x' * 5_000_000); print('\\0the end')")
    local.start(spec)

    job = run(local, spec)

    assert job.phase == Phase.SUCCEEDED
    assert len(job.log_tail) <= 16_000
    assert job.log_tail.endswith("\N{REPLACEMENT CHARACTER}the end\n")


def test_the_configurator_is_in_a_sandbox_too(local: Kind) -> None:
    spec = configured(LOOK.replace("HOST_PORT", "1"))
    local.start(spec)
    shell = Shell(local.backend, spec)

    job = run(local, spec)

    assert job.phase == Phase.SUCCEEDED, job.log_tail
    seen = json.loads(job.log_tail.partition("SEEN ")[2])
    assert not {"root", "sys", "boot", "work"} & set(seen["root"])
    assert seen["lesson"] == ["stage0"]
    assert seen["ssh"] != 0
    assert seen["environment"]["ANTIDOTE_TARGET_HOST"] == "linux1"
    assert seen["environment"]["ANTIDOTE_TARGET_USERNAME"] == "antidote"
    assert seen["environment"]["ANTIDOTE_TARGET_PASSWORD"] == "antidotepassword"
    assert seen["environment"]["ANSIBLE_HOST_KEY_CHECKING"] == "False"
    assert not [name for name in seen["environment"] if name.startswith("SYRINGE")]
    assert spec.access_password not in job.log_tail
    assert len(seen["processes"]) < 8
    assert seen["loopback"] == "ConnectionRefusedError"
    assert seen["outside"] == "OSError"
    assert seen["endpoint"] == "connected"
    assert shell.run("readlink /proc/self/ns/net").output not in seen["namespaces"]


def test_jobs_of_two_endpoints_run_at_once(local: Kind) -> None:
    wait = "import time; print('begin', time.time()); time.sleep(3); print('end', time.time())"
    spec = environment(
        endpoint("linux1", configuration_type="python"),
        endpoint("linux2", configuration_type="python"),
        files={"a.py": wait},
        stages=[{"linux1": "a.py", "linux2": "a.py"}],
    )
    local.start(spec)

    local.backend.configure(spec, stage=0, endpoint="linux2", run=1)
    first = run(local, spec, "linux1").log_tail.split()
    assert wait_until(lambda: observe(local.backend, spec).jobs["linux2", 1].phase == "succeeded")
    second = observe(local.backend, spec).jobs["linux2", 1].log_tail.split()

    assert float(first[1]) < float(second[3])
    assert float(second[1]) < float(first[3])


def test_a_job_asked_for_during_the_start_waits_for_the_endpoints(local: Kind) -> None:
    spec = configured(OVER_SSH)
    local.started.append(spec)
    local.backend.ensure(spec)
    assert wait_until(lambda: bool(observe(local.backend, spec).endpoints))

    assert run(local, spec).phase == Phase.SUCCEEDED


def test_a_file_that_is_not_there_is_said_so(local: Kind) -> None:
    spec = configured("")
    spec = replace(
        spec,
        lesson=replace(
            spec.lesson,
            stages=(replace(spec.lesson.stages[0], configurations={"linux1": "stage0/none.py"}),),
        ),
    )
    local.start(spec)

    job = run(local, spec)

    assert job.phase == Phase.FAILED
    assert "stage0/none.py" in job.log_tail


def test_napalm_is_refused_with_its_reason(local: Kind) -> None:
    spec = configured("", "napalm")

    with pytest.raises(BackendRejected, match="napalm") as refusal:
        local.backend.ensure(spec)

    assert refusal.value.reason_code == ReasonCode.CONFIGURATION_UNSUPPORTED
    with pytest.raises(BackendRejected, match="napalm"):
        local.backend.configure(spec, stage=0, endpoint="linux1", run=1)
    assert list(local.backend.owned()) == []


@pytest.mark.parametrize(("endpoint_name", "stage"), [("linux1", 5), ("linux2", 0), ("other", 0)])
def test_what_has_no_configuration_is_refused(local: Kind, endpoint_name: str, stage: int) -> None:
    spec = configured("")

    with pytest.raises(BackendRejected):
        local.backend.configure(spec, stage=stage, endpoint=endpoint_name, run=1)

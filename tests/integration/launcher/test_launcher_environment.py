"""The Python environment: made by plain venv and pip for a project of one module."""

import hashlib
import io
import os
import subprocess
import sys
import zipfile

import pytest

from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.python_environment import PythonEnvironment
from tests.waiting import PATIENCE

METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: 1\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
# A build backend inside the project, so that nothing has to be downloaded.
BACKEND = f"""
import zipfile
from pathlib import Path

def get_requires_for_build_editable(settings=None):
    return []

def build_editable(folder, settings=None, metadata=None):
    name = "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        wheel.writestr("tiny.pth", str(Path.cwd() / "source"))
        wheel.writestr("tiny-1.dist-info/METADATA", {METADATA.format("tiny")!r})
        wheel.writestr("tiny-1.dist-info/WHEEL", {WHEEL!r})
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "build_it"
backend-path = ["."]
[project]
name = "tiny"
version = "1"
"""


def add_wheel(folder, name):
    """Write a wheel of one empty module and return its hash."""
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{name}-1.dist-info/METADATA", METADATA.format(name))
        wheel.writestr(f"{name}-1.dist-info/WHEEL", WHEEL)
        wheel.writestr(f"{name}-1.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def require(project, file, name, digest):
    options = f"--no-index\n--find-links {project / 'wheels'}\n"
    (project / file).write_text(f"{options}{name}==1 \\\n    --hash=sha256:{digest}\n")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a project; only what Debian has is on PATH, so pip does the work and not uv."""
    project = tmp_path / "project"
    (project / "wheels").mkdir(parents=True)
    (project / "source").mkdir()
    (project / "source" / "tiny_module.py").write_text("")
    (project / "build_it.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(PYPROJECT)
    for file, name in (("requirements.txt", "needed"), ("requirements-dev.txt", "for_tests")):
        require(project, file, name, add_wheel(project / "wheels", name))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    return project


def can_import(environment, *modules):
    command = [str(environment.python), "-c", f"import {', '.join(modules)}"]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0


def test_an_environment_from_nothing_to_up_to_date(project):
    stream = io.StringIO()
    environment = PythonEnvironment(project)

    environment.ensure(Console(stream))

    assert can_import(environment, "needed", "tiny_module")
    assert not can_import(environment, "for_tests")
    assert "Made the Python environment .venv" in stream.getvalue()
    assert "Installed the 1 Python packages of requirements.txt" in stream.getvalue()

    stream.seek(0)
    stream.truncate()
    environment.ensure(Console(stream))
    assert stream.getvalue() == ""

    environment.ensure(Console(stream), development=True)
    assert can_import(environment, "needed", "for_tests", "tiny_module")

    require(project, "requirements.txt", "more", add_wheel(project / "wheels", "more"))
    environment.ensure(Console(stream))
    assert can_import(environment, "more")

    # Why the project is installed by a command of its own.
    both = [str(environment.python), "-m", "pip", "install", "-r", "requirements.txt", "-e", "."]
    refused = subprocess.run(both, cwd=project, capture_output=True, text=True, timeout=PATIENCE)
    assert refused.returncode != 0
    assert "hash" in refused.stderr

    add_wheel(project / "wheels", "forged")
    require(project, "requirements.txt", "forged", "0" * 64)
    with pytest.raises(Refusal, match=r"could not install the packages of requirements\.txt"):
        environment.ensure(Console(stream))

    # Its scripts name the old place: a moved checkout gets a new environment.
    moved = project.rename(project.with_name("moved"))
    require(moved, "requirements.txt", "more", add_wheel(moved / "wheels", "more"))
    stream.seek(0)
    stream.truncate()
    PythonEnvironment(moved).ensure(Console(stream))
    assert "Made the Python environment .venv" in stream.getvalue()
    assert can_import(PythonEnvironment(moved), "more", "tiny_module")


def test_without_venv_the_sentence_names_debians_package(project, tmp_path):
    """Debian keeps ``ensurepip`` apart; a Python that cannot find it stands in for that."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "sys.modules['ensurepip'] = None\n"
        "os.geteuid = lambda: 1000\n"
        "from syringe_project.launcher.console import Console, Refusal\n"
        "from syringe_project.launcher.python_environment import PythonEnvironment\n"
        "try: PythonEnvironment(Path(sys.argv[1])).ensure(Console())\n"
        "except Refusal as refusal: print(refusal)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(project)], capture_output=True, text=True, timeout=PATIENCE
    )
    major, minor = sys.version_info[:2]
    assert f"sudo apt-get install python{major}.{minor}-venv" in done.stdout, done.stderr

"""The folder ``gc`` never gets in the way of the interpreter's module of that name."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps

import garbage_collector
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "gc"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = sorted(FOLDER.rglob("*.py"))


def test_gc_is_the_interpreters():
    assert import_module("gc").__spec__.origin == "built-in"


def test_gc_is_the_interpreters_for_a_program_started_in_the_project():
    code = "import gc; gc.collect(); import garbage_collector; print(garbage_collector.__file__)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )

    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve() == FOLDER / "__init__.py"


def test_garbage_collector_is_the_folder():
    assert Path(garbage_collector.__file__).resolve().parent == FOLDER
    assert apps.get_app_config("gc").name == "garbage_collector"


def test_pytest_leaves_the_folder_alone():
    # Its importlib mode would put a package of ours in the place of the interpreter's module.
    assert "gc" in PYPROJECT["tool"]["pytest"]["ini_options"]["norecursedirs"]
    assert not [path for path in MODULES if "test" in path.stem]
    assert not list(FOLDER.rglob("conftest.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_the_folder_imports_itself_by_its_import_name(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert (node.module or "").partition(".")[0] != "gc"
        if isinstance(node, ast.Import):
            assert not [alias for alias in node.names if alias.name.partition(".")[0] == "gc"]


def test_tools_know_both_names():
    lint = PYPROJECT["tool"]["ruff"]["lint"]
    assert PYPROJECT["tool"]["setuptools"]["package-dir"] == {"garbage_collector": "gc"}
    assert "garbage_collector" in lint["isort"]["known-first-party"]
    assert "gc" in lint["flake8-tidy-imports"]["banned-api"]
    assert "A005" in lint["per-file-ignores"]["gc/__init__.py"]

"""What the launcher relies on in the checkout's own files."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import garbage_collector
from syringe_project.launcher.checks import make_type_check_folder, package_folders
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "syringe_project" / "launcher"
NOT_PACKAGES = {"docker", "tests", "staticfiles"}
# These run inside the environment that the others make.
INSIDE = {"prepare.py", "teardown.py", "demo.py"}


def test_pyproject_lists_the_packages_on_disk():
    listed = set(package_folders(ROOT).values())
    tops = {
        path
        for path in ROOT.iterdir()
        if (path / "__init__.py").exists() and path.name not in NOT_PACKAGES
    }
    on_disk = {init.parent for top in tops for init in top.rglob("__init__.py")}

    assert listed == on_disk


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_and_hashed(name):
    text = (ROOT / name).read_text().replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line[:1].isalnum()]

    assert requirements
    assert [line for line in requirements if "==" not in line or "--hash=sha256:" not in line] == []


def test_the_locks_hold_everything_that_pyproject_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name, wanted in (
        ("requirements.txt", [*project["dependencies"], *extras["embedded"]]),
        ("requirements-dev.txt", extras["dev"]),
    ):
        locked = {line.split("==")[0] for line in (ROOT / name).read_text().splitlines()}
        assert {_bare(line) for line in wanted} - locked == set()


def _bare(requirement: str) -> str:
    end = next((i for i, c in enumerate(requirement) if c in "[<>=!~; "), len(requirement))
    return requirement[:end].lower().replace("_", "-")


def test_the_project_is_installed_editable_and_gc_by_its_own_name():
    # The checkout's own build folder, syringe.egg-info, may be found as well.
    origins = [d.read_text("direct_url.json") for d in metadata.distributions(name="syringe")]
    installed = [json.loads(origin) for origin in origins if origin]

    assert [origin["dir_info"]["editable"] for origin in installed] == [True]
    assert installed[0]["url"] == ROOT.as_uri()
    assert Path(garbage_collector.__file__).parent == ROOT / "gc"


def test_the_entrance_can_be_read_by_old_pythons():
    source = (LAUNCHER / "__main__.py").read_text()

    ast.parse(source, feature_version=(3, 6))
    assert "import annotations" not in source


def test_without_a_new_python_the_entrance_says_which_package_to_install(tmp_path):
    code = (
        "import runpy\n"
        f"entrance = runpy.run_path({str(LAUNCHER / '__main__.py')!r}, run_name='entrance')\n"
        "entrance['use_newer_python']()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.returncode == 1
    assert "Syringe needs Python 3.11 or newer" in done.stderr
    assert "install the package python3.11" in done.stderr


def test_what_runs_before_the_environment_needs_the_standard_library_only():
    for path in LAUNCHER.glob("*.py"):
        if path.name in INSIDE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module)):
                    modules = [module]
                case _:
                    continue
            for module in modules:
                assert module.split(".")[0] in sys.stdlib_module_names or module.startswith(
                    "syringe_project.launcher"
                ), f"{path.name} imports {module}"


def test_the_type_check_folder_has_every_package_under_its_import_name(tmp_path):
    (tmp_path / "gc").mkdir()
    (tmp_path / "web").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.setuptools]\npackages = ["garbage_collector", "web", "web.pages"]\n'
        'package-dir = { garbage_collector = "gc" }\n'
    )

    folder = make_type_check_folder(tmp_path)

    assert {p.name: p.resolve() for p in folder.iterdir()} == {
        "garbage_collector": tmp_path / "gc",
        "web": tmp_path / "web",
    }


def test_make_without_a_target_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    done = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == phony
    assert all(len(line.split()) > 2 for line in lines)

"""Static checks, and the lock files of the requirements."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.python_environment import PythonEnvironment
from syringe_project.launcher.settings import child_environment

# Django's plugin for mypy loads the settings, which want these; no server is asked anything.
_UNUSED_SETTINGS = {
    "SYRINGE_SECRET_KEY": "unused by static checks, at least 32 bytes",
    "SYRINGE_DATABASE_URL": "postgresql://unused.invalid/unused",
    "SYRINGE_REDIS_URL": "redis://unused.invalid",
    "SYRINGE_ENV_FILE": os.devnull,
}
_LOCK_OPTIONS = (
    *("--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-header", "--no-emit-index-url", "--quiet"),
)


def package_folders(project: Path) -> dict[str, Path]:
    """Return each package that ``pyproject.toml`` lists, with its folder."""
    with (project / "pyproject.toml").open("rb") as file:
        setuptools = tomllib.load(file)["tool"]["setuptools"]
    renamed: Mapping[str, str] = setuptools["package-dir"]
    folders: dict[str, Path] = {}
    for package in setuptools["packages"]:
        top, *rest = package.split(".")
        folders[package] = project.joinpath(renamed.get(top, top), *rest)
    return folders


def make_type_check_folder(project: Path) -> Path:
    """Make a folder in which every package has its import name; mypy follows no other trail."""
    folder = project / ".typecheck"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for package, target in package_folders(project).items():
        if "." not in package:
            (folder / package).symlink_to(os.path.relpath(target, folder))
    return folder


def _run(
    console: Console, environment: PythonEnvironment, command: Sequence[str], folder: Path
) -> bool:
    console.say("$ " + " ".join(command))
    program = environment.folder / "bin" / command[0]
    done = subprocess.run(
        [str(program), *command[1:]],
        cwd=folder,
        env=child_environment(environment, _UNUSED_SETTINGS),
        check=False,
    )
    return done.returncode == 0


def lint(console: Console, environment: PythonEnvironment) -> int:
    """Run all, even when one complains."""
    commands = (["ruff", "check"], ["ruff", "format", "--check"], ["lint-imports"])
    passed = [_run(console, environment, command, environment.project) for command in commands]
    return 0 if all(passed) else 1


def type_check(console: Console, environment: PythonEnvironment) -> int:
    """Check every package of ours."""
    project = environment.project
    folder = make_type_check_folder(project)
    packages = [part for name in sorted(p.name for p in folder.iterdir()) for part in ("-p", name)]
    configuration = str(project / "pyproject.toml")
    cache = str(project / ".mypy_cache")
    command = ["mypy", "--config-file", configuration, "--cache-dir", cache, *packages]
    return 0 if _run(console, environment, command, folder) else 1


def lock(console: Console, environment: PythonEnvironment) -> int:
    """Write every requirement file anew: the project's, and those of the images."""
    uv = shutil.which("uv", path=f"{environment.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise Refusal("make lock needs uv: install it with `pip install uv` and run it again.")
    compile_command = [uv, "pip", "compile", *_LOCK_OPTIONS]
    tested = ["-c", "requirements.txt"]
    files = (
        ["pyproject.toml", "--extra", "embedded", "-o", "requirements.txt"],
        ["pyproject.toml", "--extra", "dev", *tested, "-o", "requirements-dev.txt"],
        ["pyproject.toml", *tested, "-o", "docker/requirements.txt"],
        *(
            [f"docker/{name}.in", "-o", f"docker/{name}.txt"]
            for name in ("build-requirements", "configurator/requirements", "jupyter/requirements")
        ),
    )
    for arguments in files:
        with console.step(f"Locked {arguments[-1]}", announce=f"Locking {arguments[-1]}"):
            command = [*compile_command, *arguments]
            if subprocess.run(command, cwd=environment.project, check=False).returncode != 0:
                raise Refusal(f"uv could not resolve {arguments[-1]}; its words are above.")
    return 0

"""The image, built without a daemon: the Dockerfile's own instructions in a bubblewrap sandbox.

The base image is played by this machine's system and Python, so this shows that the steps work and
what the result needs, and not what Debian's packages in the base are. It downloads all requirements
and is therefore not in `make test`: `make test ARGS="-n 0 -m slow tests/integration/docker"`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.docker.containerfiles import DOCKER, ROOT, ignore_patterns, is_ignored, stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DOCKERFILE = DOCKER / "Dockerfile"
USED_BY_PROGRAMS = {
    "SYRINGE_SECRET_KEY": "a key of which only tests know, 32 characters",
    "SYRINGE_DATABASE_URL": "postgresql://unused.invalid/unused",
    "SYRINGE_REDIS_URL": "redis://unused.invalid",
}


class Sandbox:
    """A root file system with /app and /opt/syringe of its own."""

    def __init__(self, folder):
        self.app = folder / "app"
        self.venv = folder / "venv"
        self.base = folder / "base"
        for made in (self.app, self.venv):
            made.mkdir()
        # What the base image calls python and pip.
        subprocess.run([sys.executable, "-m", "venv", self.base], check=True)

    def run(self, command, *, variables, final=False):
        """Run a command as RUN does, or as a container of the result with a read-only system."""
        bind = "--ro-bind" if final else "--bind"
        return subprocess.run(
            [
                *("bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid"),
                *_system(),
                *("--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"),
                *(bind, self.venv, "/opt/syringe", bind, self.app, "/app"),
                *("--ro-bind", self.base, "/base"),
                *(["--uid", "10001", "--gid", "10001", "--unshare-net"] if final else []),
                *("--chdir", "/app", "--", "sh", "-euc", command),
            ],
            env={
                **{n: v for n, v in os.environ.items() if n.startswith(("PIP_", "SSL_"))},
                **variables,
                "HOME": os.environ["HOME"] if not final else "/tmp",
                "PATH": "/opt/syringe/bin:/base/bin:/usr/bin:/bin",
            },
            capture_output=True,
            text=True,
        )


def _system():
    """Show this machine's folders, but for those that the image has of its own."""
    shown = [path for path in Path("/").iterdir() if path.name not in {"app", "dev", "proc", "tmp"}]
    for path in [*shown, *Path("/opt").iterdir()]:
        if path.is_symlink():
            yield from ("--symlink", path.readlink(), path)
        elif path == Path("/opt"):
            yield from ("--tmpfs", path)
        else:
            yield from ("--ro-bind", path, path)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    sandbox = Sandbox(tmp_path_factory.mktemp("build"))
    patterns = ignore_patterns()

    def ignored(folder, names):
        inside = Path(folder).relative_to(ROOT)
        return [name for name in names if is_ignored(str(inside / name), patterns)]

    base, build, _ = stages(DOCKERFILE)
    variables = {**base.variables(), **build.variables()}
    for word, rest in build.instructions:
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(
                        ROOT / source, sandbox.app / target, ignore=ignored, dirs_exist_ok=True
                    )
                else:
                    place = sandbox.app / target / Path(source).name
                    place.parent.mkdir(exist_ok=True)
                    shutil.copy(ROOT / source, place)
        elif word == "RUN":
            done = sandbox.run(rest, variables=variables)
            assert done.returncode == 0, done.stdout + done.stderr
    return sandbox


def in_container(sandbox, command):
    """Run a command in the built image as its user, where only /tmp can be written."""
    base, _, final = stages(DOCKERFILE)
    variables = {**base.variables(), **final.variables(), **USED_BY_PROGRAMS}
    return sandbox.run(command, variables=variables, final=True)


def test_the_image_has_programs_and_no_installers(built):
    programs = {path.name for path in (built.venv / "bin").iterdir()}
    packages = {path.name for path in (built.venv / "lib").glob("python3*/site-packages/*")}

    assert {"gunicorn", "celery", "python"} <= programs
    assert not programs & {"pip", "pip3"}
    assert not packages & {"pip", "setuptools"}
    assert (built.app / "staticfiles" / "web" / "terminal.js.gz").is_file()
    assert not (built.app / "docker").exists()


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn syringe_project.wsgi --check-config --no-control-socket",
        "gunicorn syringe_project.bundle_wsgi --check-config --no-control-socket",
        "python -m gateway --help",
        "celery --app=syringe_project --skip-checks worker --help",
        "celery --app=syringe_project --skip-checks beat --help",
        "celery --app=syringe_project --skip-checks flower --help",
        "python manage.py migrate --help",
        "python manage.py import_curriculum --help",
        "python manage.py validate_curriculum curriculum/sample",
    ],
)
def test_programs_run_as_nobody_in_particular_on_a_read_only_system(built, command):
    done = in_container(built, command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_but_tmp_can_be_written(built):
    places = "for f in /app/x /opt/syringe/x; do ! touch $f || exit 1; done; touch /tmp/x"
    done = in_container(built, places)
    assert done.returncode == 0, done.stderr

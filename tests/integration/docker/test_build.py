"""The image, built without a daemon, as ``sandboxes`` has it.

This downloads all requirements and is therefore not in `make test`:
`make test ARGS="-n 0 -m slow tests/integration/docker"`.
"""

import pytest

from tests.integration.docker.sandboxes import Sandbox, build
from tests.unit.docker.containerfiles import DOCKER, stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DOCKERFILE = DOCKER / "Dockerfile"
USED_BY_PROGRAMS = {
    "SYRINGE_SECRET_KEY": "a key of which only tests know, 32 characters",
    "SYRINGE_DATABASE_URL": "postgresql://unused.invalid/unused",
    "SYRINGE_REDIS_URL": "redis://unused.invalid",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    sandbox = Sandbox(tmp_path_factory.mktemp("build"), "/app", "/opt/syringe")
    build(DOCKERFILE, sandbox)
    return sandbox


def in_container(sandbox, command):
    """Run a command in the built image as its user, where only /tmp can be written."""
    base, _, final = stages(DOCKERFILE)
    variables = {**base.variables(), **final.variables(), **USED_BY_PROGRAMS}
    return sandbox.run(command, variables=variables, where="/app", user="10001")


def test_the_image_has_programs_and_no_installers(built):
    programs = {path.name for path in built.outside("/opt/syringe/bin").iterdir()}
    library = built.outside("/opt/syringe/lib")
    packages = {path.name for path in library.glob("python3*/site-packages/*")}

    assert {"gunicorn", "celery", "python"} <= programs
    assert not programs & {"pip", "pip3"}
    assert not packages & {"pip", "setuptools"}
    assert (built.outside("/app/staticfiles") / "web" / "terminal.js.gz").is_file()
    assert not built.outside("/app/docker").exists()


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

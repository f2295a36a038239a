"""The commands of compose.yaml and the chart, run as the image runs them, without a container.

The image's folder is laid out by the Dockerfile's own COPY instructions; a process finds nothing
there that the image would not have.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.databases import fresh_database
from tests.stack import free_port
from tests.unit.docker.containerfiles import DOCKER, ROOT, ignore_patterns, is_ignored, stages
from tests.unit.docker.test_compose import GIVEN, WORKERS, compose
from tests.waiting import PATIENCE, wait_until

PROGRAMS = Path(sys.executable).parent

# One installation for the whole module, whatever worker of pytest it runs on.
pytestmark = pytest.mark.xdist_group("image")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Lay out /app, and return it with the variables of the image."""
    app = tmp_path_factory.mktemp("image") / "app"
    patterns = ignore_patterns()

    def ignored(folder, names):
        inside = Path(folder).relative_to(ROOT)
        return [name for name in names if is_ignored(str(inside / name), patterns)]

    *_, build, final = stages(DOCKER / "Dockerfile")
    for copied in build.all("COPY"):
        *sources, target = copied.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, app / target, ignore=ignored, dirs_exist_ok=True)
            else:
                place = app / target / Path(source).name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
    # The image installs the packages from there; here their names have to be found otherwise.
    (app / "garbage_collector").symlink_to("gc")
    variables = {**stages(DOCKER / "Dockerfile")[0].variables(), **final.variables()}
    variables = {name: value for name, value in variables.items() if name.startswith("SYRINGE_")}
    variables["SYRINGE_STATIC_FOLDER"] = str(app / "staticfiles")
    return app, variables


@pytest.fixture(scope="module")
def static_files(image):
    """Collect the static files as the Dockerfile does."""
    app, variables = image
    build = next(stage for stage in stages(DOCKER / "Dockerfile") if stage.name == "build")
    run = next(run for run in build.all("RUN") if "collectstatic" in run)
    command = next(part for part in run.split("&&") if "collectstatic" in part)
    subprocess.run(
        ["sh", "-euc", command],
        cwd=app,
        env={**variables, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PYTHONPATH": str(app)},
        check=True,
        capture_output=True,
    )
    return app / "staticfiles"


@pytest.fixture(scope="module")
def services():
    done = compose(GIVEN, "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


class Installation:
    """Services of compose.yaml as processes; what differs is where they listen and meet."""

    def __init__(self, *, app, variables, services, folder, database_url):
        self._services = services
        self._app = app
        self._folder = folder
        self._processes = {}
        self.ports = {8000: free_port(), 8002: free_port(), 5555: free_port()}
        self.web_port = free_port()
        self._variables = {
            **variables,
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "PYTHONPATH": str(app),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "SYRINGE_SECRET_KEY": GIVEN["SYRINGE_SECRET_KEY"],
            "SYRINGE_DATABASE_URL": database_url,
            "SYRINGE_REDIS_URL": os.environ["SYRINGE_REDIS_URL"],
            "SYRINGE_INSTANCE": f"docker-{uuid4().hex[:12]}",
            "SYRINGE_RUN_FOLDER": str(folder / "run"),
            "SYRINGE_BACKEND": "scheduler.backends.fake.FakeBackend",
        }
        self._own = {
            "web": {
                "SYRINGE_TRUSTED_PROXIES": services["web"]["environment"]["SYRINGE_TRUSTED_PROXIES"]
            },
            "gateway": {
                "SYRINGE_WEB_URL": f"http://127.0.0.1:{self.web_port}",
                "SYRINGE_PORT": str(self.ports[8000]),
            },
            "flower": {"FLOWER_BASIC_AUTH": GIVEN["FLOWER_BASIC_AUTH"]},
        }

    def command(self, name):
        """Return a service's command, listening on a free port of loopback."""
        ports = {**self.ports, 8000: self.web_port if name == "web" else self.ports[8000]}
        elsewhere = [
            (r"0\.0\.0\.0:(\d+)$", lambda match: f"127.0.0.1:{ports[int(match[1])]}"),
            (r"--host=0\.0\.0\.0$", "--host=127.0.0.1"),
            (r"--port=(\d+)$", lambda match: f"--port={ports[int(match[1])]}"),
        ]
        command = "\n".join(self._services[name]["command"])
        for pattern, replacement in elsewhere:
            command = re.sub(pattern, replacement, command, flags=re.MULTILINE)
        return command.splitlines() + (["--address=127.0.0.1"] if name == "flower" else [])

    def heartbeat(self, name):
        return self._folder / f"{name}.heartbeat"

    def probe(self, name, file):
        """Return a service's health check, looking at another file."""
        words = self._services[name]["healthcheck"]["test"][1]
        return ["sh", "-c", words.replace("$$", "$").replace("/tmp/heartbeat", str(file))]

    def environment(self, name):
        own = dict(self._own.get(name, {}))
        if "SYRINGE_HEARTBEAT_FILE" in self._services[name]["environment"]:
            own["SYRINGE_HEARTBEAT_FILE"] = str(self.heartbeat(name))
        return {**self._variables, **own}

    def run(self, name):
        """Run a service that ends by itself."""
        return subprocess.run(
            self.command(name),
            cwd=self._app,
            env=self.environment(name),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def start(self, name):
        with (self._folder / f"{name}.log").open("w") as log:
            self._processes[name] = subprocess.Popen(
                self.command(name),
                cwd=self._app,
                env=self.environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name):
        return (self._folder / f"{name}.log").read_text()

    def stop(self):
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="module")
def installation(image, static_files, services, tmp_path_factory):
    app, variables = image
    with contextlib.ExitStack() as exits:
        installation = Installation(
            app=app,
            variables=variables,
            services=services,
            folder=tmp_path_factory.mktemp("tmp"),
            database_url=exits.enter_context(fresh_database(os.environ["SYRINGE_DATABASE_URL"])),
        )
        done = installation.run("migrate")
        assert done.returncode == 0, done.stderr
        exits.callback(installation.stop)
        names = ("web", "gateway", "bundles", *WORKERS, "beat", "flower")
        for name in names:
            installation.start(name)
        yield installation


def answer_of(installation, url, **options):
    """Return the first answer of a service that is starting."""

    def ask():
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(url, timeout=5, **options)
        return None

    answer = wait_until(lambda: [a for a in [ask()] if a is not None], what=url)
    return answer[0]


def test_the_image_has_its_static_files(static_files):
    for name in ("web/terminal.js", "admin/css/base.css"):
        assert (static_files / name).is_file()
        assert (static_files / f"{name}.gz").is_file()


def test_the_gateway_leads_to_web_over_the_network(installation):
    front = f"http://127.0.0.1:{installation.ports[8000]}"
    assert answer_of(installation, f"{front}/healthz/gateway").json() == {}
    wait_until(lambda: httpx.get(f"{front}/healthz").status_code == 200, what="web")

    page = httpx.get(f"{front}/learn/")
    script = httpx.get(f"{front}/static/web/terminal.js")
    assert (page.status_code, script.status_code) == (200, 200)
    assert script.headers["content-encoding"] == "gzip"


def test_the_bundle_service_answers_and_serves_nothing_else(installation):
    bundles = f"http://127.0.0.1:{installation.ports[8002]}"
    assert answer_of(installation, f"{bundles}/healthz").status_code == 200
    assert httpx.get(f"{bundles}/learn/").status_code == 404


@pytest.mark.parametrize("name", [*sorted(WORKERS), "beat"])
def test_what_works_touches_its_file_again_and_again(installation, name):
    file = installation.heartbeat(name)
    wait_until(file.exists, what=f"the heartbeat of {name}")
    first = file.stat().st_mtime_ns
    wait_until(lambda: file.stat().st_mtime_ns > first, what=f"another one of {name}")
    assert subprocess.run(installation.probe(name, file)).returncode == 0

    old = file.with_suffix(".old")
    file.rename(old)
    long_ago = time.time() - 600
    os.utime(old, (long_ago, long_ago))
    assert subprocess.run(installation.probe(name, old)).returncode != 0


def test_flower_is_not_open(installation):
    flower = f"http://127.0.0.1:{installation.ports[5555]}"
    assert answer_of(installation, f"{flower}/healthcheck").status_code == 200

    user, password = GIVEN["FLOWER_BASIC_AUTH"].split(":")
    assert httpx.get(f"{flower}/workers").status_code == 401
    assert httpx.get(f"{flower}/api/workers").status_code == 401
    assert httpx.get(f"{flower}/workers", auth=(user, "wrong")).status_code == 401
    assert httpx.get(f"{flower}/workers", auth=(user, password)).status_code == 200


def test_pods_wait_until_the_migrations_are_done(installation, image):
    app, _ = image
    check = [sys.executable, "manage.py", "migrate", "--check", "--verbosity=0"]
    done = installation.environment("web")
    assert subprocess.run(check, cwd=app, env=done, capture_output=True).returncode == 0
    with fresh_database(os.environ["SYRINGE_DATABASE_URL"]) as url:
        not_done = {**done, "SYRINGE_DATABASE_URL": url}
        assert subprocess.run(check, cwd=app, env=not_done, capture_output=True).returncode != 0


def test_everything_is_read_from_the_image(installation, image):
    app, _ = image
    code = "import garbage_collector, gateway, web; print(garbage_collector, gateway, web)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=app,
        env=installation.environment("web"),
        capture_output=True,
        text=True,
    )
    assert done.stdout.count(str(app)) == 3, done.stderr

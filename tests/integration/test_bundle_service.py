"""The bundle service as its own process, over real HTTP."""

import hashlib
import os
import random
import subprocess
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.bundle_links import bundle_url
from lessons.models import Bundle
from lessons.selectors import PIECE_BYTES
from scheduler.environments import environment_spec
from syringe_project.launcher.python_environment import PythonEnvironment
from syringe_project.launcher.services import application_services
from tests.stack import free_port
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.django_db(transaction=True)


class Service:
    """A running bundle service; ``log`` is everything that it printed."""

    def __init__(self, url, pid, log):
        self.url, self.pid, self._log = url, pid, log
        self.client = httpx.Client(base_url=url, timeout=PATIENCE)

    def ask(self, address, method="GET", **headers):
        """Ask for what another installation's name stands before."""
        parts = urlsplit(address)
        return self.client.request(method, f"{parts.path}?{parts.query}", headers=headers)

    @property
    def log(self):
        return self._log.read_text()


@pytest.fixture(scope="module")
def service(django_db_setup, django_db_blocker, tmp_path_factory):
    with django_db_blocker.unblock():
        database = connection.settings_dict
        user, password = quote(database["USER"], safe=""), quote(database["PASSWORD"], safe="")
        host = quote(database["HOST"], safe="")
    folder = tmp_path_factory.mktemp("bundles")
    bind = f"127.0.0.1:{free_port()}"
    variables = {
        "SYRINGE_INSTANCE": "bundles",
        "SYRINGE_RUN_FOLDER": str(folder),
        "SYRINGE_ENV_FILE": os.devnull,
        "SYRINGE_BACKEND": "scheduler.backends.kubernetes.KubernetesBackend",
        "SYRINGE_BUNDLE_BIND": bind,
        "SYRINGE_DATABASE_URL": f"postgresql://{user}:{password}@{host}:"
        f"{database['PORT']}/{database['NAME']}",
        "SYRINGE_REDIS_URL": django_settings.SYRINGE_REDIS_URL,
        "SYRINGE_SECRET_KEY": django_settings.SECRET_KEY,
    }
    services = application_services(PythonEnvironment(ROOT), variables, folder)
    (declared,) = [service for service in services if service.name == "bundle service"]
    with declared.log.open("wb") as file:
        process = subprocess.Popen(
            declared.command,
            cwd=declared.folder,
            # It must not be taken in by settings that serve everything.
            env={**declared.environment, "DJANGO_SETTINGS_MODULE": "syringe_project.settings"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    running = Service(f"http://{bind}", process.pid, declared.log)

    def answers():
        assert process.poll() is None, running.log
        return declared.is_ready(process.pid)

    try:
        wait_until(answers, what="the bundle service")
        yield running
    finally:
        running.client.close()
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def make_bundle():
    """Return a factory of stored bundles."""

    def make(content=b"a lesson's folder, packed"):
        sha256 = hashlib.sha256(content).hexdigest()
        return Bundle.objects.create(sha256=sha256, content=content, size=len(content))

    return make


@pytest.fixture
def make_url(make_bundle, make_lesson, make_live_lesson):
    """Return a factory of the addresses that pods of a livelesson get."""

    def make(content=b"a lesson's folder, packed", **fields):
        bundle = make_bundle(content)
        lesson = make_lesson()
        lesson.bundle = bundle
        lesson.spec["bundle_sha256"] = bundle.pk
        lesson.save()
        return environment_spec(make_live_lesson(lesson=lesson, **fields)).bundle_url

    return make


def test_pods_get_the_folder(service, make_url):
    url = make_url(b"folder")

    answer = service.ask(url)

    assert (answer.status_code, answer.content) == (200, b"folder")
    sha256 = hashlib.sha256(b"folder").hexdigest()
    assert answer.headers["Content-Type"] == "application/gzip"
    assert answer.headers["Content-Length"] == "6"
    assert answer.headers["ETag"] == f'"{sha256}"'
    assert answer.headers["Cache-Control"] == "private"
    assert "Content-Encoding" not in answer.headers


def test_the_address_begins_with_the_setting(make_url, settings):
    settings.SYRINGE_BUNDLE_URL = "http://bundles.example.org"

    assert make_url().startswith("http://bundles.example.org/bundles/")


def test_head_is_get_without_the_folder(service, make_url):
    url = make_url(b"folder")

    head, get = service.ask(url, "HEAD"), service.ask(url)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.headers[name] == get.headers[name]


def test_an_empty_bundle(service, make_url):
    answer = service.ask(make_url(b""))

    assert (answer.status_code, answer.content) == (200, b"")


def test_an_address_ends_with_the_greatest_age(service, make_url, settings):
    settings.SYRINGE_MAX_LIFETIME_SECONDS = 3600
    now = timezone.now()

    young = make_url(b"young", created_at=now - timedelta(minutes=59))
    ends_now = make_url(b"old", created_at=now - timedelta(seconds=3599))

    assert service.ask(young).status_code == 200
    assert wait_until(lambda: service.ask(ends_now).status_code == 403, what="the address's end")
    refused = service.ask(ends_now)
    assert (refused.status_code, refused.headers["Content-Type"]) == (
        403,
        "text/plain; charset=utf-8",
    )
    assert len(refused.text) < 100


def test_what_a_persistent_session_starts_late_gets_its_folder(service, make_url, settings):
    settings.SYRINGE_MAX_LIFETIME_SECONDS = 3600

    old = make_url(b"old", created_at=timezone.now() - timedelta(minutes=61))

    assert service.ask(old).status_code == 200


def test_another_bundle_is_refused(service, make_url, make_bundle):
    other = make_bundle(b"of another lesson")
    url = make_url()

    stolen = url.replace(urlsplit(url).path, f"/bundles/{other.pk}")

    assert service.ask(stolen).status_code == 403


def test_a_bundle_that_is_gone_is_not_found(service, make_live_lesson):
    url = bundle_url(
        sha256="ab" * 32,
        live_lesson_id=make_live_lesson().pk,
        expires_at=timezone.now() + timedelta(hours=1),
    )

    for method in ("GET", "HEAD"):
        assert service.ask(url, method).status_code == 404
    assert service.ask(url).headers["Content-Type"] == "text/plain; charset=utf-8"
    # Whoever has no address learns nothing of what exists.
    assert service.client.get(urlsplit(url).path).status_code == 403


@given(data=st.data())
@settings(max_examples=40)
def test_changed_addresses_are_refused(service, data):
    url = bundle_url(
        sha256="ab" * 32,
        live_lesson_id=data.draw(st.uuids()),
        expires_at=timezone.now() + timedelta(hours=1),
    )
    place = data.draw(st.integers(url.index("?") + 1, len(url) - 1))
    character = data.draw(st.sampled_from("Aa0-_=&%~."))
    changed = url[:place] + character + url[place + 1 :]

    assert service.ask(changed).status_code == (404 if changed == url else 403)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/bundles", "/bundles/", "/bundles/xyz", "/bundles/" + "A" * 64, "/bundles/../admin/",
        "/api/v1/lessons", "/exp/lesson", "/learn/", "/admin/login/", "/static/web/style.css",
        "/bundles/" + "a" * 64 + "%0A",
    ],
)  # fmt: skip
def test_nothing_else_is_served(service, path):
    answer = service.client.get(path)

    assert (answer.status_code, answer.headers["Content-Type"]) == (
        404,
        "text/plain; charset=utf-8",
    )


def test_nothing_is_changed_by_it(service, make_url):
    url = make_url()

    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert service.ask(url, method).status_code == 405


def test_health_asks_no_database(django_assert_num_queries):
    from lessons.bundle_views import health

    with django_assert_num_queries(0):
        assert health(None).status_code == 200


def test_a_bundle_costs_one_query(rf, make_url, django_assert_num_queries):
    from lessons.bundle_views import bundle

    parts = urlsplit(make_url(b"folder"))
    for method in (rf.get, rf.head):
        request = method(f"{parts.path}?{parts.query}")
        with django_assert_num_queries(1):
            response = bundle(request, sha256=parts.path.removeprefix("/bundles/"))
            assert response.status_code == 200
            b"".join(response)


def peak_kilobytes(pid):
    """Return the most memory that a process's children have had."""
    peaks = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        status = Path(f"/proc/{child}/status").read_text()
        peaks.append(int(status.split("VmHWM:")[1].split()[0]))
    return max(peaks)


def test_a_large_bundle_is_never_whole_in_memory(service, make_url):
    content = random.Random(1).randbytes(32 * 1024 * 1024 + 1)
    url = make_url(content)
    service.client.get("/healthz")
    before = peak_kilobytes(service.pid)

    answer = service.ask(url)

    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(content).digest()
    assert peak_kilobytes(service.pid) - before < 8 * PIECE_BYTES / 1024


def test_addresses_are_not_logged(service, make_url):
    url = make_url(b"not to be logged")
    signature = urlsplit(url).query.removeprefix("signature=")

    service.ask(url)
    assert service.ask(url.replace("?", "?a=1&")).status_code == 403
    assert service.ask(url, "POST").status_code == 405

    wait_until(lambda: "Method Not Allowed" in service.log, what="a line of the log")
    assert signature not in service.log

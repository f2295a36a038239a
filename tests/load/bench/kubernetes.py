"""What Syringe adds to a cluster's own time: a start takes as long as its pods, and little more."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import psycopg2

from scheduler.backends.base import BackendUnavailable
from scheduler.backends.kubernetes.client import Cluster, load_api
from scheduler.backends.kubernetes.labels import INSTANCE, LIVELESSON, ROLE, Role
from syringe_project.kubernetes_environment import KubernetesEnvironment
from tests.load.bench.figures import percentile
from tests.load.bench.learners import Learner
from tests.load.bench.parts import Bench
from tests.load.bench.results import Result
from tests.load.bench.starts import BURST_SECONDS
from tests.stack import KUBERNETES, ROOT, Stack
from tests.waiting import wait_until

_PORT = 8080
_PLAIN, _CONFIGURED = "one-page", "configured-page"
_LESSON = """---
name: {slug}
slug: {slug}
category: fundamentals
tier: prod
description: A web server and nothing else.
shortDescription: One page
authors: []
endpoints:
  - name: web
    image: page
    configurationType: {configuration}
    presentations:
      - {{name: page, port: {port}, type: http}}
stages:
  - {{description: Look, guideType: markdown}}
"""
_REAL_IMAGE = "nginxinc/nginx-unprivileged:stable-alpine"
"""Anybody can pull it, it needs no rights, and it answers on 8080."""
_REAL_CONFIGURATOR = "python:3.12-slim-bookworm"

_ANYBODY = json.dumps([{"ipBlock": {"cidr": "0.0.0.0/0"}}])
_WITH, _WITHOUT = 300, 1500
_START_CALLS, _LOOK_CALLS = 12 + 3, 3
_CALL_SECONDS = 0.01
"""How long the fake cluster thinks about each call: a real server asks etcd and its webhooks."""
_JOB_SECONDS = 1
"""How long its Job controller gathers what happens to pods, as a real one does."""

_DIRECT = """
import time, uuid
from concurrent.futures import ThreadPoolExecutor
import django
django.setup()
from lessons.models import CurrentLesson
from scheduler.backends.base import EnvironmentRef, EnvironmentSpec
from scheduler.backends.registry import current_backend
from scheduler.specs import lesson_spec
lesson = lesson_spec(CurrentLesson.objects.get(slug="{slug}").lesson.spec)
specs = [
    EnvironmentSpec(
        EnvironmentRef(uuid.uuid4(), 0), uuid.uuid4(), lesson, "password", lambda: b"",
        "http://127.0.0.1/none",
    )
    for _ in range({number})
]
backend = current_backend()
list(backend.owned())
cluster = backend._cluster()
send, sent = cluster._send, []
def counted(*args, **kwargs):
    sent.append(args)
    return send(*args, **kwargs)
cluster._send = counted
began = time.perf_counter()
with ThreadPoolExecutor({threads}) as pool:
    list(pool.map(backend.ensure, specs))
took, starts = time.perf_counter() - began, len(sent)
backend.observe([spec.ref for spec in specs])
print(took, starts / len(specs), len(sent) - starts)
for spec in specs:
    backend.destroy(spec.ref)
"""


def measure(bench: Bench) -> Sequence[Result]:
    """Return what is added with and without the watcher, and how fast many begin at once."""
    with (
        TemporaryDirectory() as name,
        _cluster(bench, Path(name)) as kubernetes,
        Stack(
            backend=KUBERNETES,
            workers=2,
            web_workers=2,
            watcher=True,
            bundles=True,
            env={
                "SYRINGE_SESSIONS_PER_ADDRESS": "0",
                "SYRINGE_LIVELESSONS_PER_SESSION": "0",
                **kubernetes,
            },
        ) as stack,
    ):
        stack.manage("import_curriculum", str(_curriculum(Path(name))))
        kubeconfig = kubernetes["SYRINGE_KUBERNETES_KUBECONFIG"]
        _wait_for_watcher(stack)
        starts = bench.scale.cluster_starts
        bench.say(f"{starts} starts with the watcher")
        _start(stack, kubeconfig, _PLAIN, 2, pause=0.5)
        watched = _start(stack, kubeconfig, _PLAIN, starts, pause=0.3)
        bench.say(f"{starts} starts with a configuration")
        configured = _start(stack, kubeconfig, _CONFIGURED, starts, pause=0.3)
        bench.say(f"{bench.scale.burst} starts at once")
        burst = _start(stack, kubeconfig, _PLAIN, bench.scale.burst, pause=0)
        # It would collect what nobody but the bare client knows about.
        stack.kill("gc")
        program = _DIRECT.format(slug=_PLAIN, number=bench.scale.burst, threads=16)
        direct, calls, looks = map(float, stack.python(program).split())
        bench.say(f"{starts} starts without the watcher")
        stack.kill("watcher")
        polled = _start(stack, kubeconfig, _PLAIN, starts, pause=0.3)
    more = burst.begun - direct
    return [
        *_added("with the watcher", watched, {50: _WITH, 95: _WITH, 99: None}),
        # Two waits, one after the other: for the endpoint's pod and for the job's.
        *_added("with it, and a configuration", configured, {50: _WITH, 95: 2 * _WITH, 99: None}),
        *_added("without", polled, dict.fromkeys((50, 95, 99), _WITHOUT)),
        Result(f"{bench.scale.burst} at once, until the last pod was asked for", burst.begun, "s"),
        Result("the same calls by a bare client", direct, "s"),
        Result("more than that, for what starts cost without a cluster", more, "s", BURST_SECONDS),
        Result("calls of a start", calls, "", _START_CALLS),
        Result("calls of one look at all of these", looks, "", _LOOK_CALLS),
        Result("last READY after the last pod was Ready", burst.tail, "s", 1),
    ]


class Starts:
    """When each livelesson was asked for, had its pods, had them done, and was READY."""

    def __init__(
        self, asked: Mapping[UUID, float], pods: "PodTimes", ready: Mapping[UUID, float]
    ) -> None:
        self.added = [(ready[pk] - asked[pk]) - pods.own_time(pk) for pk in asked]
        self.begun = max(pods.created[pk] for pk in asked) - min(asked.values())
        self.tail = max(ready.values()) - max(pods.ready[pk] for pk in asked)


def _added(how: str, starts: Starts, limits: Mapping[int, int | None]) -> Sequence[Result]:
    """Return a figure for each percentile; that for 99 is the worst of so few."""
    return [
        Result(
            f"added to the pods' own time {how}, p{percent}",
            1000 * percentile(starts.added, percent),
            "ms",
            limit,
        )
        for percent, limit in limits.items()
    ]


@contextlib.contextmanager
def _cluster(bench: Bench, folder: Path) -> Iterator[Mapping[str, str]]:
    """Yield settings for the cluster that was named, else for a fake one in its own process."""
    if bench.cluster is not None:
        yield {
            "SYRINGE_BUNDLE_BIND": f"0.0.0.0:{urlsplit(bench.cluster.bundle_url).port}",
            "SYRINGE_BUNDLE_URL": bench.cluster.bundle_url,
            "SYRINGE_KUBERNETES_KUBECONFIG": str(bench.cluster.kubeconfig),
            "SYRINGE_KUBERNETES_IMAGE": _REAL_IMAGE,
            "SYRINGE_KUBERNETES_CONFIGURATOR_IMAGE": _REAL_CONFIGURATOR,
            "SYRINGE_KUBERNETES_ACCESS_PEERS": _ANYBODY,
            "SYRINGE_KUBERNETES_BUNDLE_PEERS": _ANYBODY,
        }
        return
    kubeconfig = folder / "kubeconfig"
    command = [
        sys.executable, "-m", "tests.fake_kubernetes", "--kubeconfig", str(kubeconfig),
        "--latency", str(bench.scale.cluster_seconds), "--spread", str(bench.scale.cluster_spread),
        "--call-latency", str(_CALL_SECONDS), "--job-latency", str(_JOB_SECONDS), "--listen",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(kubeconfig.exists, what="the fake cluster")
            yield {"SYRINGE_KUBERNETES_KUBECONFIG": str(kubeconfig)}
        finally:
            server.terminate()


def _curriculum(folder: Path) -> Path:
    root = folder / "curriculum"
    for slug, configuration in ((_PLAIN, '""'), (_CONFIGURED, "python")):
        lesson = root / "lessons" / slug
        (lesson / "stage0" / "configs").mkdir(parents=True)
        (lesson / "lesson.meta.yaml").write_text(
            _LESSON.format(slug=slug, configuration=configuration, port=_PORT)
        )
        (lesson / "stage0" / "guide.md").write_text("# Look\n")
        if slug == _CONFIGURED:
            (lesson / "stage0" / "configs" / "web.py").write_text("print('configured')\n")
    (root / "curriculum.meta.yaml").write_text("name: Bench\ndescription: Measured.\n")
    (root / "images" / "page").mkdir(parents=True)
    (root / "images" / "page" / "image.meta.yaml").write_text(
        "slug: page\ndescription: A web server\nflavor: untrusted\n"
    )
    return root


def _wait_for_watcher(stack: Stack) -> None:
    log = stack.logs_folder / "watcher.log"
    wait_until(lambda: b"Watching" in log.read_bytes(), what="the watcher")


def _start(stack: Stack, kubeconfig: str, slug: str, number: int, *, pause: float) -> Starts:
    """Start livelessons, each with a session of its own and ``pause`` seconds after the other."""
    learners = [Learner(stack) for _ in range(number)]
    for learner in learners:
        learner.open_session()

    def start(position: int) -> tuple[UUID, float]:
        time.sleep(position * pause)
        began = time.perf_counter()
        return learners[position].start(slug), began

    with (
        PodTimes(kubeconfig, stack.instance) as pods,
        ReadyTimes(stack) as ready,
        ThreadPoolExecutor(number) as pool,
    ):
        asked = dict(pool.map(start, range(number)))
        wait_until(
            lambda: asked.keys() <= ready.seen.keys() and all(map(pods.are_known, asked)),
            seconds=120,
            what="READY",
        )
        starts = Starts(asked, pods, {pk: ready.seen[pk] for pk in asked})
    for learner, live_lesson_id in zip(learners, asked, strict=True):
        learner.end(live_lesson_id)
        learner.close()
    return starts


class _Thread:
    """Something that looks again and again from entering to leaving."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)


class PodTimes(_Thread):
    """When pods were created, Ready or done as a watch tells it, whose delay is the cluster's."""

    def __init__(self, kubeconfig: str, instance: str) -> None:
        super().__init__()
        settings = KubernetesEnvironment(_env_file=None, kubeconfig=kubeconfig)  # type: ignore[call-arg]
        self._cluster = Cluster(lambda: load_api(settings, connections=2), timeout_seconds=10)
        self._labels = f"{INSTANCE}={instance}"
        self.created: dict[UUID, float] = {}
        self.ready: dict[UUID, float] = {}
        self._configuring: dict[UUID, float] = {}
        self._configured: dict[UUID, float] = {}
        self._version = self._cluster.list("Pod", labels=self._labels).resource_version

    def are_known(self, pk: UUID) -> bool:
        """Say whether the end of all that a livelesson began has been seen."""
        return pk in self.ready and (pk not in self._configuring or pk in self._configured)

    def own_time(self, pk: UUID) -> float:
        """Return what the pods of a livelesson took, one after the other."""
        configuration = self._configured.get(pk, 0) - self._configuring.get(pk, 0)
        return self.ready[pk] - self.created[pk] + configuration

    def _run(self) -> None:
        while not self._stop.is_set():
            # Short, so that leaving takes no longer.
            with contextlib.suppress(BackendUnavailable):
                for event in self._cluster.watch(
                    "Pod", labels=self._labels, resource_version=self._version, timeout_seconds=2
                ):
                    now = time.perf_counter()
                    pod = event.object
                    self._version = pod["metadata"]["resourceVersion"]
                    if event.type == "BOOKMARK":
                        continue
                    self._note(pod["metadata"]["labels"], pod.get("status") or {}, now)

    def _note(self, labels: Mapping[str, str], status: Mapping[str, Any], now: float) -> None:
        pk = UUID(labels[LIVELESSON])
        if labels[ROLE] == Role.CONFIGURATION:
            self._configuring.setdefault(pk, now)
            if status.get("phase") == "Succeeded":
                self._configured.setdefault(pk, now)
            return
        self.created.setdefault(pk, now)
        conditions = status.get("conditions") or ()
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            self.ready.setdefault(pk, now)


class ReadyTimes(_Thread):
    """When livelessons were READY, to a few milliseconds."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._url = stack.env["SYRINGE_DATABASE_URL"]
        self.seen: dict[UUID, float] = {}

    def _run(self) -> None:
        connection = psycopg2.connect(self._url, connect_timeout=5)
        connection.autocommit = True
        query = "SELECT id FROM livelessons_livelesson WHERE state = 'READY'"
        with contextlib.closing(connection), connection.cursor() as cursor:
            while not self._stop.wait(0.005):
                cursor.execute(query)
                now = time.perf_counter()
                for (pk,) in cursor.fetchall():
                    self.seen.setdefault(UUID(str(pk)), now)

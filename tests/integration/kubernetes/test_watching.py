"""The watcher: what changes in a cluster wakes the scheduler, whatever happens to the watches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from scheduler.backends.base import BackendUnavailable, Phase
from scheduler.backends.kubernetes import KubernetesBackend
from scheduler.backends.kubernetes.client import Cluster, load_api
from scheduler.backends.kubernetes.labels import LIVELESSON
from scheduler.backends.kubernetes.watching import KINDS, Watcher, _Follower, appearance
from tests.contract.descriptions import end, endpoint, environment, observe, wait_until
from tests.fake_kubernetes import FakeCluster, Fault, crash_loop
from tests.fake_kubernetes.kinds import NAMESPACES, PODS
from tests.granted_clusters import granted_cluster
from tests.stack import ROOT
from tests.waiting import PATIENCE

QUICK = (2.0, 2.5)


class Woken:
    """Collects whom the watcher woke, and the error it ended with."""

    def __init__(self) -> None:
        self.ids: list[UUID] = []
        self.errors: list[BackendUnavailable] = []
        self.signs_of_life = 0
        self.followers: list[_Follower] = []

    def __call__(self, live_lesson_ids: Collection[UUID]) -> None:
        self.ids += live_lesson_ids

    def show_life(self) -> None:
        self.signs_of_life += 1


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with granted_cluster(bookmark_seconds=0.2) as cluster:
        yield cluster


@pytest.fixture
def backend(cluster: FakeCluster, settings: Any, tmp_path: Path) -> KubernetesBackend:
    path = cluster.kubeconfig(tmp_path / "kubeconfig")
    settings.SYRINGE_KUBERNETES = settings.SYRINGE_KUBERNETES.model_copy(
        update={"kubeconfig": str(path), "timeout_seconds": 2.0}
    )
    return KubernetesBackend()


@contextmanager
def watching(
    cluster: FakeCluster,
    settings: Any,
    *,
    relist_seconds: tuple[float, float] = (60, 60),
    give_up_seconds: float = 20,
) -> Iterator[Woken]:
    """Watch until the block ends; an error of the watcher is raised from it."""
    woken, stop = Woken(), threading.Event()
    client = Cluster(
        lambda: load_api(settings.SYRINGE_KUBERNETES, connections=4), timeout_seconds=2
    )
    watcher = Watcher(
        client,
        settings.SYRINGE_INSTANCE,
        woken,
        relist_seconds=relist_seconds,
        give_up_seconds=give_up_seconds,
        show_life=woken.show_life,
    )
    woken.followers = watcher._followers

    def run() -> None:
        try:
            watcher.run(stop)
        except BackendUnavailable as exc:
            woken.errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert wait_until(lambda: woken.errors or watches(cluster) >= len(KINDS))
        yield woken
    finally:
        stop.set()
        cluster.drop_connections()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    if woken.errors:
        raise woken.errors[0]


def client(settings: Any) -> Cluster:
    kubernetes = settings.SYRINGE_KUBERNETES
    return Cluster(lambda: load_api(kubernetes, connections=4), timeout_seconds=2)


def watches(cluster: FakeCluster) -> int:
    """Return how many watches were begun since the last look at the calls."""
    return sum(call.verb == "watch" for call in cluster.calls)


def test_what_runs_at_the_start_wakes_nobody_and_what_changes_wakes_its_lesson(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    files = {"stage0/configs/linux1.py": "pass"}
    machine = endpoint(configuration_type="python")
    old = environment(machine, files=files, stages=({"linux1": "stage0/configs/linux1.py"},))
    new, crashed, ending = environment(), environment(), environment()
    for spec in (old, ending):
        backend.ensure(spec)
        assert wait_until(lambda spec=spec: observe(backend, spec).phase == Phase.RUNNING)  # type: ignore[misc]
    old = replace(old, bundle_url="http://bundles.test:8002/one")
    backend.configure(old, stage=0, endpoint="linux1", run=1)
    done = ("linux1", 1)
    assert wait_until(lambda: observe(backend, old).jobs[done].phase == Phase.SUCCEEDED)
    cluster.kubelet.on("*", crash_loop())
    backend.ensure(crashed)
    assert wait_until(lambda: observe(backend, crashed).phase == Phase.FAILED)
    cluster.kubelet.clear()
    cluster.holds.hold("*")
    backend.destroy(ending.ref)

    with watching(cluster, settings) as woken:
        # Of these two, nobody may have been told.
        lost = {crashed.ref.live_lesson_id, ending.ref.live_lesson_id}
        assert wait_until(lambda: lost <= set(woken.ids))
        cluster.holds.release("*")
        backend.ensure(new)
        assert wait_until(lambda: observe(backend, new).phase == Phase.RUNNING)
        assert wait_until(lambda: new.ref.live_lesson_id in woken.ids)
        assert old.ref.live_lesson_id not in woken.ids

        assert end(backend, old.ref)
        assert wait_until(lambda: old.ref.live_lesson_id in woken.ids)
    for spec in (new, crashed, ending):
        assert end(backend, spec.ref)


def test_other_instances_and_strangers_wake_nobody(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    ours, theirs = environment(), environment()

    with watching(cluster, settings) as woken:
        home = settings.SYRINGE_INSTANCE
        settings.SYRINGE_INSTANCE = f"{home}-other"
        backend.ensure(theirs)
        settings.SYRINGE_INSTANCE = home
        cluster.add(PODS, {
            "metadata": {"name": "stranger", "namespace": "default"},
            "spec": {"containers": [{"name": "one", "image": "one"}]},
        })  # fmt: skip
        backend.ensure(ours)
        assert wait_until(lambda: ours.ref.live_lesson_id in woken.ids)

    assert set(woken.ids) == {ours.ref.live_lesson_id}


def test_it_goes_on_where_it_was_after_lost_connections(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    spec = environment()

    with watching(cluster, settings) as woken:
        begun = watches(cluster)
        cluster.faults.add(Fault(verb="watch", drop="before", times=2))
        cluster.drop_connections()
        backend.ensure(spec)
        assert wait_until(lambda: spec.ref.live_lesson_id in woken.ids)
        assert wait_until(lambda: watches(cluster) >= begun + len(KINDS))

    assert lists_of_pods(cluster) == 1


def test_bookmarks_spare_a_list_where_what_changed_was_nothing_of_ours(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    spec = environment()

    with watching(cluster, settings) as woken:
        cluster.add(NAMESPACES, {"metadata": {"name": "stranger"}})
        cluster.settle()
        newest = str(cluster.store.version)
        assert wait_until(lambda: {one._version for one in woken.followers} == {newest})
        cluster.compact()
        cluster.drop_connections()
        backend.ensure(spec)
        assert wait_until(lambda: spec.ref.live_lesson_id in woken.ids)

    assert lists_of_pods(cluster) == 1


@pytest.mark.parametrize("as_event", [True, False])
def test_it_lists_again_when_its_version_has_expired(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any, *, as_event: bool
) -> None:
    spec = environment()

    with watching(cluster, settings) as woken:
        fault = {"expire": True} if as_event else {"status": 410}
        cluster.faults.add(Fault(verb="watch", times=len(KINDS), **fault))  # type: ignore[arg-type]
        cluster.drop_connections()
        backend.ensure(spec)
        assert wait_until(lambda: spec.ref.live_lesson_id in woken.ids)
        assert wait_until(lambda: lists_of_pods(cluster) == 2)
        woken.ids.clear()
        assert end(backend, spec.ref)
        assert wait_until(lambda: spec.ref.live_lesson_id in woken.ids)


@pytest.mark.usefixtures("backend")
def test_it_does_not_hammer_a_server_whose_versions_expire_at_once(
    cluster: FakeCluster, settings: Any
) -> None:
    cluster.faults.add(Fault(verb="watch", status=410, times=None))

    with watching(cluster, settings):
        began = time.monotonic()
        assert wait_until(lambda: lists_of_pods(cluster) >= 6)
        # Without backing off at most 0.2 s each, so that five take 1 s.
        assert time.monotonic() - began > 1.1


def test_it_shows_life_only_while_every_kind_is_followed(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    spec = environment()
    cluster.faults.add(Fault(verb="watch", resource="jobs", delay=6, times=None))

    with watching(cluster, settings, give_up_seconds=1) as woken:
        assert woken.signs_of_life > 0
        assert wait_until(lambda: _is_silent(woken))
        backend.ensure(spec)
        assert wait_until(lambda: spec.ref.live_lesson_id in woken.ids)
        cluster.faults.clear()
        cluster.drop_connections()
        before = woken.signs_of_life
        assert wait_until(lambda: woken.signs_of_life > before)


def _is_silent(woken: Woken) -> bool:
    """Whether more than one round of the watcher passes without a sign of life."""
    before = woken.signs_of_life
    time.sleep(1.2)
    return woken.signs_of_life == before


def lists_of_pods(cluster: FakeCluster) -> int:
    """Return how often the watcher listed; an observation lists by livelesson."""
    return sum(
        " in " not in call.query["labelSelector"]
        for call in cluster.calls.matching(verb="list", resource="pods")
    )


def test_what_a_silent_watch_loses_is_found_by_the_next_list(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    spec = environment()

    with watching(cluster, settings, relist_seconds=QUICK) as woken:
        # From now on a new watch says nothing for longer than it lasts.
        cluster.faults.add(Fault(verb="watch", delay=4, times=None))
        cluster.drop_connections()
        backend.ensure(spec)
        assert wait_until(lambda: spec.ref.live_lesson_id in woken.ids)
        cluster.faults.clear()


def test_it_ends_when_it_may_not_watch(settings: Any, tmp_path: Path) -> None:
    with FakeCluster(rules=[]) as cluster:
        settings.SYRINGE_KUBERNETES = settings.SYRINGE_KUBERNETES.model_copy(
            update={"kubeconfig": str(cluster.kubeconfig(tmp_path / "kubeconfig"))}
        )
        with (
            pytest.raises(BackendUnavailable, match="forbidden"),
            watching(cluster, settings),
        ):
            pass


def test_it_ends_when_the_cluster_stays_away(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    def until_it_gives_up() -> None:
        with watching(cluster, settings, give_up_seconds=1) as woken:
            cluster.faults.add(Fault(status=503, times=None))
            cluster.drop_connections()
            assert wait_until(lambda: bool(woken.errors))

    with pytest.raises(BackendUnavailable, match="503"):
        until_it_gives_up()


def test_heartbeats_and_times_change_no_appearance_but_a_crash_does(
    backend: KubernetesBackend, settings: Any
) -> None:
    spec = environment()
    backend.ensure(spec)
    assert wait_until(lambda: observe(backend, spec).phase == Phase.RUNNING)
    [pod] = client(settings).list("Pod", labels=f"{LIVELESSON}={spec.ref.live_lesson_id.hex}").items
    before = appearance("Pod", pod)

    pod["metadata"]["resourceVersion"] = "999999"
    for condition in pod["status"]["conditions"]:
        condition["lastProbeTime"] = "2031-01-01T00:00:00Z"
    assert appearance("Pod", pod) == before
    pod["status"]["phase"] = "Failed"
    assert appearance("Pod", pod) != before


def test_the_stages_of_a_start_that_nobody_sees_wake_nobody(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    spec = environment()

    with watching(cluster, settings) as woken:
        backend.ensure(spec)
        assert wait_until(lambda: observe(backend, spec).phase == Phase.RUNNING)
        assert wait_until(lambda: spec.ref.live_lesson_id in woken.ids)

    assert len(woken.ids) <= 3


@contextmanager
def command(environment_: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "manage.py", "watch_backend"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "syringe_project.settings",
            "SYRINGE_INSTANCE": "watch",
            **environment_,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_command_says_that_a_backend_needs_no_watcher() -> None:
    with command({"SYRINGE_BACKEND": "scheduler.backends.fake.FakeBackend"}) as process:
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert "fake needs no watcher" in output


def test_the_command_fails_where_no_cluster_is_and_ends_by_a_signal_where_one_is(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    path, heartbeat = tmp_path / "kubeconfig", tmp_path / "heartbeat"
    named = {
        "SYRINGE_HEARTBEAT_FILE": str(heartbeat),
        "SYRINGE_BACKEND": "scheduler.backends.kubernetes.KubernetesBackend",
        "SYRINGE_KUBERNETES_KUBECONFIG": str(path),
    }
    with command(named) as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert str(path) in output
    assert not heartbeat.exists()

    cluster.kubeconfig(path)
    with command(named) as process:
        assert wait_until(lambda: watches(cluster) >= len(KINDS), 60)
        assert wait_until(heartbeat.exists)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output


def test_the_command_ends_when_it_cannot_note_what_it_saw(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any, tmp_path: Path
) -> None:
    settings.SYRINGE_INSTANCE = "watch"
    cluster.kubelet.on("*", crash_loop())
    backend.ensure(environment())

    named = {
        "SYRINGE_BACKEND": "scheduler.backends.kubernetes.KubernetesBackend",
        "SYRINGE_KUBERNETES_KUBECONFIG": str(cluster.kubeconfig(tmp_path / "kubeconfig")),
        "SYRINGE_DATABASE_URL": "postgres://nobody:a-secret@127.0.0.1:9/none",
    }
    with command(named) as process:
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert "The database is not available" in output
    assert "a-secret" not in output


def test_a_crash_wakes_its_lesson(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    spec = environment()
    cluster.kubelet.on("*", crash_loop())

    with watching(cluster, settings) as woken:
        backend.ensure(spec)
        assert wait_until(lambda: observe(backend, spec).phase == Phase.FAILED)
        assert wait_until(lambda: spec.ref.live_lesson_id in woken.ids)

"""What happens to sandboxes when processes die, files change and callers race."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from garbage_collector.orphans import environments_compare
from lessons.models import Bundle, Lesson
from livelessons.models import LiveLesson, LiveSession
from livelessons.states import State
from scheduler.backends.base import (
    BackendRejected,
    ConnectionSpec,
    EnvironmentSpec,
    ImageSpec,
    Phase,
    ReasonCode,
)
from scheduler.backends.local import LocalBackend, cgroups
from scheduler.environments import environment_ref, environment_spec
from scheduler.reconciler import reconcile
from scheduler.services import lesson_start
from tests.contract.conftest import Kind
from tests.contract.descriptions import (
    UTILITY,
    Shell,
    end,
    endpoint,
    environment,
    observe,
    wait_until,
)
from tests.waiting import PATIENCE

pytestmark = pytest.mark.local_backend


def folder_of(settings: Any, spec: EnvironmentSpec) -> Path:
    return Path(settings.SYRINGE_INSTANCE_FOLDER, "environments", spec.ref.name)


def supervisor_of(settings: Any, spec: EnvironmentSpec) -> int:
    return int((folder_of(settings, spec) / "process").read_text().split()[0])


def below(pid: int) -> list[int]:
    """Return all processes below one, itself included."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def readable(path: Path) -> bytes:
    """Return what a file shows to this user."""
    try:
        return path.read_bytes()
    except PermissionError:
        return b""


def none_left(pids: list[int]) -> bool:
    """Tell whether all have ended; some machines are slow to bury orphans."""
    return all(_state(pid) in "ZX" for pid in pids)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def groups_of(spec: EnvironmentSpec) -> list[Path]:
    return list(cgroups.ROOT.glob(f"*/syringe-*/{spec.ref.name}")) + list(
        cgroups.ROOT.glob(f"syringe-*/{spec.ref.name}")
    )


def test_nothing_is_left_behind(local: Kind, settings: Any) -> None:
    spec = environment(endpoint("linux1"), endpoint("linux2"))
    mounts = Path("/proc/self/mountinfo").read_text()
    local.start(spec)
    pids = below(supervisor_of(settings, spec))
    assert len(pids) >= 6
    if os.geteuid() == 0:
        assert groups_of(spec)

    assert end(local.backend, spec.ref)

    assert wait_until(lambda: none_left(pids))
    assert not folder_of(settings, spec).exists()
    assert groups_of(spec) == []
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_the_supervisors_death_takes_everything_down(local: Kind, settings: Any) -> None:
    spec = environment(endpoint("linux1"), endpoint("linux2"))
    local.start(spec)
    Shell(local.backend, spec).run("nohup setsid sleep 300 >/dev/null 2>&1 &")
    pid = supervisor_of(settings, spec)
    pids = below(pid)

    os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: none_left(pids))
    assert wait_until(lambda: observe(local.backend, spec).phase == Phase.ABSENT)
    assert list(local.backend.owned()) == []
    assert not folder_of(settings, spec).exists()
    assert groups_of(spec) == []


def test_its_death_during_the_start_does_too(local: Kind, settings: Any) -> None:
    for _ in range(5):
        spec = environment()
        local.started.append(spec)
        local.backend.ensure(spec)
        process = folder_of(settings, spec) / "process"
        assert wait_until(lambda process=process: process.exists() and process.read_text() != "")  # type: ignore[misc]
        pid = supervisor_of(settings, spec)
        pids = below(pid)

        os.kill(pid, signal.SIGKILL)

        assert wait_until(lambda pids=pids: none_left(pids))  # type: ignore[misc]
        assert wait_until(lambda spec=spec: observe(local.backend, spec).phase == Phase.ABSENT)  # type: ignore[misc]


def test_the_keepers_death_is_a_failure_with_a_reason(local: Kind, settings: Any) -> None:
    spec = environment()
    local.start(spec)
    pids = below(supervisor_of(settings, spec))

    os.kill(pids[1], signal.SIGKILL)

    assert wait_until(lambda: observe(local.backend, spec).phase == Phase.FAILED)
    assert observe(local.backend, spec).reason == ReasonCode.CRASHED
    assert wait_until(lambda: none_left(pids))
    assert list(local.backend.owned()) == [spec.ref]


def test_an_endpoints_death_is_a_failure_with_a_reason(local: Kind, settings: Any) -> None:
    spec = environment(endpoint("linux1"), endpoint("linux2"))
    local.start(spec)
    keeper = below(supervisor_of(settings, spec))[1]
    sandbox = next(pid for pid in below(keeper)[1:] if "bwrap" in _command(pid))

    os.kill(sandbox, signal.SIGKILL)

    assert wait_until(lambda: observe(local.backend, spec).phase == Phase.FAILED)
    seen = observe(local.backend, spec)
    assert seen.reason == ReasonCode.CRASHED
    assert sorted(entry.phase for entry in seen.endpoints.values()) == [Phase.FAILED, Phase.RUNNING]


@pytest.mark.django_db(transaction=True)
def test_an_endpoint_that_died_unseen_at_ready_is_replaced_by_one_that_answers(
    local: Kind,
    settings: Any,
    make_lesson: Callable[..., Lesson],
    make_session: Callable[..., LiveSession],
) -> None:
    settings.SYRINGE_BACKEND = "scheduler.backends.local.LocalBackend"
    spec = environment()
    bundle = spec.read_bundle()
    lesson = make_lesson()
    Bundle.objects.create(sha256=spec.lesson.bundle_sha256, content=bundle, size=len(bundle))
    Lesson.objects.update(spec={**lesson.spec, "bundle_sha256": spec.lesson.bundle_sha256})
    live_lesson = lesson_start(session=make_session(), slug=lesson.slug).live_lesson

    def look() -> LiveLesson:
        reconcile([live_lesson.pk])
        live_lesson.refresh_from_db()
        return live_lesson

    first_ref = environment_ref(live_lesson)
    local.started += [replace(spec, ref=replace(first_ref, attempt=n)) for n in (1, 2)]
    assert wait_until(lambda: look().state == State.READY)
    first = environment_spec(live_lesson)
    address = Shell(local.backend, first).address("linux1")
    with socket.create_connection(address, timeout=5) as connection:
        assert connection.recv(4) == b"SSH-"
    sandbox = next(p for p in below(supervisor_of(settings, first)) if "bwrap" in _command(p))
    os.kill(sandbox, signal.SIGKILL)
    assert wait_until(lambda: observe(local.backend, first).phase == Phase.FAILED)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)

    environments_compare()

    assert wait_until(lambda: look().state == State.READY and live_lesson.attempt == 2)
    assert live_lesson.endpoints.get().ports != {"22": address[1]}
    second = Shell(local.backend, environment_spec(live_lesson))
    assert second.run("echo answers").output == "answers"


@pytest.mark.parametrize("left", [b"", b"\0" * 64, b'{"phase": "run'])
def test_a_state_that_a_power_loss_left_damaged_is_a_failure_of_its_own(
    local: Kind, settings: Any, left: bytes
) -> None:
    dead, absent = environment(), environment()
    folder = folder_of(settings, dead)
    (folder / "state").mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "state" / "state.json").write_bytes(left)

    seen = local.backend.observe([dead.ref, absent.ref])

    assert [seen[spec.ref].phase for spec in (dead, absent)] == [Phase.FAILED, Phase.ABSENT]
    assert (seen[dead.ref].reason, seen[dead.ref].endpoints) == (ReasonCode.CRASHED, {})
    assert list(local.backend.owned()) == [dead.ref]
    assert end(local.backend, dead.ref)
    assert not folder.exists()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_a_worker_that_ends_loses_nothing(local: Kind, settings: Any, tmp_path: Path) -> None:
    """Another process starts the environment and is killed; this one finds it and enters it."""
    spec = environment()
    local.started.append(spec)
    child = os.fork()
    if child == 0:
        LocalBackend().ensure(spec)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    assert wait_until(lambda: observe(local.backend, spec).phase == Phase.RUNNING)
    assert Shell(local.backend, spec).run("echo here").output == "here"


def test_a_removed_run_folder_ends_its_environments(local: Kind, settings: Any) -> None:
    spec = environment()
    local.start(spec)
    pids = below(supervisor_of(settings, spec))

    shutil.rmtree(settings.SYRINGE_INSTANCE_FOLDER)

    assert wait_until(lambda: none_left(pids))
    assert observe(local.backend, spec).phase == Phase.ABSENT
    assert list(local.backend.owned()) == []
    assert groups_of(spec) == []


def test_many_callers_at_once_make_one_environment(local: Kind, settings: Any) -> None:
    spec = environment()
    local.started.append(spec)
    barrier = threading.Barrier(8)
    errors: list[Exception] = []

    def ensure() -> None:
        barrier.wait()
        try:
            LocalBackend().ensure(spec)
        except BackendRejected as error:
            errors.append(error)

    threads = [threading.Thread(target=ensure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert wait_until(lambda: observe(local.backend, spec).phase == Phase.RUNNING)
    supervisors = [pid for pid in map(int, _pids()) if str(spec.ref.name) in _folder_argument(pid)]
    assert len(supervisors) <= 1
    assert len(list(folder_of(settings, spec).parent.iterdir())) == 1


def _pids() -> list[str]:
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _folder_argument(pid: int) -> str:
    """Return where a process's standard error goes, which names a supervisor's environment."""
    try:
        target = str(Path(f"/proc/{pid}/fd/2").readlink())
        parent = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]).split()[1]
    except OSError:
        return ""
    return target if parent == "1" else ""


def test_starting_and_ending_race(local: Kind) -> None:
    for _ in range(5):
        spec = environment()
        local.started.append(spec)
        starts = threading.Thread(target=local.backend.ensure, args=(spec,))
        starts.start()
        local.backend.destroy(spec.ref)
        starts.join()
        assert end(local.backend, spec.ref)
    assert list(local.backend.owned()) == []


def test_no_password_is_seen_by_others(local: Kind, settings: Any) -> None:
    spec = environment()
    local.start(spec)
    secrets = [spec.access_password.encode(), b"antidotepassword"]

    for pid in below(supervisor_of(settings, spec)):
        for name in ("cmdline", "environ"):
            content = readable(Path(f"/proc/{pid}/{name}"))
            assert not any(secret in content for secret in secrets), (pid, name)
    for path in Path(settings.SYRINGE_INSTANCE_FOLDER).rglob("*"):
        if path.is_file():
            assert not any(secret in readable(path) for secret in secrets), path
    assert folder_of(settings, spec).stat().st_mode & 0o077 == 0
    inside = Shell(local.backend, spec).run("cat /proc/1/cmdline /proc/[0-9]*/environ 2>/dev/null")
    assert not any(secret.decode() in inside.output for secret in secrets)


def test_supervisors_know_nothing_of_the_workers_environment(
    local: Kind, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_WORKER", "do not pass on")
    spec = environment()
    local.start(spec)

    for pid in below(supervisor_of(settings, spec)):
        assert b"do not pass on" not in readable(Path(f"/proc/{pid}/environ"))


def test_an_image_without_a_recipe_is_named(local: Kind) -> None:
    spec = environment(endpoint("vqfx1", image=ImageSpec(slug="vqfx-snap1")))

    with pytest.raises(BackendRejected, match="vqfx-snap1") as refusal:
        local.backend.ensure(spec)

    assert refusal.value.reason_code == ReasonCode.IMAGE_MISSING


def test_a_bundle_that_is_not_what_was_promised_is_refused(local: Kind) -> None:
    spec = replace(environment(), read_bundle=lambda: b"something else")

    with pytest.raises(BackendRejected, match="SHA-256"):
        local.backend.ensure(spec)

    assert observe(local.backend, spec).phase == Phase.ABSENT


def test_a_bundle_is_read_once(local: Kind) -> None:
    reads = []
    first = environment()
    content = first.read_bundle()

    def read() -> bytes:
        reads.append(1)
        return content

    for attempt in (1, 2):
        local.start(replace(first, ref=replace(first.ref, attempt=attempt), read_bundle=read))

    assert reads == [1]


def test_the_lessons_folder_is_the_endpoints_own(local: Kind) -> None:
    spec = environment(
        endpoint("linux1"),
        endpoint("linux2"),
        files={"stage0/guide.md": "# Guide", "data/a.txt": "text"},
    )
    local.start(spec)
    shell = Shell(local.backend, spec)

    assert shell.run("cat /antidote/data/a.txt").output == "text"
    assert (
        shell.run("echo mine > /antidote/data/a.txt && cat /antidote/data/a.txt").output == "mine"
    )
    assert shell.run("cat /antidote/data/a.txt", "linux2").output == "text"


def test_declared_connections_are_links_of_their_own(local: Kind) -> None:
    router = replace(UTILITY, enable_forwarding=True, network_interfaces=("net1",))
    spec = environment(
        endpoint("linux1"),
        endpoint("router", image=router),
        endpoint("linux3"),
        connections=(
            ConnectionSpec("linux1", "router", "10.1.0.0/24"),
            ConnectionSpec("router", "linux3", "100.64.7.0/30"),
            ConnectionSpec("linux1", "linux3"),
        ),
    )
    assert local.start(spec).phase == Phase.RUNNING
    shell = Shell(local.backend, spec)

    def addresses(name: str) -> list[str]:
        lines = shell.run("ip -4 -o addr show", name).output.splitlines()
        return [f"{fields[1]} {fields[3]}" for fields in map(str.split, lines)]

    assert "eth1 10.1.0.1/24" in addresses("linux1")
    assert {"net1 10.1.0.2/24", "eth1 100.64.7.1/30"} <= set(addresses("router"))
    assert "eth1 100.64.7.2/30" in addresses("linux3")
    assert "eth2" in shell.run("ls /proc/sys/net/ipv4/conf", "linux3").output.split()
    for name, there in (("linux1", "10.1.0.2"), ("linux3", "100.64.7.1")):
        result = shell.run(f"exec 3<>/dev/tcp/{there}/22 && head -c 4 <&3", name)
        assert result.output == "SSH-"
    assert shell.run("cat /proc/sys/net/ipv4/ip_forward", "router").output == "1"
    assert shell.run("cat /proc/sys/net/ipv4/ip_forward", "linux1").output == "0"
    assert shell.run("exec 3<>/dev/tcp/router/22 && head -c 4 <&3").output == "SSH-"


def test_two_lessons_do_not_see_each_other(local: Kind) -> None:
    here, there = environment(endpoint("linux1")), environment(endpoint("linux1"), endpoint("far"))
    for spec in (here, there):
        local.start(spec)
    far = Shell(local.backend, there)
    address = far.run("getent hosts far").output.split()[0]
    far.run("touch /tmp/there; nohup sleep 301.5 >/dev/null 2>&1 &")

    shell = Shell(local.backend, here)

    assert shell.run("getent hosts far").code != 0
    assert shell.run(f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/22'").code != 0
    assert shell.run("ls /tmp").output == ""
    assert shell.run("pgrep -f 'sleep 301[.]5'").code != 0
    for listener in (far.address("linux1"), far.address("far")):
        attempt = f"timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{listener[1]}'"
        assert shell.run(attempt).code != 0


@pytest.fixture
def without_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "scheduler.backends.local.preflight.PROGRAMS", {"/nonexistent/bwrap": "bubblewrap"}
    )


@pytest.mark.usefixtures("without_bubblewrap")
def test_preflight_names_the_package_to_install(local: Kind) -> None:
    assert list(local.backend.preflight()) == [
        "/nonexistent/bwrap is missing: install the package bubblewrap."
    ]


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root does not need the right to make user namespaces"
)
def test_preflight_names_a_full_table_of_namespaces(local: Kind) -> None:
    """The limit is lowered in a user namespace of our own, so nobody else feels it."""
    program = (
        "import os, pathlib, sys\n"
        "pathlib.Path('/proc/sys/user/max_user_namespaces').write_text('0')\n"
        "from scheduler.backends.local import LocalBackend\n"
        "print(*LocalBackend().preflight())\n"
    )
    run = subprocess.run(
        ["unshare", "--user", "--map-current-user", "--keep-caps", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "user.max_user_namespaces" in run.stdout, run.stderr

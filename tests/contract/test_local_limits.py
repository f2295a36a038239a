"""An endpoint that takes all it can get is stopped, and its neighbours do not notice."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from scheduler.backends.local import LocalBackend, cgroups, limits
from tests.contract.descriptions import Shell, end, endpoint, environment, start
from tests.waiting import wait_until

pytestmark = [pytest.mark.local_backend, pytest.mark.xdist_group("local-limits")]


@pytest.fixture(scope="module")
def greedy() -> Iterator[Shell]:
    """Return a lesson of its own, so that its troubles are its own too."""
    backend = LocalBackend()
    spec = environment(endpoint("linux1"), endpoint("linux2"))
    observation = start(backend, spec)
    try:
        assert observation.phase == "running", observation
        yield Shell(backend, spec)
    finally:
        assert end(backend, spec.ref)


def test_a_fork_bomb_stays_inside_and_can_be_ended(greedy: Shell) -> None:
    greedy.run(
        'python3 -c "\nimport os, time\nend = time.monotonic() + 600\n'
        "while time.monotonic() < end:\n    try: os.fork()\n    except OSError: time.sleep(0.05)\n"
        '" >/dev/null 2>&1 </dev/null & sleep 1'
    )

    count = "set -- /proc/[0-9]*; echo $#"
    counted = int(greedy.run(count).output.split()[-1])
    assert limits.PROCESSES / 2 < counted <= limits.PROCESSES + limits.SERVER_SPARE_PROCESSES
    assert greedy.run("sh -c 'echo unharmed'", "linux2").output == "unharmed"

    def ended() -> bool:
        # The killed ones are still counted until the endpoint's first process has reaped them.
        greedy.run("kill -9 -1")
        return int(greedy.run(count).output.split()[-1]) < limits.PROCESSES / 2

    wait_until(ended, what="the end of the fork bomb")


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/home/antidote", "/dev/shm", "/antidote"])
def test_the_disk_is_full_at_its_limit(greedy: Shell, folder: str) -> None:
    try:
        result = greedy.run(f"dd if=/dev/zero of={folder}/big bs=1M count=2000")
        size = int(greedy.run(f"stat -c %s {folder}/big").output)
    finally:
        greedy.run(f"rm -f {folder}/big")

    assert "No space left" in result.output
    assert size <= limits.DISK_BYTES
    assert greedy.run("echo fits >/tmp/x && cat /tmp/x", "linux2").output == "fits"


def test_the_number_of_files_has_a_limit(greedy: Shell) -> None:
    result = greedy.run(
        "mkdir /tmp/many && cd /tmp/many && seq 100000 | xargs touch 2>&1 | tail -1; "
        "ls | wc -l; rm -rf /tmp/many",
    )

    assert "No space left" in result.output
    assert int(result.output.split()[-1]) < limits.DISK_INODES


def test_one_process_cannot_take_all_memory(greedy: Shell) -> None:
    amount = 2 * limits.MEMORY_BYTES

    result = greedy.run(f"python3 -c 'x = bytearray({amount}); print(len(x))'")

    assert str(amount) not in result.output
    assert greedy.run("echo alive").output == "alive"


def test_many_processes_together_cannot_either(greedy: Shell) -> None:
    share = limits.MEMORY_BYTES // 4
    hold = f"x = bytearray({share}); x[::4096] = b'x' * len(x[::4096]); time.sleep(4)"

    result = greedy.run(
        "for i in 1 2 3 4 5 6 7 8; do "
        f"python3 -c \"import time; {hold}; print('kept')\" & done; wait",
    )

    assert 0 < result.output.splitlines().count("kept") < 5
    assert greedy.run("echo alive").output == "alive"
    assert greedy.run("echo unharmed", "linux2").output == "unharmed"


def test_open_files_have_a_limit(greedy: Shell) -> None:
    assert re.fullmatch(r"\d+", greedy.run("ulimit -Hn").output)
    assert int(greedy.run("ulimit -Hn").output) == limits.OPEN_FILES


MEGABYTE = 1024 * 1024
GROUP_FILES = {
    # By controller, the file of version 1 and of version 2 with what it says.
    "pids": (("pids.max", "288"), ("pids.max", "288")),
    "memory": (
        ("memory.limit_in_bytes", str(512 * MEGABYTE)),
        ("memory.max", str(512 * MEGABYTE)),
    ),
    "cpu": (("cpu.cfs_quota_us", "100000"), ("cpu.max", "100000 100000")),
}


def require_controller(controller: str, folder: Path) -> None:
    """Skip where this machine lets nobody, or not us, limit by a control group."""
    if os.geteuid() != 0:
        pytest.skip("control groups are made by root only")
    try:
        if (cgroups.ROOT / "cgroup.controllers").exists():
            (cgroups.ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
        probe = folder / f"syringe-probe-{os.getpid()}"
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        pytest.skip(f"the controller {controller} cannot be used here: {error}")


@pytest.mark.parametrize("controller", GROUP_FILES)
def test_root_limits_endpoints_and_jobs_by_control_groups(greedy: Shell, controller: str) -> None:
    is_version_2 = (cgroups.ROOT / "cgroup.controllers").exists()
    folder = cgroups.ROOT if is_version_2 else cgroups.ROOT / controller
    require_controller(controller, folder)

    lesson = folder / f"syringe-{settings.SYRINGE_INSTANCE}" / greedy.spec.ref.name

    assert {path.name for path in lesson.iterdir() if path.is_dir()} == {
        "linux1",
        "linux2",
        "_jobs",
    }
    file, value = GROUP_FILES[controller][is_version_2]
    for member in ("linux1", "linux2", "_jobs"):
        assert (lesson / member / file).read_text().strip() == value
    inside = greedy.run("cut -d')' -f2 /proc/1/stat | cut -d' ' -f21").output
    pids = (lesson / "linux1" / "cgroup.procs").read_text().split()
    started = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    assert inside in [fields[19] for fields in started]

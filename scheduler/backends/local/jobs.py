"""Authors' code that configures and checks, in a sandbox of its own on the lesson's network."""

import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple, Protocol

from scheduler.backends.file_checks import KEPT_CHECKS, check_command, read_verdict
from scheduler.backends.local import launching, limits, network, rootfs, sandbox
from scheduler.backends.local.cgroups import ControlGroups
from scheduler.backends.local.extraction import UnsafeBundle, extract
from scheduler.backends.local.identity import etc_files
from scheduler.backends.local.loop import Loop
from scheduler.backends.local.output import Tail
from scheduler.backends.local.plan import ConfigurationPlan, HostPlan, InterfacePlan, Plan
from scheduler.backends.local.state import JobState, job_key, parse_job_key

USER = "configurator"
HOME = f"/home/{USER}"

_LOG_BYTES = 16_000
_CHECK_GRACE_SECONDS = 10
_ENDED = ("succeeded", "failed")
_ADDRESSES = 250
_FIRST_MAC = 0x020000


class CheckRequest(NamedTuple):
    """The file of a check, below the lesson's folder; ``name`` is its job's."""

    name: str
    path: str
    language: str
    environment: dict[str, str]


class JobRequest(NamedTuple):
    """One run of a check, or of an endpoint's configuration for a stage."""

    endpoint: str
    run: int
    stage: int
    timeout_seconds: float
    check: CheckRequest | None = None

    @property
    def key(self) -> str:
        """Its key in the state."""
        return job_key(self.check.name if self.check else self.endpoint, self.run)


class Changed(Protocol):
    """Called after a job's state has changed; not ``soon``: only its log has."""

    def __call__(self, *, soon: bool = True) -> None: ...


class Jobs:
    """Run jobs as they are asked for, once every endpoint is up."""

    def __init__(
        self,
        plan: Plan,
        *,
        loop: Loop,
        groups: ControlGroups,
        member: str,
        bundle_fd: int,
        states: dict[str, JobState],
        changed: Changed,
    ) -> None:
        self._plan = plan
        self._loop = loop
        self._groups = groups
        self._member = member
        self._bundle_fd = bundle_fd
        self._states = states
        self._changed = changed
        self._endpoints = {endpoint["name"]: endpoint for endpoint in plan["endpoints"]}
        self._waiting: list[JobRequest] = []
        self._is_open = False
        self._count = 0
        self._disk: Path | None = None

    def submit(self, request: JobRequest) -> None:
        """Take a job; one that is known already changes nothing."""
        key = request.key
        if key in self._states or request.endpoint not in self._endpoints:
            return
        if request.check:
            self._forget_runs(request.check.name)
        self._states[key] = JobState(phase="starting", message="", log_tail="", broken=False)
        self._waiting.append(request)
        self._changed()
        if self._is_open:
            self.open()

    def _forget_runs(self, name: str) -> None:
        """Make room for one more run of a check."""
        keys = [key for key in self._states if parse_job_key(key)[0] == name]
        for key in sorted(keys, key=parse_job_key, reverse=True)[KEPT_CHECKS - 1 :]:
            if self._states[key]["phase"] in _ENDED:
                del self._states[key]

    def open(self) -> None:
        """Start everything that waits."""
        self._is_open = True
        while self._waiting:
            request = self._waiting.pop(0)
            try:
                self._start(request)
            except (OSError, UnsafeBundle) as error:
                message = f"the configurator did not start: {error}"
                self._finish(request, "failed", message, broken=True)

    def _start(self, request: JobRequest) -> None:
        configuration = self._endpoints[request.endpoint]["configuration"]
        disk, programs = self._shared()
        number = self._count = self._count + 1
        own = disk / str(number)
        for folder in ("home", "tmp", "vartmp", "shm"):
            (own / folder).mkdir(parents=True)
        box = sandbox.Box(
            hostname=USER,
            home=HOME,
            etc=str(Path(rootfs.OWN, "etc", "_jobs")),
            disk=str(own),
            lesson=str(disk / "lesson"),
        )
        (own / "home" / "password").write_text(configuration["password"])
        launched = launching.launch(
            sandbox.job_arguments(box, self._plan["host"], str(programs)),
            [
                "/usr/bin/prlimit",
                f"--nproc={limits.PROCESSES}",
                f"--data={limits.MEMORY_BYTES}",
                f"--nofile={limits.OPEN_FILES}",
                *job_command(configuration, request),
            ],
            job_environment(request, configuration, self._plan),
            groups=self._groups,
            member=self._member,
            gated=True,
        )
        job = _Job(self, request, launched, own)
        job.watch(self._loop)
        try:
            self._connect(launched, number)
            os.write(launched.stdin, b"+")
        finally:
            # Without the byte it gives up.
            os.close(launched.stdin)
        self._states[request.key]["phase"] = "running"
        self._changed()

    def _connect(self, launched: launching.Launched, number: int) -> None:
        slot = 1 + number % _ADDRESSES
        mac = network.mac_address(_FIRST_MAC + number % 0xFFFF)
        address = f"{self._plan['job_addresses']}.{slot}/{self._plan['prefix_length']}"
        launching.run_ip(network.uplink_lines(f"j{number}", launched.pid, mac))
        launching.wait_ip(
            launching.start_network(
                launched, [InterfacePlan(name=network.UPLINK, address=address, mac=mac)]
            )
        )

    def _shared(self) -> tuple[Path, Path]:
        """Make, for the first job, what all jobs of this environment share."""
        programs = Path(rootfs.OWN, "programs")
        if self._disk is None:
            disk = rootfs.make_disk("_jobs", limits.DISK_BYTES, limits.DISK_INODES, ("lesson",))
            extract(self._bundle_fd, disk / "lesson")
            rootfs.make_etc(
                "_jobs",
                self._plan["host"],
                etc_files(
                    hostname=USER,
                    user=USER,
                    home=HOME,
                    hosts=self._plan["hosts"],
                    search_path=_search_path(self._plan),
                ),
            )
            programs.mkdir()
            for name, text in program_files(self._plan["host"]).items():
                (programs / name).write_text(text)
                (programs / name).chmod(0o755)
            self._disk = disk
        return self._disk, programs

    def log_changed(self, request: JobRequest, log: str) -> None:
        """Keep the end of a job's output."""
        self._states[request.key]["log_tail"] = log
        self._changed(soon=False)

    def _finish(
        self, request: JobRequest, phase: str, message: str, *, broken: bool = False
    ) -> None:
        state = self._states[request.key]
        if state["phase"] in _ENDED:
            return
        state["phase"] = phase
        state["message"] = message
        state["broken"] = broken
        self._changed()

    def ended(self, request: JobRequest, own: Path, code: int, *, late: bool, printed: str) -> None:
        """Record how a job ended and remove its folders."""
        shutil.rmtree(own, ignore_errors=True)
        verdict = read_verdict(printed) if request.check else None
        kind = "check" if request.check else "configuration"
        broken = request.check is not None
        if verdict is not None:
            self._states[request.key]["log_tail"] = verdict.log_tail
            phase = "succeeded" if verdict.outcome == "passed" else "failed"
            self._finish(request, phase, verdict.message, broken=verdict.outcome == "broken")
        elif late:
            message = f"the {kind} took longer than {request.timeout_seconds:g} s"
            self._finish(request, "failed", message, broken=broken)
        elif code != 0 or broken:
            message = f"the {kind} ended with code {code}"
            self._finish(request, "failed", message, broken=broken)
        else:
            self._finish(request, "succeeded", "")


class _Job:
    """One running job."""

    def __init__(
        self, jobs: Jobs, request: JobRequest, launched: launching.Launched, own: Path
    ) -> None:
        self._jobs = jobs
        self._request = request
        self._launched = launched
        self._own = own
        self._late = False
        self._running = True

    def watch(self, loop: Loop) -> None:
        """Keep its output and end it when its time is over."""
        self._tail = Tail(loop, self._launched.stdout, size=_LOG_BYTES, on_data=self._on_output)
        Tail(loop, self._launched.stderr, size=_LOG_BYTES)
        loop.on_exit(self._launched.pid, self._on_exit)
        # A check keeps to its time by itself, and says so.
        grace = _CHECK_GRACE_SECONDS if self._request.check else 0
        loop.after(self._request.timeout_seconds + grace, self._on_deadline)

    def _on_output(self, _data: bytes) -> None:
        if self._request.check is None:
            self._jobs.log_changed(self._request, self._tail.text)

    def _on_deadline(self) -> None:
        if self._running:
            self._late = True
            # bubblewrap's death takes its whole PID namespace along.
            os.kill(self._launched.pid, signal.SIGKILL)

    def _on_exit(self, code: int) -> None:
        self._running = False
        self._tail.close()
        self._jobs.ended(self._request, self._own, code, late=self._late, printed=self._tail.text)


def job_command(configuration: ConfigurationPlan, request: JobRequest) -> list[str]:
    """Return what checks, or what configures an endpoint for a stage as authors know it."""
    if (check := request.check) is not None:
        return check_command(
            verdict="-",
            language=check.language,
            endpoint=request.endpoint,
            path=f"/antidote/{check.path}",
            timeout_seconds=request.timeout_seconds,
        )
    file = f"/antidote/{configuration['files'][str(request.stage)]}"
    if configuration["kind"] == "python":
        return ["python", file]
    return ["ansible-playbook", "-vvvv", "-i", f"{request.endpoint},", file]


def job_environment(
    request: JobRequest, configuration: ConfigurationPlan, plan: Plan
) -> dict[str, str]:
    """Return the variables that authors' code may rely on.

    Ansible speaks SSH by paramiko, which comes with this installation, and finds user and
    password where a playbook names none.
    """
    return {
        **(request.check.environment if request.check else {}),
        "PATH": _search_path(plan),
        "HOME": HOME,
        "USER": USER,
        "LANG": "C.UTF-8",
        "PYTHONPATH": sandbox.SITE_PACKAGES_INSIDE,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "ANTIDOTE_TARGET_HOST": request.endpoint,
        "ANTIDOTE_TARGET_USERNAME": configuration["username"],
        "ANTIDOTE_TARGET_PASSWORD": configuration["password"],
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_TRANSPORT": "paramiko",
        "ANSIBLE_REMOTE_USER": configuration["username"],
        "ANSIBLE_CONNECTION_PASSWORD_FILE": f"{HOME}/password",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_FORCE_COLOR": "False",
        "ANSIBLE_NOCOLOR": "True",
    }


def program_files(host: HostPlan) -> dict[str, str]:
    """Return the programs that come first on the configurator's path."""
    variables = "".join(
        f"export {name}={value}\n" for name, value in sandbox.library_path(host).items()
    )
    python = f'#!/bin/sh\n{variables}exec {host["python"]} "$@"\n'
    playbook = f"{sandbox.PROGRAMS_INSIDE}/ansible-playbook.py"
    return {
        "python": python,
        "python3": python,
        "ansible-playbook": f'#!/bin/sh\nexec {sandbox.PROGRAMS_INSIDE}/python {playbook} "$@"\n',
        "ansible-playbook.py": "import sys\n"
        "from ansible.cli.playbook import main\n"
        "sys.exit(main())\n",
    }


def _search_path(plan: Plan) -> str:
    return f"{sandbox.PROGRAMS_INSIDE}:{sandbox.search_path(plan['host'])}"

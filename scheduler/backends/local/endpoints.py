"""One endpoint: its disk, its sandbox and the SSH server in it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from scheduler.backends.local import launching, limits, rootfs, sandbox
from scheduler.backends.local.causes import explain_sandbox, step
from scheduler.backends.local.cgroups import ControlGroups
from scheduler.backends.local.extraction import UnsafeBundle, extract
from scheduler.backends.local.identity import etc_files
from scheduler.backends.local.loop import Loop
from scheduler.backends.local.output import Tail
from scheduler.backends.local.plan import EndpointPlan, Plan
from scheduler.backends.local.state import EndpointState

_FOLDERS = ("home", "tmp", "vartmp", "shm", "antidote")
_LOG_BYTES = 4000
_LISTENING = b"listening\n"


class Endpoint:
    """Start and watch one endpoint; ``changed`` is called after each change of its state."""

    def __init__(
        self,
        plan: EndpointPlan,
        lesson: Plan,
        *,
        loop: Loop,
        groups: ControlGroups,
        state: EndpointState,
        changed: Callable[["Endpoint"], None],
    ) -> None:
        self.plan = plan
        self.disk = Path()
        self.pid = 0
        self._lesson = lesson
        self._loop = loop
        self._groups = groups
        self._state = state
        self._changed = changed
        self._etc = Path()
        self._stdin = -1
        self._printed = b""

    @property
    def is_running(self) -> bool:
        """Tell whether its SSH server listens."""
        return self._state["phase"] == "running"

    def prepare(self) -> None:
        """Make its disk and its own ``/etc``."""
        name = self.plan["name"]
        with step("disk"):
            self.disk = rootfs.make_disk(name, limits.DISK_BYTES, limits.DISK_INODES, _FOLDERS)
            self._etc = rootfs.make_etc(
                name,
                self._lesson["host"],
                etc_files(
                    hostname=name,
                    user=self.plan["user"],
                    home=self.plan["home"],
                    hosts=self._lesson["hosts"],
                    search_path=sandbox.search_path(self._lesson["host"]),
                ),
            )
            for file in (".bashrc", ".profile"):
                source = Path("/etc/skel", file)
                if source.is_file():
                    (self.disk / "home" / file).write_bytes(source.read_bytes())

    def launch(self) -> None:
        """Start the sandbox with the SSH server, which then waits for its configuration."""
        host = self._lesson["host"]
        box = sandbox.Box(
            hostname=self.plan["name"],
            home=self.plan["home"],
            etc=str(self._etc),
            disk=str(self.disk),
            as_pid_1=True,
        )
        with step("sandbox"):
            launched = launching.launch(
                sandbox.endpoint_arguments(box, host),
                sandbox.server_command(host, "sshd"),
                {
                    "PATH": sandbox.search_path(host),
                    "LANG": "C.UTF-8",
                    **sandbox.library_path(host),
                },
                groups=self._groups,
                member=self.plan["name"],
                gated=False,
            )
        self.pid = launched.pid
        self._stdin = launched.stdin
        self._launched = launched
        self._log = Tail(self._loop, launched.stderr, size=_LOG_BYTES)
        Tail(self._loop, launched.stdout, size=64, on_data=self._on_output)
        self._loop.on_exit(launched.pid, self._on_exit)

    def start_network(self) -> launching.Running:
        """Begin to bring up its interfaces."""
        return launching.start_network(
            self._launched, self.plan["interfaces"], forwarding=self.plan["forwarding"]
        )

    def unpack(self, bundle_fd: int) -> None:
        """Give it its own copy of the lesson's folder, without what only jobs may read."""
        hidden = frozenset(self._lesson["hidden"])
        try:
            extract(bundle_fd, self.disk / "antidote", without=hidden)
        except UnsafeBundle as error:
            raise OSError(0, str(error)) from error

    def configure_server(self) -> None:
        """Tell the SSH server who may come in; its network is up."""
        plan = self.plan
        text = json.dumps(
            {
                "user": plan["user"],
                "home": plan["home"],
                "ports": plan["ssh_ports"],
                "access_password": plan["access_password"],
                "credentials": plan["credentials"],
                "outside_address": self._lesson["gateway"],
                "search_path": sandbox.search_path(self._lesson["host"]),
                "processes": limits.PROCESSES,
                "spare_processes": limits.SERVER_SPARE_PROCESSES,
                "memory_bytes": limits.MEMORY_BYTES,
                "open_files": limits.OPEN_FILES,
                "web_ports": plan["web_ports"],
                "web_command": sandbox.server_command(self._lesson["host"], "webserver"),
            }
        )
        try:
            os.write(self._stdin, text.encode())
        except BrokenPipeError:
            # It has ended already; its exit will say why.
            return
        finally:
            os.close(self._stdin)
            self._stdin = -1

    def _on_output(self, data: bytes) -> None:
        self._printed = (self._printed + data)[-len(_LISTENING) :]
        if self._printed == _LISTENING and not self.is_running:
            self._state["phase"] = "running"
            self._state["reason"] = ""
            self._changed(self)

    def _on_exit(self, code: int) -> None:
        self._log.close()
        was_running = self.is_running
        log = self._log.text
        self._state["phase"] = "failed"
        self._state["reason"] = "crashed"
        self._state["log_tail"] = log
        self._state["message"] = (
            f"endpoint {self.plan['name']} ended with code {code}"
            if was_running
            else f"endpoint {self.plan['name']} did not start: {explain_sandbox(log)}"
        )
        self._changed(self)

"""S1: the first process inside a lesson's namespaces, which builds and watches everything there."""

import json
import os
import selectors
import socket
from pathlib import Path
from typing import Any, NamedTuple

from scheduler.backends.local import launching, limits, namespaces, network
from scheduler.backends.local.causes import step
from scheduler.backends.local.cgroups import ControlGroups
from scheduler.backends.local.endpoints import Endpoint
from scheduler.backends.local.jobs import CheckRequest, JobRequest, Jobs
from scheduler.backends.local.loop import Loop
from scheduler.backends.local.memory import Watchdog
from scheduler.backends.local.plan import Plan
from scheduler.backends.local.relay import Relay
from scheduler.backends.local.state import StateFile

JOBS_MEMBER = "_jobs"
"""The control group of configuration jobs; no endpoint can have that name."""

_MAX_REQUEST_BYTES = 65_536


class Inherited(NamedTuple):
    """What S0 opened while it still could: the machine's sockets, files and control groups."""

    control: socket.socket
    listeners: dict[str, dict[int, socket.socket]]
    bundle_fd: int
    groups: ControlGroups
    state_file: StateFile


def run(plan: Plan, inherited: Inherited) -> None:
    """Build the lesson and keep it until somebody kills this process."""
    os.umask(0o022)
    _prepare()
    keeper = _Keeper(plan, inherited)
    keeper.build()
    keeper.loop.run()


def _prepare() -> None:
    with step("proc"):
        namespaces.mount(
            "proc",
            "/proc",
            "proc",
            namespaces.MS_NOSUID | namespaces.MS_NODEV | namespaces.MS_NOEXEC,
        )
    with step("kernel settings"):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        for name in ("all", "default"):
            path = Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
            if path.exists():
                path.write_text("1")


class _Keeper:
    def __init__(self, plan: Plan, inherited: Inherited) -> None:
        self.loop = Loop()
        self._plan = plan
        self._state_file = inherited.state_file
        self._inherited = inherited
        self._dirty = False
        self._endpoints = {
            endpoint["name"]: Endpoint(
                endpoint,
                plan,
                loop=self.loop,
                groups=inherited.groups,
                state=inherited.state_file.state["endpoints"][endpoint["name"]],
                changed=self._endpoint_changed,
            )
            for endpoint in plan["endpoints"]
        }
        self._relays = {
            endpoint["name"]: [
                Relay(self.loop, listener, (endpoint["address"], port))
                for port, listener in inherited.listeners[endpoint["name"]].items()
            ]
            for endpoint in plan["endpoints"]
        }
        self._jobs = Jobs(
            plan,
            loop=self.loop,
            groups=inherited.groups,
            member=JOBS_MEMBER,
            bundle_fd=inherited.bundle_fd,
            states=inherited.state_file.state["jobs"],
            changed=self._changed,
        )

    def build(self) -> None:
        """Make the network and start every endpoint; return before they answer."""
        bundle_fd = self._inherited.bundle_fd
        with step("network"):
            prefix = self._plan["prefix_length"]
            bridge = launching.start_ip(network.bridge_lines(f"{self._plan['gateway']}/{prefix}"))
        for endpoint in self._endpoints.values():
            endpoint.prepare()
        for endpoint in self._endpoints.values():
            endpoint.launch()
        with step("network"):
            launching.wait_ip(bridge)
            lines = []
            for number, endpoint in enumerate(self._endpoints.values()):
                uplink = endpoint.plan["interfaces"][0]
                lines += network.uplink_lines(f"e{number}", endpoint.pid, uplink["mac"])
            pids = {name: endpoint.pid for name, endpoint in self._endpoints.items()}
            launching.run_ip([*lines, *network.link_lines(self._plan["links"], pids)])
            networks = [endpoint.start_network() for endpoint in self._endpoints.values()]
        with step("lesson"):
            for endpoint in self._endpoints.values():
                endpoint.unpack(bundle_fd)
        with step("network"):
            for running in networks:
                launching.wait_ip(running)
        for endpoint in self._endpoints.values():
            endpoint.configure_server()
        control = self._inherited.control
        control.settimeout(0)
        self.loop.watch(control, selectors.EVENT_READ, self._on_control)
        if "memory" not in self._inherited.groups.controllers:
            Watchdog(
                self.loop,
                {name: endpoint.disk for name, endpoint in self._endpoints.items()},
                lambda name: self._endpoints[name].pid,
                limits.MEMORY_BYTES,
            ).start()

    def _endpoint_changed(self, endpoint: Endpoint) -> None:
        states = self._state_file.state["endpoints"].values()
        if endpoint.is_running:
            for relay in self._relays[endpoint.plan["name"]]:
                relay.open()
        else:
            for relay in self._relays[endpoint.plan["name"]]:
                relay.close()
        state = self._state_file.state
        failed = next((entry for entry in states if entry["phase"] == "failed"), None)
        if failed is not None:
            state["phase"] = "failed"
            state["reason"] = failed["reason"]
            state["message"] = failed["message"]
        elif all(entry["phase"] == "running" for entry in states):
            state["phase"] = "running"
            state["reason"] = ""
            self._jobs.open()
        self._state_file.write()

    def _changed(self, *, soon: bool = True) -> None:
        """Write the state: at once, or within half a second for what changes all the time."""
        if soon:
            self._dirty = False
            self._state_file.write()
        elif not self._dirty:
            self._dirty = True
            self.loop.after(0.5, self._write_if_dirty)

    def _write_if_dirty(self) -> None:
        if self._dirty:
            self._changed()

    def _on_control(self, _events: int) -> None:
        try:
            connection, _ = self._inherited.control.accept()
        except OSError:
            return
        # Only this installation's own processes reach the socket, and they send one short line.
        with connection:
            connection.settimeout(2)
            try:
                request = _receive(connection)
                answer = self._handle(request)
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except (OSError, ValueError, KeyError) as error:
                print(f"control: {error!r}", flush=True)

    def _handle(self, request: dict[str, Any]) -> dict[str, Any]:
        check = request.get("check")
        self._jobs.submit(
            JobRequest(
                endpoint=request["endpoint"],
                run=request["run"],
                stage=request["stage"],
                timeout_seconds=request["timeout_seconds"],
                check=CheckRequest(**check) if check else None,
            )
        )
        return {"accepted": True}


def _receive(connection: socket.socket) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(4096)
        if not part or len(data) > _MAX_REQUEST_BYTES:
            raise ValueError("an incomplete request")
        data += part
    request: dict[str, Any] = json.loads(data)
    return request

"""What the chaos tests share: an address that greets like SSH, and servers of their own."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator

import pytest

QUICK = {
    # Short enough that what a dead process held is free again within the test.
    "SYRINGE_LEASE_SECONDS": "2",
    "SYRINGE_SESSIONS_PER_ADDRESS": "0",
}
UNNEEDED = ("gateway", "gc")
"""What has no part in these tests; learners talk to web itself."""


class _Banner(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-test\r\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture(scope="session")
def ssh_address() -> Iterator[str]:
    """Yield host:port of something that greets as an SSH server does."""
    with _Server(("127.0.0.1", 0), _Banner) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def slow_script(ssh_address: str) -> str:
    """Return a script of the fake under which every kind of step happens."""
    return json.dumps(
        {
            "address": ssh_address,
            "fail_attempts": [1],
            "boot_seconds": 0.2,
            "configure_seconds": 0.2,
            "delete_seconds": 0.2,
        }
    )

"""Speak to a running supervisor."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from scheduler.backends.local.supervisor import CONTROL_SOCKET

_TIMEOUT_SECONDS = 3.0


def request(folder: Path, message: dict[str, Any]) -> None:
    """Hand over one message and wait until the supervisor has taken it; raise OSError if not."""
    here = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_SECONDS)
            # Addresses of sockets are short and folders need not be.
            connection.connect(f"/proc/self/fd/{here}/{CONTROL_SOCKET}")
            connection.sendall(json.dumps(message).encode() + b"\n")
            if not connection.recv(4096):
                raise ConnectionResetError("the supervisor did not take the request")
    finally:
        os.close(here)

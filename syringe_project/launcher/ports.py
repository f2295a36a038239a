"""Ports of this machine's loopback."""

import errno
import socket
import time

from syringe_project.launcher.console import Refusal

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody uses at this moment."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def _is_free_at(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, port))
            listener.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        if error.errno == errno.EACCES:
            raise Refusal(
                f"Port {port} needs administrator's rights: choose one above 1023, as in "
                "`SYRINGE_PORT=8001 make up`."
            ) from error
        # No IPv6 on this machine: then nobody can listen there.
        if family == socket.AF_INET6:
            return True
        raise
    return True


def is_free(port: int) -> bool:
    """Say whether we could listen on the port; browsers try ``localhost`` as IPv6 first."""
    return _is_free_at(socket.AF_INET, LOOPBACK, port) and _is_free_at(socket.AF_INET6, "::1", port)


def require_free(port: int, *, patience_seconds: float = 0) -> None:
    """Refuse when the front door's port is taken for longer than ``patience_seconds``."""
    give_up_at = time.monotonic() + patience_seconds
    while not is_free(port):
        if time.monotonic() >= give_up_at:
            raise Refusal(
                f"Port {port} is taken by another program: stop that, or choose another port, "
                f"as in `SYRINGE_PORT={free_port()} make up`."
            )
        time.sleep(0.05)

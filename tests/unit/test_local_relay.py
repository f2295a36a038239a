"""The supervisor's event loop and relays, run in a thread over real sockets."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.waiting import PATIENCE

SCRIPT = """
import socket, sys
from scheduler.backends.local.loop import Loop
from scheduler.backends.local.relay import Relay

loop = Loop()
listener = socket.socket(fileno=int(sys.argv[1]))
relay = Relay(loop, listener, ("127.0.0.1", int(sys.argv[2])))
relay.open()
print("open", flush=True)
loop.run()
"""


class Target:
    """A server that hands each connection to a function."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self._serve = serve
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._serve(connection)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


@pytest.fixture
def relayed() -> Iterator[Callable[[Target], tuple[str, int]]]:
    """Return a function that relays to a target, in a process of its own as in a supervisor."""
    processes = []
    listeners = []

    def start(target: Target) -> tuple[str, int]:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname())
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(listener.fileno()), str(target.port)],
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        address: tuple[str, int] = listener.getsockname()
        listeners.append((listener, target.listener))
        return address

    yield start
    for process in processes:
        assert process.poll() is None
        process.kill()
        process.communicate()
    for pair in listeners:
        for listener in pair:
            listener.close()


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=PATIENCE)


def receive_all(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def test_bytes_pass_both_ways_and_each_half_ends_alone(
    relayed: Callable[[Target], tuple[str, int]],
) -> None:
    content = os.urandom(3_000_000)
    with connect(relayed(Target(echo))) as connection:

        def send() -> None:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert receive_all(connection) == content
        sender.join()


def test_a_target_that_ends_first_loses_nothing(
    relayed: Callable[[Target], tuple[str, int]],
) -> None:
    content = os.urandom(2_000_000)
    address = relayed(Target(lambda connection: connection.sendall(content)))

    with connect(address) as connection:
        assert receive_all(connection) == content


def test_a_closed_port_is_closed_outside_too(relayed: Callable[[Target], tuple[str, int]]) -> None:
    target = Target(echo)
    address = relayed(target)
    target.listener.shutdown(socket.SHUT_RDWR)
    target.listener.close()

    for _ in range(5):
        with connect(address) as connection, suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_many_connections_that_come_and_go(relayed: Callable[[Target], tuple[str, int]]) -> None:
    address = relayed(Target(echo))
    problems: list[str] = []

    def use(number: int) -> None:
        for turn in range(10):
            text = f"{number}/{turn}".encode() * 1000
            with connect(address) as connection:
                connection.sendall(text)
                if turn % 3 == 0:
                    continue
                connection.shutdown(socket.SHUT_WR)
                if receive_all(connection) != text:
                    problems.append(f"{number}/{turn}")

    threads = [threading.Thread(target=use, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    with connect(address) as connection:
        connection.sendall(b"still there")
        assert connection.recv(100) == b"still there"


LOOP = """
import os, selectors, sys
from scheduler.backends.local.loop import Loop

loop = Loop()
one, two = os.pipe(), os.pipe()
for _, end in (one, two):
    os.write(end, b"x")

def close_both(_events):
    for fd, _ in (one, two):
        loop.watch(fd, 0, close_both)
        os.close(fd)
    pid = os.fork()
    if pid == 0:
        os._exit(5)
    loop.on_exit(pid, exited)

def exited(code):
    print("exit", code, flush=True)
    loop.after(0.01, lambda: os._exit(0))

for fd, _ in (one, two):
    loop.watch(fd, selectors.EVENT_READ, close_both)
loop.run()
"""


def test_a_callback_may_close_what_was_ready_too() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOOP], capture_output=True, text=True, timeout=PATIENCE
    )

    assert (run.returncode, run.stdout) == (0, "exit 5\n"), run.stderr

"""A database behind a line that went dead is given up instead of being waited for."""

import contextlib
import ctypes
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

_SO_ATTACH_FILTER = 26
_BPF_RETURN = 0x06
LONGEST_SECONDS = 20
"""As long as the server lets a statement run."""
STATEMENT = "SELECT pg_sleep(19)"


class Line:
    """A TCP relay to PostgreSQL that can be cut as a network is: nobody is told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._client = self._server = self._listener

    def carry(self) -> None:
        """Connect one client with the server."""
        self._client, _ = self._listener.accept()
        settings = connection.settings_dict
        self._server = socket.create_connection((settings["HOST"], settings["PORT"]))
        for ends in ((self._client, self._server), (self._server, self._client)):
            threading.Thread(target=_pump, args=ends, daemon=True).start()

    def cut(self) -> None:
        """Drop whatever the client's kernel sends, before this one acknowledges it."""
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
        program = struct.pack("HL", 1, ctypes.addressof(drop_all))
        self._client.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def close(self) -> None:
        for end in (self._client, self._server):
            # Wakes the thread that reads it, as closing alone does not.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._listener.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        # The test closed the line.
        return


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


@pytest.fixture
def distant(line: Line) -> Iterator[BaseDatabaseWrapper]:
    """A connection over the line, as the settings make it but with a second for each limit."""
    distant = connection.copy()
    options = distant.settings_dict["OPTIONS"]
    assert {"tcp_user_timeout", "keepalives_idle", "keepalives_interval"} < options.keys()
    options |= {"tcp_user_timeout": 1000, "keepalives_idle": 1, "keepalives_interval": 1}
    distant.settings_dict |= {"HOST": "127.0.0.1", "PORT": line.port}
    carrier = threading.Thread(target=line.carry)
    carrier.start()
    distant.ensure_connection()
    carrier.join()
    pid = distant.connection.info.backend_pid
    yield distant
    distant.close()
    with connection.cursor() as cursor:
        # It knows nothing of the line, and would keep the tests' database from being dropped.
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_a_statement_that_cannot_be_sent_fails(line, distant):
    line.cut()
    with distant.cursor() as cursor, pytest.raises(OperationalError):
        cursor.execute("SELECT 1")


def test_a_statement_whose_answer_cannot_come_fails(line, distant):
    with distant.cursor() as cursor:
        cutter = threading.Thread(target=_cut_once_running, args=(line,))
        cutter.start()
        with pytest.raises(OperationalError, match="timed out"):
            cursor.execute(STATEMENT)
        cutter.join()


def _cut_once_running(line: Line) -> None:
    def runs() -> bool:
        with watcher.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = %s",
                [STATEMENT],
            )
            return bool(cursor.fetchone()[0])

    watcher = connection.copy()
    try:
        wait_until(runs, what="the statement")
        line.cut()
    finally:
        watcher.close()


def test_every_connection_is_given_up_in_time():
    connection.ensure_connection()
    with socket.socket(fileno=socket.dup(connection.connection.fileno())) as end:
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, count, unacknowledged_ms = (
            end.getsockopt(socket.IPPROTO_TCP, option)
            for option in (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
        )
    assert 0 < unacknowledged_ms / 1000 <= LONGEST_SECONDS
    assert idle + interval * count <= LONGEST_SECONDS

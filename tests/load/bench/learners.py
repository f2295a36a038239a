"""Learners of a stack: a thin HTTP client, since a comfortable one costs more than the answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg2

from tests.stack import Stack

_TIMEOUT_SECONDS = 20
# Below the two seconds after which gunicorn closes what is idle.
_IDLE_SECONDS = 1.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class RequestRefused(AssertionError):
    """An answer was not the one that the measurement is about."""


class Learner:
    """One connection and one session; to web itself, or to the front door (``front_door``)."""

    def __init__(self, stack: Stack, *, secret: str = "", front_door: bool = False) -> None:
        self._connection = (
            http.client.HTTPConnection("127.0.0.1", stack.port, timeout=_TIMEOUT_SECONDS)
            if front_door
            else UnixConnection(stack.socket)
        )
        self._used = 0.0
        self.secret = secret

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON of a successful answer; raise RequestRefused for any other."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self.secret:
            headers["Authorization"] = f"Bearer {self.secret}"
        if time.monotonic() - self._used > _IDLE_SECONDS:
            self._connection.close()
        content = json.dumps(body) if body is not None else None
        self._connection.request(method, path, body=content, headers=headers)
        answer = self._connection.getresponse()
        text = answer.read()
        self._used = time.monotonic()
        if answer.status >= 300:
            raise RequestRefused(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def open_session(self) -> str:
        """Become a new session; return its secret."""
        self.secret = self.request("POST", "/api/v1/sessions", {})["secret"]
        return self.secret

    def start(self, slug: str) -> UUID:
        """Ask for a lesson; return the livelesson's id."""
        return UUID(self.request("POST", "/api/v1/livelessons", {"lesson": slug})["id"])

    def end(self, live_lesson_id: UUID) -> None:
        """End a livelesson."""
        self.request("DELETE", f"/api/v1/livelessons/{live_lesson_id}")


class Watch:
    """A look into the database that costs the measured processes next to nothing."""

    def __init__(self, stack: Stack) -> None:
        self._connection = psycopg2.connect(stack.env["SYRINGE_DATABASE_URL"], connect_timeout=5)
        self._connection.autocommit = True

    def close(self) -> None:
        self._connection.close()

    def states(self) -> dict[str, int]:
        """Return how many livelessons are in each state."""
        return dict(self._rows("SELECT state, count(*) FROM livelessons_livelesson GROUP BY state"))

    def wait_for(self, live_lesson_id: UUID, state: str, *, seconds: float = 30) -> float:
        """Return the moment (``time.perf_counter``) at which the livelesson is in the state."""
        deadline = time.monotonic() + seconds
        query = "SELECT state FROM livelessons_livelesson WHERE id = %s"
        while True:
            [(seen,)] = self._rows(query, str(live_lesson_id))
            if seen == state:
                return time.perf_counter()
            if seen == "FAILED" or time.monotonic() > deadline:
                raise AssertionError(f"waited for {state}, have {seen}")
            time.sleep(0.002)

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())


@contextlib.contextmanager
def watching(stack: Stack) -> Iterator[Watch]:
    """Yield a look into the stack's database."""
    watch = Watch(stack)
    try:
        yield watch
    finally:
        watch.close()

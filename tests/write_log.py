"""The order in which writes and failpoints come, to show that one stands between any two writes."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from django.db import connection, transaction
from django.db.backends.signals import connection_created

_WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")
_WRITE, _FAILPOINT = "write ", "failpoint "


class WriteLog(logging.Handler):
    """Hears of failpoints as a log's handler, and of writes as a wrapper of every connection.

    A transaction is one write, at its commit. Nothing is noted while it is ``paused``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self._threads: list[int] = []
        self._noting = threading.Lock()
        self.paused = False
        self._in_transaction = False

    @property
    def failpoints(self) -> set[str]:
        return {e.removeprefix(_FAILPOINT) for e in self.events if e.startswith(_FAILPOINT)}

    @property
    def writes(self) -> list[str]:
        return [event for event in self.events if event.startswith(_WRITE)]

    @property
    def unparted(self) -> list[tuple[str, str]]:
        """Writes that follow each other without a failpoint."""
        return _unparted(self.events)

    @property
    def unparted_within_threads(self) -> list[tuple[str, str]]:
        """The same of each thread by itself: what two do at once is in no order."""
        events = list(zip(self._threads, self.events, strict=True))
        return [
            pair
            for thread in set(self._threads)
            for pair in _unparted([event for at, event in events if at == thread])
        ]

    def clear(self) -> None:
        """Forget everything so far."""
        self.events.clear()
        self._threads.clear()

    def _note(self, event: str) -> None:
        with self._noting:
            self._threads.append(threading.get_ident())
            self.events.append(event)

    def emit(self, record: logging.LogRecord) -> None:
        self._note(f"{_FAILPOINT}{record.getMessage()}")

    def watch(self, connection: Any, **_: Any) -> None:
        if self not in connection.execute_wrappers:
            connection.execute_wrappers.append(self)

    def _committed(self) -> None:
        self._in_transaction = False
        self._note(f"{_WRITE}transaction")

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if not self.paused and sql.lstrip().upper().startswith(_WRITES):
            if not context["connection"].in_atomic_block:
                self._note(f"{_WRITE}{sql.strip()[:60]}")
            elif not self._in_transaction:
                self._in_transaction = True
                transaction.on_commit(self._committed)
        return result


def _unparted(events: Sequence[str]) -> list[tuple[str, str]]:
    pairs = pairwise(events)
    return [(a, b) for a, b in pairs if a.startswith(_WRITE) and b.startswith(_WRITE)]


@contextlib.contextmanager
def writes_logged() -> Iterator[WriteLog]:
    """Note what is written on this thread's connection and on all that are made meanwhile."""
    log = WriteLog()
    logger = logging.getLogger("scheduler.failpoints")
    level = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.DEBUG)
    connection_created.connect(log.watch)
    try:
        with connection.execute_wrapper(log):
            yield log
    finally:
        connection_created.disconnect(log.watch)
        logger.setLevel(level)
        logger.removeHandler(log)

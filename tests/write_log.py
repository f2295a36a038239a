"""The order in which writes and failpoints come, to show that one stands between any two writes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
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
        pairs = pairwise(self.events)
        return [(a, b) for a, b in pairs if a.startswith(_WRITE) and b.startswith(_WRITE)]

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(f"{_FAILPOINT}{record.getMessage()}")

    def watch(self, connection: Any, **_: Any) -> None:
        if self not in connection.execute_wrappers:
            connection.execute_wrappers.append(self)

    def _committed(self) -> None:
        self._in_transaction = False
        self.events.append(f"{_WRITE}transaction")

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if not self.paused and sql.lstrip().upper().startswith(_WRITES):
            if not context["connection"].in_atomic_block:
                self.events.append(f"{_WRITE}{sql.strip()[:60]}")
            elif not self._in_transaction:
                self._in_transaction = True
                transaction.on_commit(self._committed)
        return result


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

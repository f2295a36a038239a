"""The gateway's way to PostgreSQL: a few threads, one connection each."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import (
    DEFAULT_DB_ALIAS,
    close_old_connections,
    connections,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from syringe_project.api import DATABASE_ERRORS, DatabaseUnavailable

P = ParamSpec("P")
T = TypeVar("T")

MAX_CONNECTIONS = 4


class Database:
    """Runs selectors and services off the event loop, at most four at a time."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(MAX_CONNECTIONS, thread_name_prefix="gateway-database")
        self._connections: set[BaseDatabaseWrapper] = set()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``function`` returns; raise DatabaseUnavailable when PostgreSQL is away."""
        call = partial(self._in_thread, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def close(self) -> None:
        """Wait for what runs and close the connections."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        for connection in self._connections:
            # Its own thread is gone, and Django lets nobody else touch it unless told so.
            connection.inc_thread_sharing()
            connection.close()

    def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._connections.add(connections[DEFAULT_DB_ALIAS])
        # No request signals here: this is what closes stale connections and arms health checks.
        close_old_connections()
        try:
            return function(*args, **kwargs)
        except DATABASE_ERRORS as exc:
            close_old_connections()
            raise DatabaseUnavailable from exc

"""Threads for what would hold up the loop: the database and the backend."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import close_old_connections

_T = TypeVar("_T")

THREADS = 4
"""Of each kind; each may hold a connection to the database."""

_database = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="checks")
_backend = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="checks-backend")


async def in_thread(call: Callable[[], _T]) -> _T:
    """Call in a thread with a usable connection to the database."""
    return await asyncio.get_running_loop().run_in_executor(_database, _guarded, call)


async def in_backend_thread(call: Callable[[], _T]) -> _T:
    """Call the backend, whose slowest answers keep no result from being written."""
    return await asyncio.get_running_loop().run_in_executor(_backend, _guarded, call)


def _guarded(call: Callable[[], _T]) -> _T:
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()

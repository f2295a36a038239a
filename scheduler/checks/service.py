"""The checker of a worker process: there as long as the worker serves the queue."""

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from celery.signals import worker_ready, worker_shutdown

from scheduler.loop import running_loop

if TYPE_CHECKING:
    from scheduler.checks.checker import Checker

logger = logging.getLogger(__name__)

QUEUE = "objectives"
_STOP_SECONDS = 5.0

_checkers: "list[Checker]" = []


def wake_checker() -> None:
    """Have this process look what is due, if it checks."""
    for checker in _checkers:
        checker.wake()


def start_checker(name: str) -> "Checker":
    """Check objectives in this process from now on; return when it has begun."""
    # Here, because every worker and beat load this module, and few of them need an SSH client.
    from scheduler.checks.checker import Checker

    loop = running_loop()
    checker = Checker(name, loop)
    asyncio.run_coroutine_threadsafe(checker.start(), loop).result(_STOP_SECONDS)
    _checkers.append(checker)
    return checker


def stop_checker(checker: "Checker") -> None:
    """Stop checking, and let others go on with what was begun."""
    _checkers.remove(checker)
    try:
        asyncio.run_coroutine_threadsafe(checker.stop(), running_loop()).result(_STOP_SECONDS)
    except TimeoutError:
        logger.warning("checks not given back, their claims expire")


@worker_ready.connect
def _start(sender: Any = None, **_: Any) -> None:
    if sender is not None and QUEUE in sender.app.amqp.queues.consume_from:
        start_checker(f"{sender.hostname} {os.getpid()}")


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    while _checkers:
        stop_checker(_checkers[0])

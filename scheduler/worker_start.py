"""What a worker says when it begins: whether its backend can run lessons at all."""

import logging
from threading import Thread
from typing import Any

from celery.signals import worker_ready

from scheduler.backends.registry import current_backend

logger = logging.getLogger(__name__)

QUEUE = "lifecycle"


@worker_ready.connect
def tell_problems_of_backend(sender: Any, **_: Any) -> None:
    """Log, one sentence each, what prevents lessons from running; the worker goes on.

    On a thread of its own, since a cluster that is away should not hold up the start.
    """
    if QUEUE in sender.app.amqp.queues.consume_from:
        Thread(target=_tell, name="preflight", daemon=True).start()


def _tell() -> None:
    for problem in current_backend().preflight():
        logger.error("lessons cannot run: %s (see manage.py check_backend)", problem)

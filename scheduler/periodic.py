"""Periodic tasks on their way: a marker in Redis stands while a message of the task waits."""

import logging
from functools import cache
from typing import Any

import redis
from celery import current_app
from celery.signals import task_prerun, worker_ready
from django.conf import settings

from scheduler.messages import CHECK_OBJECTIVES

logger = logging.getLogger(__name__)

OPTIONAL_TASKS = frozenset({CHECK_OBJECTIVES})
"""Sent only while somebody says that they are served."""

CONSUMER_SECONDS = 15


def marker_of(task_name: str) -> str:
    """Return the key that stands while a message of this periodic task waits."""
    return f"{settings.SYRINGE_INSTANCE}:waiting:{task_name}"


@cache
def marker_client() -> redis.Redis:
    """Return this process's client for markers."""
    return redis.Redis.from_url(
        settings.SYRINGE_REDIS_URL, socket_timeout=2, socket_connect_timeout=2
    )


def note_consumer(task_name: str) -> None:
    """Say that somebody serves this optional task, so that its messages are worth sending."""
    try:
        marker_client().set(_consumer_of(task_name), 1, ex=CONSUMER_SECONDS)
    except redis.RedisError as exc:
        logger.warning("not told that tasks are served: %s", type(exc).__name__)


def has_consumer(task_name: str) -> bool:
    """Say whether anybody served this optional task lately."""
    return bool(marker_client().exists(_consumer_of(task_name)))


def _consumer_of(task_name: str) -> str:
    return f"{settings.SYRINGE_INSTANCE}:served:{task_name}"


@task_prerun.connect
def forget_marker(task: Any = None, **_: Any) -> None:
    """Let the next message of a periodic task be sent, now that this one runs."""
    if task is not None and task.name in _periodic_tasks():
        _forget(task.name)


@worker_ready.connect
def forget_all_markers(**_: Any) -> None:
    """Let periodic tasks be sent that a worker killed before this one took with it."""
    _forget(*_periodic_tasks())


def _periodic_tasks() -> set[str]:
    return {entry["task"] for entry in current_app.conf.beat_schedule.values()}


def _forget(*task_names: str) -> None:
    try:
        marker_client().delete(*map(marker_of, task_names))
    except redis.RedisError as exc:
        logger.warning("marker not removed, it expires: %s", type(exc).__name__)

"""The clock: redbeat, with at most one waiting message per periodic task."""

from typing import Any

import redis
from celery import Celery
from redbeat import RedBeatScheduler

from scheduler.periodic import OPTIONAL_TASKS, has_consumer, marker_client, marker_of
from syringe_project.environment import touch_heartbeat_file


class SingleMessageScheduler(RedBeatScheduler):  # type: ignore[misc]
    """Sends a periodic task only when a worker took the one before it.

    A queue that nobody consumes would otherwise fill with one message a second. A marker whose
    message was lost expires. A task of a service that need not run is sent only while it does.
    """

    MARKER_SECONDS = 15

    def __init__(self, app: Celery, **kwargs: Any) -> None:
        self._markers: redis.Redis = marker_client()
        super().__init__(app, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        touch_heartbeat_file()
        return super().tick(*args, **kwargs)

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        if entry.task in OPTIONAL_TASKS and not has_consumer(entry.task):
            return None
        if not self._markers.set(marker_of(entry.task), 1, nx=True, ex=self.MARKER_SECONDS):
            return None
        return super().apply_async(entry, *args, **kwargs)

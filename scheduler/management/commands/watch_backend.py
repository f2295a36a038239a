import signal
from collections.abc import Collection
from threading import Event
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from scheduler.backends.base import BackendRejected, BackendUnavailable
from scheduler.backends.registry import current_backend
from scheduler.messages import chunks
from scheduler.services import live_lessons_look


class Command(BaseCommand):
    """Turn what happens in the backend into wake-ups; without it things only take longer."""

    help = (
        "Watch the backend (Kubernetes) and wake the scheduler when something changes there. "
        "Optional: without it, lessons take about a second longer to be seen ready, and what "
        "crashes later is noticed within half a minute. Runs until SIGTERM or Ctrl-C; exits with "
        "an error when it cannot watch, so run it supervised."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        backend = current_backend()
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write(f"Watching the backend {backend.label}. Ctrl-C ends it.")
        try:
            backend.watch(_wake, stop)
        except (BackendRejected, BackendUnavailable) as exc:
            raise CommandError(str(exc)) from exc
        except DatabaseError as exc:
            # Whoever starts it again loses nothing: it begins with all that does not run.
            raise CommandError(f"The database is not available: {exc}") from exc


def _wake(live_lesson_ids: Collection[UUID]) -> None:
    # Those at rest are made due in the database, so that the sweep finds them without Redis too.
    close_old_connections()
    for chunk in chunks(live_lesson_ids):
        live_lessons_look(live_lesson_ids=chunk)

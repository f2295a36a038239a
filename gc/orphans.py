"""Comparing what the backend has with what the rows know, in both directions."""

import logging
import random
from collections.abc import Iterable, Sequence
from datetime import datetime
from time import monotonic
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from garbage_collector.batches import RUN_SECONDS, collect
from livelessons.models import LiveLesson
from livelessons.states import Desired, State
from scheduler.backends.base import (
    BackendRejected,
    BackendUnavailable,
    EnvironmentRef,
    RuntimeBackend,
)
from scheduler.backends.registry import current_backend
from scheduler.messages import chunks
from scheduler.services import live_lesson_look
from syringe_project.locks import AdvisoryLock, try_advisory_lock

logger = logging.getLogger(__name__)

MAX_LOOKS = 1000
"""Livelessons without an environment that one run has looked at; the rest wait for the next."""

HOLDER = "garbage collection: environment missing"


def environments_compare() -> None:
    """Destroy environments that no row owns; have READY rows without one looked at.

    The backend is asked before the rows are read: a row is always there before its environment
    is, so what has no row then never will. The scheduler verifies each look and replaces what
    has vanished, so a wrong or old list costs an observation and nothing else.
    """
    backend = current_backend()
    listed_at = timezone.now()
    try:
        present = set(backend.owned())
    except BackendUnavailable as exc:
        logger.warning("environments not listed: %s", exc)
        return
    with transaction.atomic():
        # All this transaction holds, while the backend is called, is the lock.
        if not try_advisory_lock(AdvisoryLock.COLLECTION, "environments"):
            return
        _destroy(backend, orphans(present))
    missing = rows_without_environment(present, listed_at)
    collect(
        job="missing environments",
        rows=LiveLesson.objects.filter(
            pk__in=missing[:MAX_LOOKS], state=State.READY, next_look_at=None
        ).defer("spec", "log_tail"),
        order="pk",
        act=_look,
    )


def orphans(present: Iterable[EnvironmentRef]) -> list[EnvironmentRef]:
    """Return the environments that no row owns: a row owns its last attempt until it is gone."""
    refs: dict[UUID, list[EnvironmentRef]] = {}
    for ref in present:
        refs.setdefault(ref.live_lesson_id, []).append(ref)
    owned: set[EnvironmentRef] = set()
    for ids in chunks(refs, 1000):
        rows = LiveLesson.objects.filter(pk__in=ids, environment_gone=False)
        rows = rows.exclude(state=State.DELETED)
        owned.update(EnvironmentRef(*row) for row in rows.values_list("pk", "attempt"))
    return [ref for found in refs.values() for ref in found if ref not in owned]


def rows_without_environment(present: set[EnvironmentRef], listed_at: datetime) -> list[UUID]:
    """Return the READY livelessons that were so when the backend did not list them.

    Those that are due for a look anyway are left out.
    """
    rows = LiveLesson.objects.filter(
        state=State.READY,
        desired=Desired.RUNNING,
        next_look_at=None,
        state_since__lt=listed_at,
    ).order_by()
    found = rows.values_list("pk", "attempt")
    return [pk for pk, attempt in found if EnvironmentRef(pk, attempt) not in present]


def _destroy(backend: RuntimeBackend, refs: list[EnvironmentRef]) -> None:
    # In no order, so that those which cannot be destroyed do not keep a run from the others.
    random.shuffle(refs)
    end = monotonic() + RUN_SECONDS
    for ref in refs:
        if monotonic() > end:
            break
        fields = {"livelesson": str(ref.live_lesson_id), "attempt": ref.attempt}
        try:
            backend.destroy(ref)
        except (BackendUnavailable, BackendRejected) as exc:
            logger.warning("orphan not destroyed: %s", exc, extra=fields)
        else:
            logger.warning("orphan destroyed", extra=fields)


def _look(rows: Sequence[LiveLesson]) -> None:
    for row in rows:
        live_lesson_look(live_lesson=row, holder=HOLDER)

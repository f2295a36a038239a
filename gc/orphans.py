"""Comparing what the backend has with what the rows know, in both directions."""

import logging
import random
from collections.abc import Iterable
from time import monotonic
from uuid import UUID

from django.db import transaction
from django.db.models import Prefetch, prefetch_related_objects

from garbage_collector.batches import RUN_SECONDS, collect
from garbage_collector.expiry import orphaned_live_lessons_end
from livelessons.models import LiveLesson
from livelessons.states import Desired, State
from scheduler.backends.base import (
    BackendRejected,
    BackendUnavailable,
    EnvironmentObservation,
    EnvironmentRef,
    Phase,
    RuntimeBackend,
)
from scheduler.backends.registry import current_backend
from scheduler.environments import environment_ref
from scheduler.messages import chunks
from scheduler.observing import observe_all
from scheduler.reconciler import changed_endpoints
from scheduler.services import live_lessons_look
from syringe_project.locks import AdvisoryLock, try_advisory_lock

logger = logging.getLogger(__name__)

MAX_LOOKS = 1000
"""Livelessons that stand on nothing and that one run has looked at; the rest wait for the next."""


def environments_compare() -> None:
    """Destroy environments that no row owns; have READY rows looked at that stand on none.

    Rows of another backend, which would all seem to have lost theirs, end.
    """
    orphaned_live_lessons_end()
    backend = current_backend()
    for compare in (_strangers_destroy, _fallen_look):
        try:
            compare(backend)
        except (BackendUnavailable, BackendRejected) as exc:
            logger.warning("environments not compared: %s", exc)


def _strangers_destroy(backend: RuntimeBackend) -> None:
    # Asked before the rows are read: a row is always there before its environment is, so what
    # has no row then never will.
    present = set(backend.owned())
    with transaction.atomic():
        # All this transaction holds, while the backend is called, is the lock.
        if try_advisory_lock(AdvisoryLock.COLLECTION, "environments"):
            _destroy(backend, orphans(present))


def _fallen_look(backend: RuntimeBackend) -> None:
    collect(
        job="fallen environments",
        rows=LiveLesson.objects.filter(
            pk__in=fallen(backend)[:MAX_LOOKS], state=State.READY, next_look_at=None
        ).only("pk"),
        order="pk",
        act=lambda rows: live_lessons_look(live_lesson_ids=[row.pk for row in rows]),
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


def fallen(backend: RuntimeBackend) -> list[UUID]:
    """Return the READY livelessons whose environment is not what their rows say.

    It has vanished, does not run, or runs elsewhere, and nobody said so. The backend is asked
    once for all of them. The scheduler verifies each, so that a wrong or old answer costs a look
    and nothing else. Those that are due for one anyway are left out.
    """
    resting = LiveLesson.objects.filter(
        state=State.READY, desired=Desired.RUNNING, next_look_at=None
    )
    rows = list(resting.only("attempt").order_by())
    prefetch_related_objects(rows, Prefetch("endpoints", to_attr="known_endpoints"))
    seen = observe_all(backend, [environment_ref(row) for row in rows])
    return [row.pk for row in rows if not _stands(row, seen.get(environment_ref(row)))]


def _stands(row: LiveLesson, seen: EnvironmentObservation | None) -> bool:
    if seen is None or seen.phase != Phase.RUNNING:
        return False
    return not changed_endpoints(row, seen)


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

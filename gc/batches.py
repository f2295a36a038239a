"""Going through rows in bounded batches, so that no run holds much, takes long or stops at one."""

import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Model, Q, QuerySet

from syringe_project.locks import AdvisoryLock, try_advisory_lock

logger = logging.getLogger(__name__)

RUN_SECONDS = 15.0
"""How long a run goes on taking batches; Redis delivers its message again after 60 seconds."""

_Row = TypeVar("_Row", bound=Model)


def collect(
    *,
    job: str,
    rows: QuerySet[_Row, _Row],
    order: str,
    act: Callable[[Sequence[_Row]], object],
    batch: int = 100,
    lock: Sequence[str] = ("self",),
) -> int:
    """Hand the rows to ``act``, a batch at a time by ``order``; return how many it served.

    A batch is one transaction, in which its rows are locked and still match; those that somebody
    else holds are left to the next run. Where ``act`` fails each row of the batch is tried
    alone, and one that fails again is logged and left. While another run of the job works, this
    one returns. ``lock`` is what ``select_for_update`` knows as ``of``.
    """
    end = monotonic() + RUN_SECONDS
    served, last = 0, None
    while monotonic() < end:
        with transaction.atomic():
            if not try_advisory_lock(AdvisoryLock.COLLECTION, job):
                break
            held = rows.select_for_update(of=lock, skip_locked=True)
            found = list(_after(held, order, last).order_by(order, "pk")[:batch])
            served += _serve(job, found, act)
        if len(found) < batch:
            break
        last = found[-1]
    if served:
        logger.info("collected", extra={"job": job, "rows": served})
    return served


def _after(rows: QuerySet[_Row, _Row], order: str, last: _Row | None) -> QuerySet[_Row, _Row]:
    """Leave out what the run has been through, whether it is gone or failed and stays."""
    if last is None:
        return rows
    value: Any = getattr(last, order)
    later = Q(**{f"{order}__gt": value}) | Q(**{order: value, "pk__gt": last.pk})
    # Said twice because only the plain comparison can use the index.
    return rows.filter(later, **{f"{order}__gte": value})


def _serve(job: str, rows: Sequence[_Row], act: Callable[[Sequence[_Row]], object]) -> int:
    if not rows:
        return 0
    try:
        with transaction.atomic():
            act(rows)
    except Exception:
        if connection.needs_rollback:
            # Not one row's fault: the transaction is lost, and the next run begins anew.
            raise
        if len(rows) > 1:
            return sum(_serve(job, [row], act) for row in rows)
        logger.exception("not collected", extra={"job": job, "row": str(rows[0].pk)})
        return 0
    return len(rows)

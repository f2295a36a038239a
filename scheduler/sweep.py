"""The scanner that makes the scheduler true: whatever message was lost, due rows are found."""

from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from scheduler.failpoints import Failpoint, failpoint
from scheduler.messages import chunks, enqueue_reconcile
from syringe_project.locks import AdvisoryLock, try_advisory_lock

LONGEST_CLAIM_SECONDS = 10
"""A claimed row is due again after this or a lease's time, should its message get lost."""

LIMIT = 2000

_CLAIM_DUE = """
    UPDATE livelessons_livelesson
    SET next_look_at = statement_timestamp() + make_interval(secs => %s)
    WHERE id IN (
        SELECT id FROM livelessons_livelesson
        WHERE next_look_at <= statement_timestamp()
        ORDER BY next_look_at
        LIMIT %s
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""


def due_sweep() -> int:
    """Claim the livelessons that are due and enqueue them in chunks; return their number.

    Only one sweep runs at a time; the others return 0 at once.
    """
    claim = min(LONGEST_CLAIM_SECONDS, settings.SYRINGE_LEASE_SECONDS)
    with transaction.atomic():
        if not try_advisory_lock(AdvisoryLock.SWEEP):
            return 0
        with connection.cursor() as cursor:
            cursor.execute(_CLAIM_DUE, [claim, LIMIT])
            claimed: list[UUID] = [row[0] for row in cursor.fetchall()]
    failpoint(Failpoint.SWEEP_CLAIMED)
    for chunk in chunks(claimed):
        # They are claimed, so nobody else finds them for a while.
        enqueue_reconcile(chunk, expires=None)
        failpoint(Failpoint.SWEEP_ENQUEUED)
    return len(claimed)

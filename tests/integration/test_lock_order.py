"""A livelesson's row is locked before its action lock, so that nobody waits in a ring."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest
from django.db import connection, transaction

from livelessons.models import LiveLesson, LiveLessonLock
from livelessons.states import Desired, State
from scheduler.services import lesson_start, live_lesson_end
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


def somebody_waits():
    with connection.cursor() as cursor:
        # Within a transaction PostgreSQL would go on showing who was there at the first look.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE NOT granted AND datname = current_database()"
        )
        return cursor.fetchone() is not None


def test_an_end_waits_for_a_move_that_removes_the_lock(make_lesson, make_session):
    live_lesson = lesson_start(session=make_session(), slug=make_lesson().slug).live_lesson

    def end():
        live_lesson_end(live_lesson=LiveLesson.objects.get(pk=live_lesson.pk))
        connection.close()

    with ThreadPoolExecutor(1) as learner:
        with transaction.atomic():
            LiveLesson.objects.filter(pk=live_lesson.pk).update(state=State.BOOTING)
            ending = learner.submit(end)
            limit = monotonic() + PATIENCE
            while not somebody_waits():
                assert monotonic() < limit
                assert not ending.done()
                sleep(0.01)
            LiveLessonLock.objects.filter(live_lesson=live_lesson).delete()
        ending.result(timeout=PATIENCE)

    live_lesson.refresh_from_db()
    assert live_lesson.desired == Desired.GONE
    assert live_lesson.lock.action == "delete"

"""Livelessons: what is wished of them, and that they are used."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from lessons.models import Lesson
from lessons.specs import LessonDict
from livelessons.errors import (
    InvalidStage,
    LifetimeExhausted,
    LiveLessonNotFound,
    TooManyLiveLessons,
)
from livelessons.models import LiveEndpoint, LiveLesson, LiveLessonChange, LiveSession
from livelessons.services.locks import lock_take
from livelessons.services.openings import objectives_create
from livelessons.states import LIVE, Action, Desired, State
from livelessons.wakeups import wake
from syringe_project.locks import AdvisoryLock, advisory_lock

_TOUCH_INTERVAL = timedelta(seconds=30)


@transaction.atomic
def live_lesson_create(
    *,
    session: LiveSession,
    lesson: Lesson,
    spec: LessonDict,
    stage: int,
    holder: str,
    backend: str,
    completed_stages: Sequence[int],
) -> tuple[LiveLesson, bool]:
    """Record the wish for a lesson; return its row and whether it is new.

    Creations of one session take turns, so that two identical requests yield one row and the
    limit counts exactly. ``spec`` is what the lesson becomes on this backend, and stays for the
    livelesson's whole life; gates behind ``completed_stages`` are open from the start. Raises
    TooManyLiveLessons and InvalidStage.
    """
    if not 0 <= stage < len(spec["stages"]):
        raise InvalidStage(slug=lesson.slug, stage=stage)
    advisory_lock(AdvisoryLock.SESSION_QUOTA, str(session.pk))
    wanted = LiveLesson.objects.filter(session=session, state__in=LIVE, desired=Desired.RUNNING)
    existing = wanted.filter(slug=lesson.slug).first()
    if existing is not None:
        return existing, False
    limit = settings.SYRINGE_LIVELESSONS_PER_SESSION
    if limit and wanted.count() >= limit:
        raise TooManyLiveLessons(limit=limit)
    now = timezone.now()
    live_lesson = LiveLesson.objects.create(
        session=session,
        lesson=lesson,
        slug=lesson.slug,
        spec=spec,
        backend=backend,
        desired_stage=stage,
        stage=stage,
        state_since=now,
        next_look_at=now,
        created_at=now,
        last_active_at=now,
        expires_at=now + timedelta(seconds=settings.SYRINGE_LIFETIME_SECONDS),
        completed_stages=list(completed_stages),
        total_tests=sum(len(endpoint["presentations"]) for endpoint in spec["endpoints"]),
    )
    LiveEndpoint.objects.bulk_create(
        LiveEndpoint(live_lesson=live_lesson, position=position, name=endpoint["name"])
        for position, endpoint in enumerate(spec["endpoints"])
    )
    objectives_create(live_lesson=live_lesson)
    LiveLessonChange.objects.create(
        live_lesson=live_lesson, at=now, state=State.INITIALIZED, stage=stage, attempt=1
    )
    lock_take(live_lesson=live_lesson, action=Action.START, holder=holder)
    wake(live_lesson.pk)
    return live_lesson, True


@transaction.atomic
def live_lesson_wish(
    *, live_lesson: LiveLesson, action: Action | None, holder: str, **wishes: object
) -> None:
    """Change what is wished, taking the action's lock; the scheduler looks at it at once.

    Raises LiveLessonBusy while another action runs, LiveLessonNotFound for one that ended.
    """
    now = timezone.now()
    # The row before its action lock, as everybody who writes both: else two would wait in a ring.
    changed = (
        LiveLesson.objects.filter(pk=live_lesson.pk)
        .exclude(state=State.DELETED)
        .update(
            **wishes,
            generation=F("generation") + 1,
            version=F("version") + 1,
            next_look_at=now,
        )
    )
    if not changed:
        raise LiveLessonNotFound
    if action is not None:
        lock_take(live_lesson=live_lesson, action=action, holder=holder)
    wake(live_lesson.pk)


@transaction.atomic
def live_lessons_look(*, live_lesson_ids: Sequence[UUID]) -> None:
    """Make those due again that rest at READY, or may just be put to rest there.

    As with a wish, a run that observed them before this cannot put them to rest again. All others
    are looked at before long anyway.
    """
    rows = LiveLesson.objects.filter(
        pk__in=live_lesson_ids, state__in=[State.CONFIGURATION, State.READY]
    )
    # In the order of their ids, as leases are taken.
    found = rows.order_by("pk").select_for_update().values_list("pk", flat=True)
    LiveLesson.objects.filter(pk__in=list(found)).update(
        generation=F("generation") + 1, next_look_at=timezone.now()
    )


def live_lesson_extend(*, live_lesson: LiveLesson) -> LiveLesson:
    """Let it live longer, at most until its greatest age; also counts as use.

    Raises LifetimeExhausted when nothing can be added, LiveLessonNotFound for one that ended.
    """
    now = timezone.now()
    extension = timedelta(seconds=settings.SYRINGE_EXTENSION_SECONDS)
    expires_at = min(live_lesson.latest_end, max(live_lesson.expires_at, now) + extension)
    if expires_at <= live_lesson.expires_at:
        raise LifetimeExhausted
    rows = LiveLesson.objects.filter(pk=live_lesson.pk, state__in=LIVE, desired=Desired.RUNNING)
    with transaction.atomic():
        if not rows.update(expires_at=expires_at, last_active_at=Now(), version=F("version") + 1):
            raise LiveLessonNotFound
        wake(live_lesson.pk)
    live_lesson.expires_at = expires_at
    return live_lesson


def live_lesson_touch(*, live_lesson_id: UUID) -> None:
    """Note that the livelesson is in use, by the database's clock; at most every 30 seconds.

    Its session needs no note of its own: it is spared while it has a livelesson.
    """
    noted_just_now = Q(last_active_at__range=(Now() - _TOUCH_INTERVAL, Now()))
    LiveLesson.objects.filter(~noted_just_now, pk=live_lesson_id).update(last_active_at=Now())


def touch_if_stale(live_lesson: LiveLesson) -> None:
    """Note that the livelesson is in use, without a query where that was noted just now."""
    if abs(timezone.now() - live_lesson.last_active_at) >= _TOUCH_INTERVAL:
        live_lesson_touch(live_lesson_id=live_lesson.pk)

"""Action locks: one action at a time on a livelesson, refused at once instead of queued."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from livelessons.errors import LiveLessonBusy
from livelessons.models import LiveLesson, LiveLessonLock
from livelessons.states import Action

RETRY_AFTER_SECONDS = 2
"""What a refused caller is told to wait; an action on a warm machine takes about that long."""


def action_deadline(now: datetime) -> datetime:
    """Return when an action begun now must be over, all its retries included, plus a margin."""
    attempt = settings.SYRINGE_BOOT_TIMEOUT_SECONDS + settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS
    return now + timedelta(seconds=attempt * settings.SYRINGE_START_ATTEMPTS * 1.1 + 60)


def lock_take(*, live_lesson: LiveLesson, action: Action, holder: str) -> None:
    """Take the livelesson's action lock, within the caller's transaction.

    An expired lock is taken over. A delete takes over every lock but a delete's. Raises
    LiveLessonBusy, which names the running action.
    """
    now = timezone.now()
    fields = {
        "action": action,
        "holder": holder,
        "created_at": now,
        "expires_at": action_deadline(now),
    }
    try:
        with transaction.atomic():
            LiveLessonLock.objects.create(live_lesson=live_lesson, **fields)
    except IntegrityError:
        standing = LiveLessonLock.objects.select_for_update().filter(live_lesson=live_lesson)
        lock = standing.first()
        if lock is None:
            # Released between the two statements: the action before this one has just ended.
            LiveLessonLock.objects.create(live_lesson=live_lesson, **fields)
            return
        overrules = action == Action.DELETE and lock.action != Action.DELETE
        if not overrules and lock.expires_at > now:
            raise LiveLessonBusy(
                action=Action(lock.action).value, retry_after=RETRY_AFTER_SECONDS
            ) from None
        standing.update(**fields)


def lock_break(*, live_lesson: LiveLesson) -> bool:
    """Remove the lock whatever runs; say whether there was one. For operators."""
    removed, _ = LiveLessonLock.objects.filter(live_lesson=live_lesson).delete()
    return bool(removed)

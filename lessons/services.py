"""What changes lessons, apart from the import of a curriculum."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from lessons.models import Bundle, Lesson
from syringe_project.locks import AdvisoryLock, try_advisory_lock


@transaction.atomic
def lesson_collect(*, older_than: timedelta) -> int:
    """Delete the versions of lessons that nothing needs, and bundles without a lesson.

    Return how many versions went. A version is spared while its slug means it, while a
    livelesson refers to it, and for ``older_than`` after it was replaced, because a start that
    read it just before may not be committed yet. Does nothing while a curriculum is imported.
    """
    if not try_advisory_lock(AdvisoryLock.CURRICULUM_IMPORT):
        return 0
    since = Coalesce("replaced_at", "created_at")
    doomed = Lesson.objects.alias(since=since).filter(
        since__lt=timezone.now() - older_than, current=None, livelessons=None
    )
    collected = doomed.count()
    doomed.delete()
    Bundle.objects.filter(lessons=None).delete()
    return collected

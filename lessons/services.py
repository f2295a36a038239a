"""What changes lessons, apart from the import of a curriculum."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from lessons.models import Bundle, CurrentLesson, Lesson
from syringe_project.locks import AdvisoryLock, try_advisory_lock


@transaction.atomic
def lesson_collect(*, older_than: timedelta) -> int:
    """Delete the versions of lessons that nothing needs, and bundles without a lesson.

    Return how many versions went. A version is spared while its slug means it, while a
    livelesson refers to it, and until whatever replaced it is itself ``older_than``, because a
    learner's request may have read it a moment ago. Does nothing while a curriculum is imported.
    """
    if not try_advisory_lock(AdvisoryLock.CURRICULUM_IMPORT):
        return 0
    before = timezone.now() - older_than
    replaced_lately = CurrentLesson.objects.filter(
        slug=OuterRef("slug"), lesson__created_at__gte=before
    )
    # A start that is being recorded holds its lesson's row, so that row is skipped.
    candidates = list(
        Lesson.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(~Exists(replaced_lately), created_at__lt=before)
        .filter(Q(current=None), Q(livelessons=None))
        .values_list("pk", flat=True)
    )
    # Asked again now that the rows are held: a start may have come in before they were.
    doomed = Lesson.objects.filter(pk__in=candidates, current=None, livelessons=None)
    collected = doomed.count()
    doomed.delete()
    Bundle.objects.filter(lessons=None).delete()
    return collected

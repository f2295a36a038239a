"""Shortcuts for tests of objectives: what checkers do, and the rows as they are."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from livelessons.models import LiveLesson, LiveObjective
from livelessons.services.objectives import Claimed, objective_release, objectives_claim
from livelessons.services.openings import objectives_open


def open_all(live_lesson: LiveLesson) -> None:
    """Have a READY livelesson's objectives checked, all of them at once."""
    with transaction.atomic():
        LiveLesson.objects.select_for_update().get(pk=live_lesson.pk)
        objectives_open(live_lessons=[live_lesson])
    due_now(live_lesson)


def due_now(live_lesson: LiveLesson) -> None:
    """Make everything due that is open and that nobody checks."""
    LiveObjective.objects.filter(
        live_lesson=live_lesson, next_check_at__isnull=False, claim=None
    ).update(next_check_at=Now())


def claim(
    *,
    checker: str = "checker",
    limit: int = 100,
    per_live_lesson: int = 3,
    ttl: timedelta = timedelta(seconds=10),
) -> list[Claimed]:
    """Take what is due, as a checker does."""
    return objectives_claim(checker=checker, limit=limit, per_live_lesson=per_live_lesson, ttl=ttl)


def claim_one(live_lesson: LiveLesson, slug: str) -> Claimed:
    """Take the check of one objective, due or not, and leave the others."""
    due_now(live_lesson)
    wanted = []
    for claimed in claim(per_live_lesson=100):
        if claimed.objective.slug == slug and claimed.live_lesson.pk == live_lesson.pk:
            wanted.append(claimed)
        else:
            objective_release(claimed)
    (one,) = wanted
    return one


def states(live_lesson: LiveLesson, stage: int = 0) -> dict[str, str]:
    """Return the states of a stage's objectives by slug."""
    rows = LiveObjective.objects.filter(live_lesson=live_lesson, stage=stage)
    return dict(rows.values_list("slug", "state"))


def objective(live_lesson: LiveLesson, slug: str) -> LiveObjective:
    """Return the row as it is now."""
    return LiveObjective.objects.get(live_lesson=live_lesson, slug=slug)

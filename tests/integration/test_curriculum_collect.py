import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from curriculum.importer import curriculum_import
from lessons.models import Bundle, CurrentLesson, Lesson
from lessons.services import lesson_collect
from syringe_project.locks import AdvisoryLock, advisory_lock
from tests.curricula import write_curriculum
from tests.waiting import FOR_EVER, PATIENCE

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def make_versions(make_lesson):
    """Return a factory of two versions of one slug, the first replaced by the second."""

    def make(*, replaced_days: float = 10) -> tuple[Lesson, Lesson]:
        old = make_lesson()
        new = make_lesson(old.slug)
        long_ago, replaced = timezone.now() - 30 * DAY, timezone.now() - replaced_days * DAY
        Lesson.objects.update(created_at=long_ago)
        Lesson.objects.filter(pk=old.pk).update(replaced_at=replaced)
        return old, new

    return make


def test_a_replaced_version_goes_with_its_rows(make_versions):
    _, new = make_versions()

    assert lesson_collect(older_than=DAY) == 1

    assert list(Lesson.objects.all()) == [new]
    assert lesson_collect(older_than=DAY) == 0


def test_a_version_replaced_a_moment_ago_stays(make_versions):
    make_versions(replaced_days=0.9)

    assert lesson_collect(older_than=DAY) == 0
    assert lesson_collect(older_than=DAY / 2) == 1


def test_a_slug_that_is_no_longer_offered_goes(make_versions):
    make_versions()
    CurrentLesson.objects.all().delete()

    assert lesson_collect(older_than=DAY) == 2
    assert not Lesson.objects.exists()


def test_what_is_offered_stays_however_old(make_lesson):
    make_lesson()
    Lesson.objects.update(created_at=timezone.now() - 1000 * DAY)

    assert lesson_collect(older_than=timedelta(0)) == 0


def test_what_a_livelesson_refers_to_stays(make_versions, make_live_lesson):
    old, _ = make_versions()
    live_lesson = make_live_lesson(lesson=old)

    assert lesson_collect(older_than=DAY) == 0

    live_lesson.delete()
    assert lesson_collect(older_than=DAY) == 1


def test_an_import_tells_when_a_version_was_replaced(tmp_path):
    folder = write_curriculum(tmp_path, "changing", "leaving", "staying")
    curriculum_import(path=folder)
    assert not Lesson.objects.exclude(replaced_at=None).exists()
    guide = folder / "lessons/changing/stage0/guide.md"
    text = guide.read_text()
    guide.write_text("# New\n")
    (folder / "lessons/leaving").rename(folder / "attic")

    curriculum_import(path=folder, prune=True)

    replaced = Lesson.objects.exclude(replaced_at=None)
    assert sorted(replaced.values_list("slug", flat=True)) == ["changing", "leaving"]
    assert not replaced.filter(current__isnull=False).exists()

    guide.write_text(text)
    curriculum_import(path=folder)

    assert Lesson.objects.get(current__slug="changing").replaced_at is None
    assert lesson_collect(older_than=DAY) == 0
    assert lesson_collect(older_than=timedelta(0)) == 2


def test_bundles_go_with_their_last_lesson(make_versions):
    old, new = make_versions()
    for lesson in (old, new):
        bundle = Bundle.objects.create(sha256=f"{lesson.pk:064d}", content=b"x", size=1)
        Lesson.objects.filter(pk=lesson.pk).update(bundle=bundle)

    lesson_collect(older_than=DAY)

    assert list(Bundle.objects.values_list("sha256", flat=True)) == [f"{new.pk:064d}"]


@contextmanager
def another_transaction(hold: Callable[[], object]) -> Iterator[None]:
    """Let another connection do something and keep its transaction open meanwhile."""
    held, release = threading.Event(), threading.Event()

    def run() -> None:
        try:
            with transaction.atomic():
                hold()
                held.set()
                release.wait(FOR_EVER)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert held.wait(PATIENCE)
        yield
    finally:
        release.set()
        thread.join(PATIENCE)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_collected_while_a_curriculum_is_imported(make_versions):
    make_versions()

    with another_transaction(lambda: advisory_lock(AdvisoryLock.CURRICULUM_IMPORT)):
        assert lesson_collect(older_than=DAY) == 0

    assert lesson_collect(older_than=DAY) == 1

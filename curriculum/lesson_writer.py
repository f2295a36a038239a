"""Writing lessons: new versions, and which version a slug means."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.utils import timezone

from curriculum.bundles import pack
from curriculum.errors import CurriculumChanged
from curriculum.loader import Progress
from curriculum.reports import Tally
from curriculum.rows import LessonRows, lesson_digest
from curriculum.schema import ImageFile
from curriculum.tree import Limits, Unreadable
from curriculum.units import LessonUnit, LoadedCurriculum
from lessons.models import (
    Bundle,
    Connection,
    CurrentLesson,
    Endpoint,
    Lesson,
    Presentation,
    Stage,
)

_BATCH_LESSONS = 100
_BATCH_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CurrentVersion:
    """What a slug meant before this import."""

    lesson_id: int
    digest: str
    file: str
    collection: str
    prerequisites: Sequence[str]


def current_versions() -> dict[str, CurrentVersion]:
    """Return by slug what is offered now."""
    rows = CurrentLesson.objects.values_list(
        "slug",
        "lesson_id",
        "lesson__digest",
        "lesson__file",
        "lesson__collection",
        "lesson__prerequisites",
    )
    return {slug: CurrentVersion(*rest) for slug, *rest in rows}


@dataclass(frozen=True, slots=True)
class LessonWriter:
    """Writes the lessons of one import, inside its transaction, the lock held."""

    loaded: LoadedCurriculum
    images: Mapping[str, ImageFile]
    limits: Limits
    progress: Progress

    def write(self, current: Mapping[str, CurrentVersion], tally: Tally) -> None:
        """Add what is new, move what changed, leave the rest."""
        wanted: list[tuple[LessonUnit, str]] = []
        for unit in self.loaded.lessons:
            if unit.refused:
                tally.refused.append(unit.label)
                continue
            digest = lesson_digest(unit, self.images)
            now = current.get(unit.slug)
            if now is not None and now.digest == digest:
                tally.unchanged.append(unit.slug)
                if now.file != unit.file:
                    Lesson.objects.filter(pk=now.lesson_id).update(file=unit.file)
                continue
            (tally.added if now is None else tally.changed).append(unit.slug)
            wanted.append((unit, digest))
        digests = [digest for _, digest in wanted]
        known = dict(Lesson.objects.filter(digest__in=digests).values_list("digest", "pk"))
        self._return_to([(unit, known[digest]) for unit, digest in wanted if digest in known])
        self._create([(unit, digest) for unit, digest in wanted if digest not in known])

    def _return_to(self, versions: Sequence[tuple[LessonUnit, int]]) -> None:
        for unit, lesson_id in versions:
            Lesson.objects.filter(pk=lesson_id).update(file=unit.file, replaced_at=None)
        _point([(unit.slug, lesson_id) for unit, lesson_id in versions])

    def _create(self, wanted: Sequence[tuple[LessonUnit, str]]) -> None:
        for batch in self._batches(wanted):
            bundles = {rows.bundle.sha256: rows.bundle for rows in batch}
            Bundle.objects.bulk_create(bundles.values(), ignore_conflicts=True)
            Lesson.objects.bulk_create([rows.lesson for rows in batch])
            Stage.objects.bulk_create([stage for rows in batch for stage in rows.stages])
            Endpoint.objects.bulk_create([row for rows in batch for row in rows.endpoints])
            Presentation.objects.bulk_create([row for rows in batch for row in rows.presentations])
            Connection.objects.bulk_create([row for rows in batch for row in rows.connections])
            _point([(rows.lesson.slug, rows.lesson.pk) for rows in batch])

    def _batches(self, wanted: Sequence[tuple[LessonUnit, str]]) -> Iterator[list[LessonRows]]:
        batch: list[LessonRows] = []
        for done, (unit, digest) in enumerate(wanted):
            self.progress("Writing lessons", done, len(wanted))
            batch.append(self._rows(unit, digest))
            size = sum(rows.bundle.size for rows in batch)
            if size >= _BATCH_BYTES or len(batch) >= _BATCH_LESSONS:
                yield batch
                batch = []
        if batch:
            yield batch
        self.progress("Writing lessons", len(wanted), len(wanted))

    def _rows(self, unit: LessonUnit, digest: str) -> LessonRows:
        try:
            packed = pack(unit.files, limits=self.limits)
        except Unreadable as exc:
            raise CurriculumChanged(file=unit.file) from exc
        if packed.tree_digest != unit.tree_digest:
            raise CurriculumChanged(file=unit.file)
        return LessonRows(unit, self.images, digest=digest, packed=packed)


def replace_current(slugs: Collection[str]) -> None:
    """Note on the versions that these slugs mean that they are about to mean something else."""
    Lesson.objects.filter(current__slug__in=slugs).update(replaced_at=timezone.now())


def _point(versions: Sequence[tuple[str, int]]) -> None:
    replace_current([slug for slug, _ in versions])
    CurrentLesson.objects.bulk_create(
        [CurrentLesson(slug=slug, lesson_id=lesson_id) for slug, lesson_id in versions],
        update_conflicts=True,
        unique_fields=["slug"],
        update_fields=["lesson"],
    )

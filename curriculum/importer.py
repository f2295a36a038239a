"""Placing a curriculum in the database: all of it or nothing, one import at a time."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from curriculum.errors import CurriculumInvalid
from curriculum.fields import FileModel
from curriculum.lesson_writer import CurrentVersion, LessonWriter, current_versions, replace_current
from curriculum.loader import Progress, no_progress
from curriculum.problems import Severity
from curriculum.reports import ImportReport, Tally
from curriculum.rows import collection_fields, content_digest, image_fields
from curriculum.schema import CurriculumFile
from curriculum.tree import Limits
from curriculum.units import LoadedCurriculum, Unit
from curriculum.validation import check_curriculum
from lessons.models import Collection, CurrentLesson, Curriculum, Image
from syringe_project.locks import AdvisoryLock, advisory_lock

__all__ = ["ImportReport", "Tally", "curriculum_import", "limits_from_settings"]

M = TypeVar("M", bound=FileModel)
Row = TypeVar("Row", Collection, Image)

_LIMIT_SECONDS = 600


def limits_from_settings() -> Limits:
    """Return the limits of this installation."""
    return Limits(bundle_bytes=settings.SYRINGE_BUNDLE_MAX_BYTES)


def curriculum_import(
    *,
    path: Path,
    skip_invalid: bool = False,
    strict: bool = False,
    prune: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Make the database hold what the folder holds.

    The same content again changes nothing. With ``skip_invalid`` what has errors is left as it
    is in the database and the rest goes in; with ``prune`` what the folder no longer has is no
    longer offered. Raise CurriculumInvalid with every problem, or CurriculumChanged.
    """
    show = progress or no_progress
    limits = limits_from_settings()
    loaded = check_curriculum(path, strict=strict, limits=limits, progress=show)
    definition = loaded.meta.definition
    problems = loaded.problems
    if loaded.meta.refused or definition is None or (loaded.has_errors and not skip_invalid):
        errors = sum(problem.severity is Severity.ERROR for problem in problems)
        raise CurriculumInvalid(errors=errors, problems=problems)
    with transaction.atomic():
        _take_lock()
        report = _write(loaded, prune=prune, limits=limits, progress=show)
        report.changed, report.revision = _curriculum_write(definition, path)
    report.problems = problems
    return report


def _take_lock() -> None:
    """Wait for another import as long as one may take; only this transaction's limits move."""
    with connection.cursor() as cursor:
        for limit in ("lock_timeout", "statement_timeout"):
            cursor.execute("SELECT set_config(%s, %s, true)", [limit, f"{_LIMIT_SECONDS}s"])
    advisory_lock(AdvisoryLock.CURRICULUM_IMPORT)


def _curriculum_write(definition: CurriculumFile, path: Path) -> tuple[bool, int]:
    """Bring the curriculum's row up to date; its version tells whether anything changed."""
    version = content_digest(
        {
            "curriculum": definition.model_dump(),
            "lessons": sorted(CurrentLesson.objects.values_list("slug", "lesson__digest")),
            "collections": _contents(Collection.objects.all()),
            "images": _contents(Image.objects.all()),
        }
    )
    row, created = Curriculum.objects.get_or_create(
        singleton=True,
        defaults={
            **definition.model_dump(),
            "version": version,
            "path": str(path),
            "imported_at": timezone.now(),
        },
    )
    if created:
        return True, row.revision
    if row.path != str(path):
        Curriculum.objects.update(path=str(path))
    if row.version == version:
        return False, row.revision
    Curriculum.objects.update(
        **definition.model_dump(),
        version=version,
        imported_at=timezone.now(),
        revision=F("revision") + 1,
    )
    return True, Curriculum.objects.values_list("revision", flat=True).get()


def _contents(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in {"id", "file"}}
        for row in rows.order_by("slug").values()
    ]


def _write(
    loaded: LoadedCurriculum, *, prune: bool, limits: Limits, progress: Progress
) -> ImportReport:
    report = ImportReport()
    images = {
        unit.slug: unit.definition
        for unit in loaded.images
        if unit.definition is not None and not unit.refused
    }
    current = current_versions()
    LessonWriter(loaded, images, limits, progress).write(current, report.lessons)
    _remove_lessons(loaded, current, report.lessons, prune=prune)

    files = _save(Collection, loaded.collections, collection_fields, report.collections)
    gone = _absent(loaded, loaded.collections, files)
    named = set(CurrentLesson.objects.values_list("lesson__collection", flat=True))
    _sort_out(gone, report.collections, prune=prune, needed=named)
    Collection.objects.filter(slug__in=report.collections.removed).delete()

    files = _save(Image, loaded.images, image_fields, report.images)
    _sort_out(_absent(loaded, loaded.images, files), report.images, prune=prune)
    Image.objects.filter(slug__in=report.images.removed).delete()
    return report


def _remove_lessons(
    loaded: LoadedCurriculum, current: Mapping[str, CurrentVersion], tally: Tally, *, prune: bool
) -> None:
    gone = _absent(loaded, loaded.lessons, {slug: now.file for slug, now in current.items()})
    imported = {*tally.added, *tally.changed, *tally.unchanged}
    _sort_out(gone, tally, prune=prune, needed=_needed(current, gone | imported))
    replace_current(tally.removed)
    CurrentLesson.objects.filter(slug__in=tally.removed).delete()


def _absent(
    loaded: LoadedCurriculum, units: Sequence[Unit[Any]], files: Mapping[str, str]
) -> set[str]:
    """Return the slugs that the database has and the folder has not.

    A refused file whose slug cannot be read, or a folder that cannot be searched, may well be
    where a slug was imported from, so such slugs are not absent.
    """
    present = {unit.slug for unit in units}
    unclear = {unit.file for unit in units if not unit.slug}
    unclear |= {stray.file for stray in loaded.strays if stray.has_errors}
    return {
        slug
        for slug, file in files.items()
        if slug not in present
        and not any(file == place or file.startswith(f"{place}/") for place in unclear)
    }


def _needed(current: Mapping[str, CurrentVersion], settled: Container[str]) -> set[str]:
    """Return every prerequisite, however far down, of the last good versions of refused lessons."""
    needed: set[str] = set()
    pending = [slug for slug in current if slug not in settled]
    while pending:
        now = current.get(pending.pop())
        fresh = set(now.prerequisites if now else ()) - needed
        needed |= fresh
        pending.extend(fresh)
    return needed


def _sort_out(
    gone: Iterable[str], tally: Tally, *, prune: bool, needed: Container[str] = ()
) -> None:
    for slug in sorted(gone):
        (tally.removed if prune and slug not in needed else tally.kept).append(slug)


def _save(
    model: type[Row],
    units: Sequence[Unit[M]],
    fields_of: Callable[[Unit[M]], dict[str, Any]],
    tally: Tally,
) -> dict[str, str]:
    """Write what is new or differs; return by slug the files of the rows that were there."""
    rows = {row.slug: row for row in model.objects.all()}
    for unit in units:
        if unit.refused:
            tally.refused.append(unit.label)
            continue
        fields = fields_of(unit)
        row = rows.get(unit.slug)
        if row is None:
            model.objects.create(slug=unit.slug, **fields)
            tally.added.append(unit.slug)
            continue
        differing = {name for name, value in fields.items() if getattr(row, name) != value}
        (tally.changed if differing - {"file"} else tally.unchanged).append(unit.slug)
        if differing:
            model.objects.filter(pk=row.pk).update(**fields)
    return {slug: row.file for slug, row in rows.items()}

"""Reading the curriculum: one query a call while nothing is imported, two after an import."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import BinaryField, OuterRef, QuerySet
from django.db.models.functions import JSONObject, Substr

from lessons.catalogue import Catalogue, CurriculumEntry
from lessons.errors import BundleNotFound, LessonNotFound
from lessons.models import (
    Bundle,
    Collection,
    Connection,
    CurrentLesson,
    Curriculum,
    Endpoint,
    Lesson,
    Presentation,
    Stage,
    Tier,
)

_TIERS_SHOWN: dict[str, tuple[Tier, ...]] = {
    Tier.PROD: (Tier.PROD,),
    Tier.PTR: (Tier.PROD, Tier.PTR),
    Tier.LOCAL: (Tier.PROD, Tier.PTR, Tier.LOCAL),
}

PIECE_BYTES = 4 * 1024 * 1024
"""How much of a bundle is read at once: nearly every bundle whole, the largest in 16 pieces."""

# What names a state of the curriculum: the row, its revision and when it came. The time tells a
# database that was made anew from the one before it.
_Key = tuple[int, int, datetime]

_kept: dict[str, tuple[_Key, Catalogue]] = {}


def tiers_shown() -> tuple[Tier, ...]:
    """Return the tiers of lessons and collections that this installation shows."""
    return _TIERS_SHOWN[settings.SYRINGE_TIER]


def current_lesson(slug: str) -> Lesson:
    """Return the lesson that a slug means now; raise LessonNotFound, also for hidden tiers."""
    current = (
        CurrentLesson.objects.select_related("lesson")
        .filter(slug=slug, lesson__tier__in=tiers_shown())
        .first()
    )
    if current is None:
        raise LessonNotFound(slug=slug)
    return current.lesson


def stage_solutions(lesson: Lesson, *, stage: int) -> dict[str, str]:
    """Return by endpoint the author's shell script that solves a stage; they run at one time."""
    row = Stage.objects.only("solutions").get(lesson=lesson, position=stage)
    return dict(row.solutions)


def bundle_size(sha256: str) -> int:
    """Return a bundle's length in bytes; raise BundleNotFound."""
    for size in Bundle.objects.filter(pk=sha256).values_list("size", flat=True):
        return int(size)
    raise BundleNotFound(sha256=sha256)


def bundle_piece(sha256: str, *, offset: int) -> tuple[int, bytes]:
    """Return a bundle's length and ``PIECE_BYTES`` of it; raise BundleNotFound.

    Nothing else of it is read: PostgreSQL keeps what is compressed already as it is, in parts.
    """
    piece = Substr("content", offset + 1, PIECE_BYTES, output_field=BinaryField())
    for size, content in Bundle.objects.filter(pk=sha256).values_list("size", piece):
        return int(size), bytes(content)
    raise BundleNotFound(sha256=sha256)


def catalogue() -> Catalogue:
    """Return what is offered now.

    Costs one small query while this process holds the revision in force, whatever the number
    of lessons; after an import, one more that reads everything in a single statement.
    """
    with connection.cursor() as cursor:
        # Written out: nearly every request asks this, and the ORM takes longer to ask it.
        cursor.execute("SELECT id, revision, imported_at FROM lessons_curriculum")
        row: _Key | None = cursor.fetchone()
    if row is None:
        return Catalogue.of(tag="none", curriculum=None, lessons=(), collections=())
    tier = settings.SYRINGE_TIER
    kept = _kept.get(tier)
    if kept is None or kept[0] != row:
        kept = _kept[tier] = _read()
    return kept[1]


def _read() -> tuple[_Key, Catalogue]:
    row = (
        Curriculum.objects.annotate(
            lessons=ArraySubquery(_lessons()), collections=ArraySubquery(_collections())
        )
        .values()
        .get()
    )
    key = (row["id"], row["revision"], row["imported_at"])
    imported = int(row["imported_at"].timestamp() * 1e6)
    tag = f"{row['revision']}-{imported:x}-{settings.SYRINGE_TIER}"
    curriculum = CurriculumEntry(
        name=row["name"],
        description=row["description"],
        website=row["website"],
        a_ver=row["a_ver"],
        git_root=row["git_root"],
        version=row["version"],
    )
    return key, Catalogue.of(
        tag=tag, curriculum=curriculum, lessons=row["lessons"], collections=row["collections"]
    )


def _objects(rows: QuerySet[Any], *names: str, **others: Any) -> QuerySet[Any, Any]:
    """Turn rows into JSON objects with the columns named and the expressions given."""
    return rows.values(data=JSONObject(**{name: name for name in names}, **others))


def _lessons() -> QuerySet[Any, Any]:
    of_lesson = {"lesson": OuterRef("lesson")}
    presentations = _objects(
        Presentation.objects.filter(endpoint=OuterRef("pk")).order_by("position"),
        "name",
        "port",
        "type",
    )
    endpoints = _objects(
        Endpoint.objects.filter(**of_lesson).order_by("position"),
        "name",
        "image",
        "configuration_type",
        "additional_ports",
        presentations=ArraySubquery(presentations),
    )
    stages = _objects(
        Stage.objects.filter(**of_lesson).order_by("position"),
        "description",
        "guide_type",
        "video",
        "objectives",
        "gate",
    )
    connections = _objects(
        Connection.objects.filter(**of_lesson).order_by("position"), "a", "b", "subnet"
    )
    columns = (
        "digest",
        "name",
        "category",
        "tier",
        "collection",
        "description",
        "short_description",
        "diagram",
        "video",
        "ready_delay_seconds",
        "prerequisites",
        "tags",
        "authors",
        "missing_images",
        "file",
    )
    return _objects(
        CurrentLesson.objects.filter(lesson__tier__in=tiers_shown()).order_by("slug"),
        "slug",
        **{name: f"lesson__{name}" for name in columns},
        stages=ArraySubquery(stages),
        endpoints=ArraySubquery(endpoints),
        connections=ArraySubquery(connections),
    )


def _collections() -> QuerySet[Any, Any]:
    return _objects(
        Collection.objects.filter(tier__in=tiers_shown()).order_by("slug"),
        "slug",
        "title",
        "image",
        "website",
        "contact_email",
        "brief_description",
        "long_description",
        "type",
        "tier",
        "file",
    )

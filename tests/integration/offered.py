"""A curriculum in the database, as an import leaves it."""

from typing import Any

from django.db.models import F
from django.utils import timezone

from lessons.models import (
    Collection,
    Connection,
    CurrentLesson,
    Curriculum,
    Endpoint,
    Lesson,
    Presentation,
    Stage,
)


def offer(**fields: Any) -> Curriculum:
    """Make the curriculum's row, or its next revision, so that processes read it anew."""
    now = timezone.now()
    defaults = {"name": "example", "version": "v1", "path": "/curriculum", "imported_at": now}
    row, created = Curriculum.objects.get_or_create(defaults=defaults | fields)
    if not created:
        Curriculum.objects.update(revision=F("revision") + 1, imported_at=now, **fields)
        row.refresh_from_db()
    return row


def collection_from_entity(entity: dict[str, Any]) -> Collection:
    """Make the collection that ``/exp`` shows like this."""
    return Collection.objects.create(
        slug=entity["Slug"],
        title=entity["Title"],
        image=entity.get("Image", ""),
        website=entity.get("Website", ""),
        contact_email=entity.get("ContactEmail", ""),
        brief_description=entity.get("BriefDescription", ""),
        long_description=entity.get("LongDescription", ""),
        type=entity.get("Type", ""),
        tier=entity["Tier"],
        file=entity["CollectionFile"].removeprefix("/curriculum/"),
    )


def lesson_from_entity(entity: dict[str, Any], bundle_of: Lesson) -> Lesson:
    """Make the lesson that ``/exp`` shows like this; ``bundle_of`` lends its bundle."""
    lesson = Lesson.objects.create(
        slug=entity["Slug"],
        digest=entity["Slug"].ljust(64, "0"),
        name=entity["Name"],
        category=entity.get("Category", ""),
        tier=entity["Tier"],
        collection=entity.get("Collection", ""),
        description=entity.get("Description", ""),
        short_description=entity.get("ShortDescription", ""),
        diagram=entity.get("Diagram", ""),
        video=entity.get("Video", ""),
        ready_delay_seconds=entity.get("ReadyDelay", 0),
        prerequisites=entity.get("Prereqs", []),
        tags=entity.get("Tags", []),
        authors=[{"name": a["Name"], "link": a["Link"]} for a in entity.get("Authors", [])],
        spec=bundle_of.spec,
        bundle=bundle_of.bundle,
        file=entity["LessonFile"].removeprefix("/curriculum/"),
    )
    for position, stage in enumerate(entity["Stages"]):
        Stage.objects.create(
            lesson=lesson,
            position=position,
            description=stage["Description"],
            guide_type=stage["GuideType"],
            video=stage.get("StageVideo", ""),
        )
    for position, endpoint in enumerate(entity["Endpoints"]):
        row = Endpoint.objects.create(
            lesson=lesson,
            position=position,
            name=endpoint["Name"],
            image=endpoint["Image"],
            configuration_type=endpoint.get("ConfigurationType", ""),
            additional_ports=endpoint.get("AdditionalPorts", []),
        )
        for place, way in enumerate(endpoint["Presentations"]):
            Presentation.objects.create(
                endpoint=row, position=place, name=way["Name"], port=way["Port"], type=way["Type"]
            )
    for position, link in enumerate(entity.get("Connections", [])):
        Connection.objects.create(
            lesson=lesson,
            position=position,
            a=link["A"],
            b=link["B"],
            subnet=link.get("Subnet", ""),
        )
    CurrentLesson.objects.create(slug=lesson.slug, lesson=lesson)
    return lesson

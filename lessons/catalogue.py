"""The curriculum as learners see it: one revision, one tier, read once and kept."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from lessons.errors import CollectionNotFound, CurriculumNotFound, LessonNotFound
from lessons.specs import ToldObjectiveDict


class AuthorEntry(TypedDict):
    name: str
    link: str


class StageEntry(TypedDict):
    description: str
    guide_type: str
    video: str
    objectives: list[ToldObjectiveDict]
    gate: bool


class PresentationEntry(TypedDict):
    name: str
    port: int
    type: str


class EndpointEntry(TypedDict):
    name: str
    image: str
    configuration_type: str
    additional_ports: list[int]
    presentations: list[PresentationEntry]


class ConnectionEntry(TypedDict):
    a: str
    b: str
    subnet: str


class LessonEntry(TypedDict):
    """One offered lesson. ``collection`` and ``prerequisites`` name only what is offered too."""

    slug: str
    digest: str
    name: str
    category: str
    tier: str
    collection: str
    description: str
    short_description: str
    diagram: str
    video: str
    ready_delay_seconds: int
    prerequisites: list[str]
    tags: list[str]
    authors: list[AuthorEntry]
    missing_images: list[str]
    file: str
    stages: list[StageEntry]
    endpoints: list[EndpointEntry]
    connections: list[ConnectionEntry]


class CollectionEntry(TypedDict):
    slug: str
    title: str
    image: str
    website: str
    contact_email: str
    brief_description: str
    long_description: str
    type: str
    tier: str
    file: str


class CurriculumEntry(TypedDict):
    name: str
    description: str
    website: str
    a_ver: str
    git_root: str
    version: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that is offered at one revision, with the answers made from it.

    ``tag`` names revision and tier in ASCII without spaces, for use in ETags.
    """

    tag: str
    curriculum: CurriculumEntry | None
    lessons: Mapping[str, LessonEntry]
    collections: Mapping[str, CollectionEntry]
    _answers: dict[tuple[str, str], bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        *,
        tag: str,
        curriculum: CurriculumEntry | None,
        lessons: Iterable[LessonEntry],
        collections: Iterable[CollectionEntry],
    ) -> "Catalogue":
        """Build a catalogue in which no lesson names one or a collection that is not in it."""
        by_slug = {lesson["slug"]: lesson for lesson in lessons}
        collections_by_slug = {collection["slug"]: collection for collection in collections}
        for lesson in by_slug.values():
            lesson["prerequisites"] = [slug for slug in lesson["prerequisites"] if slug in by_slug]
            if lesson["collection"] not in collections_by_slug:
                lesson["collection"] = ""
        return cls(tag, curriculum, by_slug, collections_by_slug)

    def required_curriculum(self) -> CurriculumEntry:
        """Return the curriculum's own description; raise CurriculumNotFound."""
        if self.curriculum is None:
            raise CurriculumNotFound
        return self.curriculum

    def lesson(self, slug: str) -> LessonEntry:
        """Return an offered lesson; raise LessonNotFound."""
        try:
            return self.lessons[slug]
        except KeyError:
            raise LessonNotFound(slug=slug) from None

    def collection(self, slug: str) -> CollectionEntry:
        """Return an offered collection; raise CollectionNotFound."""
        try:
            return self.collections[slug]
        except KeyError:
            raise CollectionNotFound(slug=slug) from None

    def lessons_of(self, collection: str) -> list[LessonEntry]:
        """Return the lessons of a collection, by slug."""
        return [entry for entry in self.lessons.values() if entry["collection"] == collection]

    def all_prerequisites(self, slug: str) -> list[str]:
        """Return what comes before a lesson: each once, depth first, without the lesson itself.

        An unknown lesson has none. Cycles, which the importer refuses, end the descent.
        """
        found = {slug: None}
        waiting = [slug]
        while waiting:
            current = waiting.pop()
            found[current] = None
            entry = self.lessons.get(current)
            if entry is not None:
                waiting += [s for s in reversed(entry["prerequisites"]) if s not in found]
        del found[slug]
        return list(found)

    def answer(self, kind: str, slug: str, build: Callable[[], object]) -> bytes:
        """Return ``build()`` as JSON, made once for this catalogue.

        ``build`` raises for a slug that is not offered, so nobody can fill the memory with
        answers about things that do not exist.
        """
        key = (kind, slug)
        made = self._answers.get(key)
        if made is None:
            made = json.dumps(build(), separators=(",", ":")).encode()
            self._answers[key] = made
        return made

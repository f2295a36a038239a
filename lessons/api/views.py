"""``/api/v1``: what the curriculum offers. One small query a request, and none of its own."""

from collections.abc import Callable

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from lessons.api.documents import (
    COLLECTION_EXAMPLE,
    CURRICULUM_EXAMPLE,
    LESSON_EXAMPLE,
    LISTED_LESSON_EXAMPLE,
    CollectionDocument,
    CollectionListDocument,
    CurriculumDocument,
    LessonDocument,
    LessonListDocument,
)
from lessons.catalogue import Catalogue, CollectionEntry, LessonEntry
from lessons.selectors import catalogue
from syringe_project.api_documents import NOT_MODIFIED, problem
from syringe_project.responses import not_modified, tagged_response
from syringe_project.version import VERSION

_TAGS = ["curriculum"]


def _respond(
    request: Request, kind: str, slug: str, build: Callable[[Catalogue], object]
) -> HttpResponseBase:
    offered = catalogue()
    # The answer comes first: an unknown slug is 404 whatever the caller claims to hold.
    body = offered.answer(kind, slug, lambda: build(offered))
    etag = f'"{VERSION}-{offered.tag}"'
    return not_modified(request, etag) or tagged_response(body, etag, private=False)


def _listed(entry: LessonEntry) -> dict[str, object]:
    return {
        "slug": entry["slug"],
        "name": entry["name"],
        "category": entry["category"],
        "tier": entry["tier"],
        "collection": entry["collection"],
        "description": entry["description"],
        "short_description": entry["short_description"],
        "tags": entry["tags"],
        "prerequisites": entry["prerequisites"],
        "stages": len(entry["stages"]),
        "startable": not entry["missing_images"],
    }


def _lesson(offered: Catalogue, slug: str) -> dict[str, object]:
    entry = offered.lesson(slug)
    return _listed(entry) | {
        "stages": entry["stages"],
        "digest": entry["digest"],
        "diagram": entry["diagram"],
        "video": entry["video"],
        "all_prerequisites": offered.all_prerequisites(slug),
        "missing_images": entry["missing_images"],
        "authors": entry["authors"],
        "endpoints": entry["endpoints"],
        "connections": entry["connections"],
    }


def _collection(entry: CollectionEntry) -> dict[str, object]:
    return {name: value for name, value in entry.items() if name != "file"}


class LessonListView(APIView):
    @extend_schema(
        operation_id="lessons_list",
        summary="List the lessons that are offered",
        tags=_TAGS,
        responses={
            200: OpenApiResponse(
                LessonListDocument,
                examples=[OpenApiExample("lessons", {"lessons": [LISTED_LESSON_EXAMPLE]})],
            ),
            304: NOT_MODIFIED,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        return _respond(
            request,
            "v1-lessons",
            "",
            lambda offered: {"lessons": [*map(_listed, offered.lessons.values())]},
        )


class LessonView(APIView):
    @extend_schema(
        operation_id="lessons_read",
        summary="Describe one lesson",
        tags=_TAGS,
        responses={
            200: OpenApiResponse(
                LessonDocument, examples=[OpenApiExample("lesson", LESSON_EXAMPLE)]
            ),
            304: NOT_MODIFIED,
            404: problem("Unknown lesson", "lesson_not_found", "There is no lesson x."),
        },
    )
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        return _respond(request, "v1-lesson", slug, lambda offered: _lesson(offered, slug))


class CollectionListView(APIView):
    @extend_schema(
        operation_id="collections_list",
        summary="List the collections of lessons",
        tags=_TAGS,
        responses={
            200: OpenApiResponse(
                CollectionListDocument,
                examples=[OpenApiExample("collections", {"collections": [COLLECTION_EXAMPLE]})],
            ),
            304: NOT_MODIFIED,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        return _respond(
            request,
            "v1-collections",
            "",
            lambda offered: {"collections": [*map(_collection, offered.collections.values())]},
        )


class CollectionView(APIView):
    @extend_schema(
        operation_id="collections_read",
        summary="Describe one collection with its lessons",
        tags=_TAGS,
        responses={
            200: OpenApiResponse(
                CollectionDocument,
                examples=[
                    OpenApiExample(
                        "collection", COLLECTION_EXAMPLE | {"lessons": [LISTED_LESSON_EXAMPLE]}
                    )
                ],
            ),
            304: NOT_MODIFIED,
            404: problem("Unknown collection", "collection_not_found", "There is no collection x."),
        },
    )
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        return _respond(
            request,
            "v1-collection",
            slug,
            lambda offered: (
                _collection(offered.collection(slug))
                | {"lessons": [*map(_listed, offered.lessons_of(slug))]}
            ),
        )


class CurriculumView(APIView):
    @extend_schema(
        operation_id="curriculum_read",
        summary="Describe the curriculum in force",
        tags=_TAGS,
        responses={
            200: OpenApiResponse(
                CurriculumDocument, examples=[OpenApiExample("curriculum", CURRICULUM_EXAMPLE)]
            ),
            304: NOT_MODIFIED,
            404: problem(
                "Nothing imported", "curriculum_not_found", "No curriculum has been imported."
            ),
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        return _respond(request, "v1-curriculum", "", lambda offered: offered.required_curriculum())

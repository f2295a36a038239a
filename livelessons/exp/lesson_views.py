"""``/exp``: what the curriculum offers."""

from django.http import HttpRequest, HttpResponse

from lessons.errors import CurriculumNotFound
from lessons.selectors import catalogue
from livelessons.exp.endpoints import answer, exp_endpoint
from livelessons.exp.entities import (
    collection_entity,
    collection_listed,
    curriculum_entity,
    lesson_entity,
    lesson_listed,
)
from syringe_project.json_bodies import json_bytes
from syringe_project.version import VERSION


@exp_endpoint("GET")
def lesson_list(request: HttpRequest) -> HttpResponse:
    offered = catalogue()
    return answer(
        offered.answer(
            "exp-lessons", "", lambda: {"lessons": [*map(lesson_listed, offered.lessons.values())]}
        ),
        cacheable=True,
    )


@exp_endpoint("GET")
def lesson_one(request: HttpRequest, slug: str) -> HttpResponse:
    offered = catalogue()
    return answer(
        offered.answer("exp-lesson", slug, lambda: lesson_entity(offered.lesson(slug))),
        cacheable=True,
    )


@exp_endpoint("GET")
def lesson_prerequisites(request: HttpRequest, slug: str) -> HttpResponse:
    """Answer 200 for an unknown lesson as well: it has none."""
    prerequisites = catalogue().all_prerequisites(slug)
    return answer(json_bytes({"prereqs": prerequisites} if prerequisites else {}), cacheable=True)


@exp_endpoint("GET")
def collection_list(request: HttpRequest) -> HttpResponse:
    offered = catalogue()
    return answer(
        offered.answer(
            "exp-collections",
            "",
            lambda: {"collections": [*map(collection_listed, offered.collections.values())]},
        ),
        cacheable=True,
    )


@exp_endpoint("GET")
def collection_one(request: HttpRequest, slug: str) -> HttpResponse:
    offered = catalogue()
    return answer(
        offered.answer(
            "exp-collection",
            slug,
            lambda: collection_entity(offered.collection(slug), offered.lessons_of(slug)),
        ),
        cacheable=True,
    )


@exp_endpoint("GET")
def curriculum(request: HttpRequest) -> HttpResponse:
    return answer(json_bytes(curriculum_entity(catalogue().required_curriculum())), cacheable=True)


@exp_endpoint("GET")
def antidote_info(request: HttpRequest) -> HttpResponse:
    """Name the versions of the program and of the curriculum; "" where nothing is imported."""
    try:
        curriculum_version = catalogue().required_curriculum()["version"]
    except CurriculumNotFound:
        curriculum_version = ""
    return answer(
        json_bytes(
            {
                "buildSha": f"v{VERSION}",
                "buildVersion": VERSION,
                "curriculumVersion": curriculum_version,
            }
        ),
        cacheable=True,
    )

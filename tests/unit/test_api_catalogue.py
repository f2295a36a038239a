"""The catalogue: no dangling names, flattened prerequisites, answers made once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons.catalogue import Catalogue
from lessons.errors import CollectionNotFound, CurriculumNotFound, LessonNotFound


def lesson(slug, *prerequisites, collection=""):
    return {"slug": slug, "prerequisites": [*prerequisites], "collection": collection}


def catalogue(*lessons, collections=()):
    return Catalogue.of(
        tag="1",
        curriculum=None,
        lessons=lessons,
        collections=[{"slug": slug} for slug in collections],
    )


def test_prerequisites_are_flattened_depth_first_without_the_lesson_itself():
    offered = catalogue(
        lesson("end", "middle", "basics"),
        lesson("middle", "start", "basics"),
        lesson("start"),
        lesson("basics"),
    )

    assert offered.all_prerequisites("end") == ["middle", "start", "basics"]
    assert offered.all_prerequisites("start") == []
    assert offered.all_prerequisites("nobody") == []


def test_a_cycle_ends():
    offered = catalogue(lesson("a", "b"), lesson("b", "c"), lesson("c", "a"))

    assert offered.all_prerequisites("a") == ["b", "c"]


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 12), max_size=5)))
def test_prerequisites_are_offered_and_named_once(graph):
    offered = catalogue(*(lesson(str(n), *map(str, before)) for n, before in graph.items()))

    for slug in offered.lessons:
        before = offered.all_prerequisites(slug)
        assert len(before) == len(set(before))
        assert slug not in before
        assert set(before) <= set(offered.lessons)


def test_what_is_not_offered_is_not_named():
    offered = catalogue(
        lesson("a", "hidden", "b", collection="gone"),
        lesson("b", collection="here"),
        collections=["here"],
    )

    assert offered.lesson("a")["prerequisites"] == ["b"]
    assert offered.lesson("a")["collection"] == ""
    assert [entry["slug"] for entry in offered.lessons_of("here")] == ["b"]


def test_unknown_names_are_refused():
    offered = catalogue()

    with pytest.raises(LessonNotFound):
        offered.lesson("x")
    with pytest.raises(CollectionNotFound):
        offered.collection("x")
    with pytest.raises(CurriculumNotFound):
        offered.required_curriculum()


def test_an_answer_is_made_once_and_never_for_what_does_not_exist():
    offered = catalogue(lesson("a"))
    made = []

    def build():
        made.append(1)
        return offered.lesson("a")

    assert json.loads(offered.answer("kind", "a", build))["slug"] == "a"
    offered.answer("kind", "a", build)
    assert len(made) == 1
    for _ in range(2):
        with pytest.raises(LessonNotFound):
            offered.answer("kind", "x", lambda: offered.lesson("x"))

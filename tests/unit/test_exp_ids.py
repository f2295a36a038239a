"""The ids of /exp: only the secret key makes them."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livelessons.errors import LiveLessonNotFound
from livelessons.exp.ids import exp_id, live_lesson_id_of

LESSON = UUID("0a0b0c0d-0000-4000-8000-00000000000f")


@given(st.uuids())
def test_an_id_is_read_back(live_lesson_id):
    assert live_lesson_id_of(exp_id(live_lesson_id)) == live_lesson_id


@pytest.mark.parametrize("text", ["", "nope", str(LESSON), LESSON.hex, LESSON.hex + "0" * 32])
def test_the_public_id_alone_is_refused(text):
    with pytest.raises(LiveLessonNotFound):
        live_lesson_id_of(text)


@pytest.mark.parametrize("place", range(64))
def test_one_changed_character_is_refused(place):
    text = exp_id(LESSON)
    changed = text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]

    with pytest.raises(LiveLessonNotFound):
        live_lesson_id_of(changed)


def test_there_is_one_spelling():
    text = exp_id(LESSON)

    for other in (
        text.upper(),
        text + " ",
        " " + text,
        "{" + text[1:],
        text[:32] + "-" + text[32:],
    ):
        with pytest.raises(LiveLessonNotFound):
            live_lesson_id_of(other)


@given(st.text(max_size=80))
def test_no_text_is_read_by_chance_or_crashes(text):
    with pytest.raises(LiveLessonNotFound):
        live_lesson_id_of(text)


def test_the_code_of_one_livelesson_opens_no_other():
    one, other = exp_id(LESSON), exp_id(uuid4())

    with pytest.raises(LiveLessonNotFound):
        live_lesson_id_of(one[:32] + other[32:])


def test_another_key_makes_other_ids(settings):
    text = exp_id(LESSON)
    settings.SECRET_KEY = "another key of this installation, long enough"

    assert exp_id(LESSON) != text
    with pytest.raises(LiveLessonNotFound):
        live_lesson_id_of(text)

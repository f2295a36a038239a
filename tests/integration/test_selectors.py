"""The written-out queries read what the models hold, and only for who may read it."""

from datetime import timedelta

import pytest
from django.forms import model_to_dict
from django.utils import timezone

from livelessons.errors import LiveLessonNotFound
from livelessons.models import LiveLesson, LiveLessonLock
from livelessons.selectors import (
    guide_of,
    live_endpoints,
    live_lesson_by_id,
    live_lesson_held,
    live_lesson_running,
    live_lesson_whole,
    live_lessons_by_id,
    live_lessons_held,
    running_action_of,
    wanted_live_lesson,
)
from livelessons.services import touch_if_stale
from livelessons.states import LIVE, Action, Desired, State
from tests.conftest import endpoint_dict

pytestmark = pytest.mark.django_db


@pytest.fixture
def live_lesson(make_lesson, make_live_lesson):
    lesson = make_lesson(stages=2, endpoints=[endpoint_dict("b"), endpoint_dict("a")])
    live_lesson = make_live_lesson(lesson=lesson, state=State.READY, stage=1, desired_stage=1)
    make_live_lesson(lesson=lesson, state=State.READY)
    now = timezone.now()
    LiveLessonLock.objects.create(
        live_lesson=live_lesson,
        action=Action.RESTART,
        holder="test",
        created_at=now,
        expires_at=now + timedelta(minutes=1),
    )
    return live_lesson


def everything(row):
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return values | model_to_dict(row)


def test_the_rows_are_the_same(live_lesson):
    secret = live_lesson.session.secret
    slug = live_lesson.slug
    expected = everything(LiveLesson.objects.get(pk=live_lesson.pk))

    with_guide = [
        live_lesson_by_id(live_lesson.pk),
        live_lesson_held(secret=secret, live_lesson_id=live_lesson.pk),
        live_lessons_by_id([live_lesson.pk])[live_lesson.pk],
    ]
    others = [
        live_lesson_running(secret=secret, slug=slug, stage=1),
        live_lesson_running(secret=secret, slug=slug, stage=None),
        wanted_live_lesson(session=live_lesson.session, slug=slug),
        *live_lessons_held(secret=secret),
    ]

    assert [everything(row) for row in with_guide + others] == [expected] * 7
    assert [running_action_of(row) for row in with_guide + others] == ["restart"] * 7
    assert [guide_of(row) for row in with_guide] == ["# Guide of stage 1"] * 3


def test_endpoints_are_the_same(live_lesson):
    live_lesson.endpoints.filter(name="b").update(
        phase="running", host="127.0.0.1", ports={"22": 4022}, attempt=2, reachable=True
    )
    expected = [model_to_dict(endpoint) for endpoint in live_endpoints(live_lesson)]

    row, endpoints = live_lesson_whole(
        secret=live_lesson.session.secret, live_lesson_id=live_lesson.pk
    )

    assert guide_of(row) == "# Guide of stage 1"
    assert running_action_of(row) == "restart"
    assert [endpoint.name for endpoint in endpoints] == ["b", "a"]
    assert [model_to_dict(endpoint) for endpoint in endpoints] == expected


def test_a_livelesson_without_endpoints(make_lesson, make_live_lesson):
    live_lesson = make_live_lesson(lesson=make_lesson(endpoints=[]))

    _, endpoints = live_lesson_whole(
        secret=live_lesson.session.secret, live_lesson_id=live_lesson.pk
    )

    assert endpoints == []


def test_a_lock_that_ran_out_runs_nothing(live_lesson):
    LiveLessonLock.objects.update(expires_at=timezone.now())

    assert live_lesson_by_id(live_lesson.pk).running_action is None


def test_only_the_holder_reads(live_lesson, make_session):
    other = make_session().secret

    with pytest.raises(LiveLessonNotFound):
        live_lesson_whole(secret=other, live_lesson_id=live_lesson.pk)
    with pytest.raises(LiveLessonNotFound):
        live_lesson_held(secret=other, live_lesson_id=live_lesson.pk)
    assert live_lesson_running(secret=other, slug=live_lesson.slug, stage=None) is None
    with pytest.raises(LiveLessonNotFound):
        live_lesson_by_id(live_lesson.session_id)


@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("desired", Desired.values)
def test_running_is_live_and_wished(make_live_lesson, state, desired):
    live_lesson = make_live_lesson(state=state, desired=desired)
    secret = live_lesson.session.secret

    found = live_lesson_running(secret=secret, slug=live_lesson.slug, stage=0)

    assert (found == live_lesson) is (state in LIVE and desired == Desired.RUNNING)
    assert live_lesson_running(secret=secret, slug=live_lesson.slug, stage=1) is None


def test_use_is_noted_at_most_every_half_minute(make_live_lesson, django_assert_num_queries):
    live_lesson = make_live_lesson()
    with django_assert_num_queries(0):
        touch_if_stale(live_lesson)

    live_lesson.last_active_at = timezone.now() - timedelta(seconds=31)
    live_lesson.save()
    touch_if_stale(live_lesson)

    live_lesson.refresh_from_db()
    assert live_lesson.last_active_at > timezone.now() - timedelta(seconds=5)

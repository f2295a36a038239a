"""Sessions, learners and limits, under requests that come at the same moment."""

from datetime import timedelta

import pytest
from django.db.models import Q
from django.utils import timezone

from livelessons.errors import IdentityTaken, SessionNotFound, TooManyLiveLessons, TooManySessions
from livelessons.models import ExternalIdentity, Learner, LiveLesson, LiveSession
from livelessons.selectors import session_by_secret
from livelessons.services import learner_link, session_create
from scheduler.services import lesson_start
from tests.concurrency import THREADS, at_once


@pytest.mark.django_db
def test_only_the_digest_of_a_secret_is_stored():
    session, secret = session_create(source_address="192.0.2.7")

    assert session_by_secret(secret) == session
    assert not LiveSession.objects.filter(
        Q(secret_sha256__contains=secret) | Q(pk__icontains=secret)
    ).exists()
    with pytest.raises(SessionNotFound):
        session_by_secret(str(session.pk))


@pytest.mark.django_db(transaction=True)
def test_two_identical_starts_at_once_make_one_livelesson(make_lesson, make_session):
    lesson, session = make_lesson(), make_session()

    starts = at_once(lambda _: lesson_start(session=session, slug=lesson.slug))

    assert LiveLesson.objects.count() == 1
    assert sorted(start.created for start in starts) == [False] * (THREADS - 1) + [True]
    assert {start.live_lesson.pk for start in starts} == {LiveLesson.objects.get().pk}


@pytest.mark.django_db(transaction=True)
def test_the_limit_of_livelessons_is_exact(make_lesson, make_session, settings):
    settings.SYRINGE_LIVELESSONS_PER_SESSION = 2
    session = make_session()
    slugs = [make_lesson().slug for _ in range(THREADS)]

    results = at_once(lambda n: lesson_start(session=session, slug=slugs[n]))

    assert LiveLesson.objects.count() == 2
    refused = [result for result in results if isinstance(result, Exception)]
    assert [type(error) for error in refused] == [TooManyLiveLessons] * (THREADS - 2)


@pytest.mark.django_db(transaction=True)
def test_the_limit_of_sessions_is_exact_for_each_address(settings):
    settings.SYRINGE_SESSIONS_PER_ADDRESS = 2

    results = at_once(lambda _: session_create(source_address="192.0.2.9"))
    session_create(source_address="192.0.2.10")

    refused = [result for result in results if isinstance(result, Exception)]
    assert [type(error) for error in refused] == [TooManySessions] * (THREADS - 2)
    assert LiveSession.objects.filter(source_address="192.0.2.9").count() == 2


@pytest.mark.django_db
def test_sessions_long_unused_do_not_count(make_session, settings):
    settings.SYRINGE_SESSIONS_PER_ADDRESS = 1
    long_ago = timezone.now() - timedelta(seconds=settings.SYRINGE_SESSION_TIMEOUT_SECONDS + 1)
    make_session(source_address="192.0.2.9", last_seen_at=long_ago)

    session_create(source_address="192.0.2.9")

    with pytest.raises(TooManySessions):
        session_create(source_address="192.0.2.9")


@pytest.mark.django_db
def test_a_learner_is_known_by_two_providers(make_session):
    first, second = make_session(), make_session()

    learner = learner_link(session=first, provider="github", subject="42", display_name="Ada")
    learner_link(session=first, provider="lti:moodle", subject="u-7")

    assert learner_link(session=second, provider="lti:moodle", subject="u-7") == learner
    assert set(learner.identities.values_list("provider", flat=True)) == {"github", "lti:moodle"}
    assert {session.pk for session in learner.sessions.all()} == {first.pk, second.pk}


@pytest.mark.django_db
def test_an_identity_of_another_learner_is_not_taken_over(make_session):
    first, second = make_session(), make_session()
    learner_link(session=first, provider="github", subject="42")
    learner_link(session=second, provider="lti:moodle", subject="u-7")

    with pytest.raises(IdentityTaken):
        learner_link(session=second, provider="github", subject="42")


@pytest.mark.django_db(transaction=True)
def test_linking_at_once_makes_one_learner(make_session):
    sessions = [make_session() for _ in range(THREADS)]

    learners = at_once(lambda n: learner_link(session=sessions[n], provider="github", subject="42"))

    assert ExternalIdentity.objects.count() == Learner.objects.count() == 1
    assert set(learners) == {Learner.objects.get()}

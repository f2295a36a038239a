"""Sessions and the learners behind them."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from livelessons.errors import IdentityTaken, TooManySessions
from livelessons.models import ExternalIdentity, Learner, LiveSession
from livelessons.session_secrets import new_secret, secret_digest
from syringe_project.locks import AdvisoryLock, advisory_lock

_TOUCH_INTERVAL = timedelta(seconds=30)


@transaction.atomic
def session_create(
    *, source_address: str, learner: Learner | None = None
) -> tuple[LiveSession, str]:
    """Open a session and return it with its secret, which cannot be read again.

    Raises TooManySessions; the count is exact, since requests of one address take turns. Sessions
    unused for longer than their timeout do not count, even while rows of ended livelessons keep
    them.
    """
    limit = settings.SYRINGE_SESSIONS_PER_ADDRESS
    if limit:
        advisory_lock(AdvisoryLock.ADDRESS_QUOTA, source_address)
        used_since = timezone.now() - timedelta(seconds=settings.SYRINGE_SESSION_TIMEOUT_SECONDS)
        sessions = LiveSession.objects.filter(
            source_address=source_address, last_seen_at__gt=used_since
        )
        if sessions.count() >= limit:
            raise TooManySessions(limit=limit)
    secret = new_secret()
    session = LiveSession.objects.create(
        secret_sha256=secret_digest(secret),
        source_address=source_address,
        learner=learner,
        last_seen_at=timezone.now(),
    )
    return session, secret


def session_touch(*, session: LiveSession) -> None:
    """Note that the session was seen; writes at most twice a minute."""
    now = timezone.now()
    if now - session.last_seen_at >= _TOUCH_INTERVAL:
        LiveSession.objects.filter(pk=session.pk).update(last_seen_at=now)


def session_close(*, session: LiveSession) -> None:
    """Say that nobody will use the session again, so that its address may have another.

    Its row goes when those of its livelessons do.
    """
    unused = timedelta(seconds=settings.SYRINGE_SESSION_TIMEOUT_SECONDS)
    LiveSession.objects.filter(pk=session.pk).update(last_seen_at=timezone.now() - unused)


def session_persist(*, session: LiveSession, persistent: bool) -> None:
    """Spare the session and its livelessons from garbage collection, or no longer."""
    LiveSession.objects.filter(pk=session.pk).update(persistent=persistent)


@transaction.atomic
def learner_link(
    *, session: LiveSession, provider: str, subject: str, display_name: str = ""
) -> Learner:
    """Say who the session's learner is on some platform; return the learner.

    A known identity brings its learner along; an unknown one is added to the session's learner,
    or to a new one. Raises IdentityTaken when identity and session belong to two learners.
    """
    session = LiveSession.objects.select_for_update().get(pk=session.pk)
    known = (
        ExternalIdentity.objects.select_related("learner")
        .filter(provider=provider, subject=subject)
        .first()
    )
    if known is not None:
        learner = known.learner
        if session.learner_id is not None and session.learner_id != learner.pk:
            raise IdentityTaken(provider=provider)
    else:
        learner = session.learner or Learner.objects.create(display_name=display_name)
        identity, created = ExternalIdentity.objects.get_or_create(
            provider=provider, subject=subject, defaults={"learner": learner}
        )
        if not created and identity.learner_id != learner.pk:
            # Another request linked the same identity a moment ago: its learner wins.
            if session.learner_id is not None:
                raise IdentityTaken(provider=provider)
            learner.delete()
            learner = identity.learner
    LiveSession.objects.filter(pk=session.pk).update(learner=learner)
    return learner

"""From a livelesson's row to what a backend needs to know."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.utils import timezone

from lessons.bundle_links import bundle_url
from lessons.models import Bundle
from livelessons.models import LiveLesson
from scheduler.backends.base import EnvironmentRef, EnvironmentSpec
from scheduler.specs import lesson_spec


def environment_ref(live_lesson: LiveLesson) -> EnvironmentRef:
    """Return the identity of the livelesson's present environment."""
    return EnvironmentRef(live_lesson.pk, live_lesson.attempt)


def environment_spec(live_lesson: LiveLesson) -> EnvironmentSpec:
    """Return the description of the livelesson's present environment; no query."""
    ref = environment_ref(live_lesson)
    lesson = lesson_spec(live_lesson.spec)
    return EnvironmentSpec(
        ref=ref,
        session_id=live_lesson.session_id,
        lesson=lesson,
        access_password=access_password(ref),
        read_bundle=partial(_read_bundle, lesson.bundle_sha256),
        bundle_url=bundle_url(
            sha256=lesson.bundle_sha256,
            live_lesson_id=ref.live_lesson_id,
            expires_at=_link_end(live_lesson),
        ),
    )


def _link_end(live_lesson: LiveLesson) -> datetime:
    """Return until when pods may fetch the folder: until the lesson can be there no longer.

    Lessons of persistent sessions get older than that; what they start then still gets its folder.
    """
    now = timezone.now()
    if live_lesson.latest_end > now:
        return live_lesson.latest_end
    boot = timedelta(seconds=settings.SYRINGE_BOOT_TIMEOUT_SECONDS)
    return now + boot + timedelta(seconds=settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS)


def access_password(ref: EnvironmentRef) -> str:
    """Return the environment's own password: 160 bits that only the secret key can derive."""
    mac = hmac.new(settings.SECRET_KEY.encode(), b"access:" + ref.name.encode(), hashlib.sha256)
    return base64.b32encode(mac.digest()[:20]).decode().lower()


def _read_bundle(sha256: str) -> bytes:
    return bytes(Bundle.objects.values_list("content", flat=True).get(pk=sha256))

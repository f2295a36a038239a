"""Where browsers find the web pages of lessons: at a host name of their own, or at the gateway.

Which of them is for the backend to say. No query is made here: reading a livelesson is the most
frequent request of all.
"""

from uuid import UUID

from django.conf import settings

from lessons.specs import GUIDE_ENDPOINT, GUIDE_PRESENTATION
from livelessons.models import LiveLesson
from livelessons.presentation_tokens import PREFIX, presentation_token
from scheduler.backends.base import EnvironmentRef
from scheduler.backends.registry import current_backend
from scheduler.environments import environment_ref


def page_address(live_lesson: LiveLesson, endpoint: str, presentation: str) -> str:
    """Return the host and path below which a page is shown, without scheme and final slash."""
    domain = _domain(live_lesson, endpoint, presentation)
    return domain or _public()[2] + _gateway_path(live_lesson, endpoint, presentation)


def page_path(live_lesson: LiveLesson, endpoint: str, presentation: str) -> str:
    """Return the same for our own pages: a path with its final slash, or else a whole address."""
    domain = _domain(live_lesson, endpoint, presentation)
    if domain:
        return f"{_public()[0]}://{domain}/"
    return _gateway_path(live_lesson, endpoint, presentation) + "/"


def notebook_path(live_lesson: LiveLesson) -> str:
    """Return where the notebook is shown that is the guide of the livelesson's stage."""
    server = page_path(live_lesson, GUIDE_ENDPOINT, GUIDE_PRESENTATION)
    return f"{server}notebooks/stage{live_lesson.stage}/guide.ipynb"


def page_hosts() -> str:
    """Return what the pages' own host names are like, as a content security policy writes it.

    Empty where pages have none.
    """
    nobodys = EnvironmentRef(UUID(int=0), 1)
    domain = current_backend().page_domain(nobodys, endpoint="page", presentation="page")
    return f"{_public()[0]}://*.{domain.partition('.')[2]}" if domain else ""


def page_token(live_lesson: LiveLesson, endpoint: str, presentation: str) -> str:
    """Return the token of a web page of the livelesson, good until its greatest age.

    Not until its present end: an extension does not reach the pages that are open.
    """
    return presentation_token(
        live_lesson_id=live_lesson.pk,
        endpoint=endpoint,
        presentation=presentation,
        expires_at=live_lesson.latest_end,
    )


def _domain(live_lesson: LiveLesson, endpoint: str, presentation: str) -> str:
    return current_backend().page_domain(
        environment_ref(live_lesson), endpoint=endpoint, presentation=presentation
    )


def _gateway_path(live_lesson: LiveLesson, endpoint: str, presentation: str) -> str:
    return PREFIX + page_token(live_lesson, endpoint, presentation)


def _public() -> tuple[str, str, str]:
    return settings.SYRINGE_PUBLIC_URL.partition("://")

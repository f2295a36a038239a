"""Backends like the fake, each with one thing more that others have and it has not."""

import hashlib

from scheduler.backends.base import BackendUnavailable, EnvironmentRef, EnvironmentSpec
from scheduler.backends.fake import FakeBackend

PAGES_DOMAIN = "pages.example.org:8443"


class NotebookBackend(FakeBackend):
    """Runs the servers of notebooks."""

    runs_guides = True


class PagesBackend(NotebookBackend):
    """Shows every web page at a host name of its own."""

    def page_domain(self, ref: EnvironmentRef, *, endpoint: str, presentation: str) -> str:
        name = f"{ref.name}/{endpoint}/{presentation}"
        return f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.{PAGES_DOMAIN}"


class AwayBackend(FakeBackend):
    """Cannot be reached for a start, and counts who tried."""

    asked = 0

    def ensure(self, spec: EnvironmentSpec) -> None:
        type(self).asked += 1
        raise BackendUnavailable(reason="away")


NOTEBOOKS = f"{__name__}.{NotebookBackend.__name__}"
PAGES = f"{__name__}.{PagesBackend.__name__}"
AWAY = f"{__name__}.{AwayBackend.__name__}"
"""Their paths for ``SYRINGE_BACKEND``."""

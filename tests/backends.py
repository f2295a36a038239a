"""Backends like the fake, each with one thing more that others have and it has not."""

import hashlib

from scheduler.backends.base import EnvironmentRef
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


NOTEBOOKS = f"{__name__}.{NotebookBackend.__name__}"
PAGES = f"{__name__}.{PagesBackend.__name__}"
"""Their paths for ``SYRINGE_BACKEND``."""

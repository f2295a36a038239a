"""A backend that cannot work on any machine."""

from collections.abc import Sequence

from scheduler.backends.fake import FakeBackend


class NowhereBackend(FakeBackend):
    """Refuses in its preflight."""

    def preflight(self) -> Sequence[str]:
        return ("The moon is in the wrong phase: wait a week.",)

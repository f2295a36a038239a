"""Backends like the fake, each with a fault that a checker meets."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.backends.base import EnvironmentObservation, EnvironmentRef, EnvironmentSpec
from scheduler.backends.fake import FakeBackend
from tests.waiting import FOR_EVER


class HangingBackend(FakeBackend):
    """Starts no check before it is let."""

    let = threading.Event()
    asked = threading.Semaphore(0)

    def run_check(self, spec: EnvironmentSpec, **about: Any) -> None:
        self.asked.release()
        self.let.wait(FOR_EVER)
        super().run_check(spec, **about)


class StumblingBackend(FakeBackend):
    """Breaks when it is first asked what there is."""

    stumbled = False

    def observe(
        self, refs: Sequence[EnvironmentRef]
    ) -> Mapping[EnvironmentRef, EnvironmentObservation]:
        if not type(self).stumbled:
            type(self).stumbled = True
            raise RuntimeError("a bug of the backend's")
        return super().observe(refs)


HANGING = f"{__name__}.{HangingBackend.__name__}"
STUMBLING = f"{__name__}.{StumblingBackend.__name__}"
"""Their paths for ``SYRINGE_BACKEND``."""

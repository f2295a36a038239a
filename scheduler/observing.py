"""Looking at many environments in one call, so that a defect of one stays with it."""

import logging
from collections.abc import Mapping, Sequence

from django.db import DatabaseError

from scheduler.backends.base import (
    BackendRejected,
    BackendUnavailable,
    EnvironmentObservation,
    EnvironmentRef,
    RuntimeBackend,
)

logger = logging.getLogger(__name__)

MAX_DEFECTS = 5
"""Environments of one batch that are searched for; beyond it the fault is hardly theirs."""


def observe_all(
    backend: RuntimeBackend, refs: Sequence[EnvironmentRef]
) -> Mapping[EnvironmentRef, EnvironmentObservation]:
    """Return how the environments stand, by one call where nothing is wrong.

    One over which the backend breaks is found by halving, logged and left out. Raises what the
    backend says about itself, BackendUnavailable and BackendRejected.
    """
    seen: dict[EnvironmentRef, EnvironmentObservation] = {}
    parts, defects = [refs] if refs else [], 0
    while parts:
        part = parts.pop()
        try:
            seen.update(backend.observe(part))
        except (BackendUnavailable, BackendRejected, DatabaseError):
            raise
        except Exception:
            if len(part) > 1:
                half = len(part) // 2
                parts += [part[:half], part[half:]]
                continue
            defects += 1
            if defects > MAX_DEFECTS:
                raise
            logger.exception("not observed", extra={"environment": part[0].name})
    return seen

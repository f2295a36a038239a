"""Waiting for what happens elsewhere: in another process, another thread, the database."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

PATIENCE = 90
"""Seconds that a test waits for what has to come.

Only a test that fails waits this long, so it is what a machine ten times slower than a quiet one
needs.
"""
FOR_EVER = 5 * PATIENCE
"""Seconds that something lasts which a test shows not to be waited for."""


class WaitedInVain(AssertionError):
    """Something did not come within its time; the message names it."""


def wait_until(condition: Callable[[], _T], *, what: str, seconds: float = PATIENCE) -> _T:
    """Return the first true answer of ``condition``; raise WaitedInVain after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise WaitedInVain(f"waited {seconds:g} s in vain for: {what}")
        time.sleep(0.02)
    return answer

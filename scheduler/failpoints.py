"""Named places where a test can kill the process: one between every two writes.

They do nothing unless ``SYRINGE_FAILPOINT`` names one.
"""

import logging
import os
import signal
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)


class Failpoint(StrEnum):
    """Every failpoint of the scheduler; the tests kill a worker at each of them."""

    LEASE_TAKEN = "lease_taken"
    OBSERVED = "observed"
    REACHABILITY_WRITTEN = "reachability_written"
    BEFORE_ENSURE = "before_ensure"
    AFTER_ENSURE = "after_ensure"
    BEFORE_CONFIGURE = "before_configure"
    AFTER_CONFIGURE = "after_configure"
    BEFORE_DESTROY = "before_destroy"
    AFTER_DESTROY = "after_destroy"
    MOVED = "moved"
    RELEASED = "released"
    WISH_COMMITTED = "wish_committed"
    SWEEP_CLAIMED = "sweep_claimed"
    SWEEP_ENQUEUED = "sweep_enqueued"


class CheckFailpoint(StrEnum):
    """Every failpoint of checkers; the tests kill one at each of them."""

    CHECKER_SEEN = "checker_seen"
    CLOCK_FOLLOWED = "clock_followed"
    CLAIMS_KEPT = "claims_kept"
    CHECKS_CLAIMED = "checks_claimed"
    BEFORE_CHECK_JOB = "before_check_job"
    AFTER_CHECK_JOB = "after_check_job"
    CHECK_JUDGED = "check_judged"
    CHECK_WRITTEN = "check_written"
    CHECK_GIVEN_BACK = "check_given_back"


def failpoint(name: Failpoint | CheckFailpoint) -> None:
    """Kill this process with SIGKILL if the setting asks for it here.

    With ``NAME@FILE`` it happens once: whoever creates the file dies.
    """
    logger.debug("%s", name)
    wanted = settings.SYRINGE_FAILPOINT
    if not wanted:
        return
    target, _, marker = wanted.partition("@")
    if target != name:
        return
    if marker:
        with suppress(FileExistsError):
            Path(marker).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        return
    os.kill(os.getpid(), signal.SIGKILL)

"""One check, of whatever kind."""

import logging

from livelessons.services.objectives import Claimed
from scheduler.checks.connections import Connections
from scheduler.checks.jobs import Jobs
from scheduler.checks.places import PlaceUnknown
from scheduler.checks.ports import http_check, tcp_check
from scheduler.checks.shell import output_check, run_check
from scheduler.checks.verdicts import Verdict, broken, unreachable

logger = logging.getLogger(__name__)


async def verdict_of(claimed: Claimed, *, connections: Connections, jobs: Jobs) -> Verdict:
    """Check once and return what came of it; writes nothing, raises nothing."""
    check = claimed.check
    try:
        match check["kind"]:
            case "run":
                return await run_check(claimed, check, connections)
            case "output":
                return await output_check(claimed, check, connections)
            case "http":
                return await http_check(claimed, check)
            case "tcp":
                return await tcp_check(claimed, check)
            case "file":
                return await jobs.check(claimed, check)
    except PlaceUnknown as exc:
        return unreachable(str(exc))
    except Exception as exc:
        logger.exception("a check of kind %s broke", check["kind"])
        return broken(f"The checker broke: {type(exc).__name__}.")

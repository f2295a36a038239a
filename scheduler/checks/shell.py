"""Checks of kind ``run`` and ``output``: a script on the endpoint, by SSH."""

from uuid import uuid4

from lessons.specs import OutputCheckDict, RunCheckDict
from livelessons.services.objectives import Claimed
from scheduler.backends.registry import current_backend
from scheduler.checks.commands import (
    CommandLost,
    Finished,
    PrintedTooMuch,
    TookTooLong,
    run_command,
)
from scheduler.checks.connections import ConnectionRefused, Connections, Endpoint
from scheduler.checks.patterns import PatternError, found
from scheduler.checks.places import ssh_address_of
from scheduler.checks.scripts import check_script
from scheduler.checks.verdicts import Verdict, broken, failed, last_line, passed, unreachable
from scheduler.environments import environment_spec

_NOT_RUN = frozenset({126, 127})
"""What shells exit with when there is no such program, or it is none."""


async def run_check(claimed: Claimed, check: RunCheckDict, connections: Connections) -> Verdict:
    """Pass when the script exits with 0; its last line is the message."""
    finished = await _finish(claimed, check["script"], connections)
    if isinstance(finished, Verdict):
        return finished
    message = last_line(finished.output)
    if finished.status == 0:
        return passed(message, finished.output)
    if finished.status in _NOT_RUN:
        return _did_not_run(finished)
    return failed(message, finished.output)


async def output_check(
    claimed: Claimed, check: OutputCheckDict, connections: Connections
) -> Verdict:
    """Pass when what the command prints has the pattern in it, however it exits."""
    finished = await _finish(claimed, check["command"], connections)
    if isinstance(finished, Verdict):
        return finished
    message = last_line(finished.output)
    try:
        if await found(check["matches"], finished.output):
            return passed(message, finished.output)
    except PatternError as exc:
        return broken(f"{exc}\n{finished.output}")
    if finished.status in _NOT_RUN:
        return _did_not_run(finished)
    return failed(message, finished.output)


async def _finish(claimed: Claimed, script: str, connections: Connections) -> Finished | Verdict:
    """Run the script to its end, or return what came of it instead."""
    live_lesson, seconds = claimed.live_lesson, claimed.check["timeout_seconds"]
    endpoint = Endpoint(live_lesson.pk, live_lesson.attempt, ssh_address_of(claimed))
    login = current_backend().login(environment_spec(live_lesson), endpoint.address.name)
    mark = uuid4().hex
    text = check_script(
        script,
        variables=claimed.variables,
        timeout_seconds=seconds,
        token=str(claimed.objective.claim),
        mark=mark,
    )
    try:
        async with connections.connection(endpoint, login) as connection:
            return await run_command(connection, text, mark=mark, timeout_seconds=seconds)
    except (ConnectionRefused, CommandLost) as exc:
        return unreachable(str(exc))
    except TookTooLong as exc:
        return broken(f"The check did not end within {seconds} seconds.\n{exc.output}")
    except PrintedTooMuch:
        return broken("The check prints too much: a megabyte, and then it was stopped.")


def _did_not_run(finished: Finished) -> Verdict:
    return broken(f"{finished.output.rstrip()}\nThe check exited with {finished.status}.")

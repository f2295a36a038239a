"""A stage of a livelesson: checked as the checker does it, solved as a learner might."""

import asyncio
import itertools
import time
from collections.abc import Mapping
from uuid import UUID, uuid4

import asyncssh

from curriculum.rehearsals import Answer, Outcome
from lessons.specs import CheckDict, ObjectiveDict, RunCheckDict
from livelessons.models import LiveObjective
from livelessons.selectors import live_endpoints, live_lesson_by_id
from livelessons.services.objectives import Claimed
from scheduler.backends.registry import current_backend
from scheduler.checks.connections import ConnectionRefused, Connections, Endpoint
from scheduler.checks.jobs import Jobs
from scheduler.checks.kinds import verdict_of
from scheduler.checks.places import ssh_address_of
from scheduler.checks.verdicts import Outcome as CheckOutcome
from scheduler.checks.verdicts import last_line
from scheduler.environments import environment_spec

SOLUTION_SECONDS = 120

_TRIES, _PAUSE_SECONDS = 5, 1.0


class LiveStage:
    """Belongs to one loop; ``close`` ends its connections."""

    def __init__(self, live_lesson_id: UUID, stage: int) -> None:
        self._live_lesson = live_lesson_by_id(live_lesson_id)
        self._live_lesson.known_endpoints = live_endpoints(self._live_lesson)
        self._stage = stage
        self._connections = Connections()
        self._jobs = Jobs()
        # Claims of the same check by a checker that runs beside us have smaller numbers.
        self._runs = itertools.count(int(time.time()))

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    async def ask(self, objective: ObjectiveDict, variables: Mapping[str, str]) -> Answer:
        """Check once; an endpoint that cannot be reached is tried a few times."""
        for last in (*[False] * (_TRIES - 1), True):
            verdict = await verdict_of(
                self._claimed(objective, variables),
                connections=self._connections,
                jobs=self._jobs,
            )
            if verdict.outcome != CheckOutcome.UNREACHABLE or last:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        match verdict.outcome:
            case CheckOutcome.PASSED:
                outcome = Outcome.PASSED
            case CheckOutcome.FAILED:
                outcome = Outcome.FAILED
            case _:
                outcome = Outcome.BROKEN
        return Answer(outcome, verdict.message, verdict.detail)

    async def solve(self, endpoint: str, script: str) -> str:
        """Run the script in the learner's shell, fed as input so that it finds only itself."""
        check = RunCheckDict(
            kind="run",
            script=script,
            endpoint=endpoint,
            timeout_seconds=SOLUTION_SECONDS,
            interval_seconds=1,
        )
        address = ssh_address_of(self._claimed(_objective(check), {}))
        place = Endpoint(self._live_lesson.pk, self._live_lesson.attempt, address)
        login = current_backend().login(environment_spec(self._live_lesson), endpoint)
        try:
            async with self._connections.connection(place, login) as connection:
                done = await connection.run(
                    "sh -s", input=script, stderr=asyncssh.STDOUT, timeout=SOLUTION_SECONDS
                )
        except ConnectionRefused as exc:
            return str(exc)
        except asyncssh.TimeoutError:
            return f"it took longer than {SOLUTION_SECONDS} s"
        if done.exit_status == 0:
            return ""
        said = last_line(str(done.stdout or ""))
        return f"it exited with {done.exit_status}" + (f": {said}" if said else "")

    def _claimed(self, objective: ObjectiveDict, variables: Mapping[str, str]) -> Claimed:
        row = LiveObjective(
            live_lesson=self._live_lesson,
            stage=self._stage,
            slug=objective["slug"],
            claims=next(self._runs),
            claim=uuid4(),
        )
        return Claimed(row, self._live_lesson, objective, variables)


def _objective(check: CheckDict) -> ObjectiveDict:
    return ObjectiveDict(
        slug="solution",
        description="",
        optional=False,
        mode="edge",
        needs=[],
        hints=[],
        check=check,
    )

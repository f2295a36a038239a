"""Checks of kind ``file``: jobs of the backend, all of them followed by one observation."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from lessons.specs import FileCheckDict
from livelessons.services.objectives import Claimed
from scheduler.backends.base import (
    BackendRejected,
    BackendUnavailable,
    EnvironmentRef,
    JobObservation,
    Phase,
    ReasonCode,
    check_name,
)
from scheduler.backends.registry import current_backend
from scheduler.checks.threads import in_backend_thread
from scheduler.checks.verdicts import Verdict, broken, failed, last_line, passed, unreachable
from scheduler.environments import environment_ref, environment_spec
from scheduler.failpoints import CheckFailpoint, failpoint
from scheduler.messages import CHUNK

logger = logging.getLogger(__name__)

START_SECONDS = 120
"""How long a job may take to begin, which is nobody's fault, beside the check's own time."""

_FIRST_LOOK_SECONDS, _PAUSE_SECONDS = 0.2, 0.5


@dataclass(frozen=True, slots=True)
class _Job:
    ref: EnvironmentRef
    name: str
    run: int


class Jobs:
    """The checks of this process that are jobs; belongs to one loop."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[JobObservation], _Job] = {}
        self._looking: asyncio.Task[None] | None = None

    async def check(self, claimed: Claimed, check: FileCheckDict) -> Verdict:
        """Pass when the job says so."""
        objective, seconds = claimed.objective, check["timeout_seconds"]
        job = _Job(
            environment_ref(claimed.live_lesson),
            check_name(objective.stage, objective.slug),
            # Never that of a job whose result nobody waited for: things were different then.
            objective.claims,
        )
        start = partial(
            current_backend().run_check,
            environment_spec(claimed.live_lesson),
            stage=objective.stage,
            slug=objective.slug,
            endpoint=check["endpoint"],
            path=check["path"],
            language=check["language"],
            environment=claimed.variables,
            timeout_seconds=seconds,
            run=job.run,
        )
        try:
            async with asyncio.timeout(START_SECONDS + seconds):
                failpoint(CheckFailpoint.BEFORE_CHECK_JOB)
                await in_backend_thread(start)
                failpoint(CheckFailpoint.AFTER_CHECK_JOB)
                return _verdict(await self._end_of(job))
        except BackendUnavailable as exc:
            return unreachable(str(exc))
        except BackendRejected as exc:
            gone = exc.reason_code == ReasonCode.VANISHED
            return unreachable(str(exc)) if gone else broken(str(exc))
        except TimeoutError:
            return unreachable("The job neither began nor ended in time.")

    async def _end_of(self, job: _Job) -> JobObservation:
        future: asyncio.Future[JobObservation] = asyncio.get_running_loop().create_future()
        self._waiting[future] = job
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            return await future
        finally:
            del self._waiting[future]

    async def _look(self) -> None:
        """Observe until nobody waits for a job any more."""
        pause = _FIRST_LOOK_SECONDS
        try:
            while self._waiting:
                await asyncio.sleep(pause)
                pause = _PAUSE_SECONDS
                refs = sorted({job.ref for job in self._waiting.values()})
                for place in range(0, len(refs), CHUNK):
                    await self._observe(refs[place : place + CHUNK])
        finally:
            self._looking = None

    async def _observe(self, refs: Sequence[EnvironmentRef]) -> None:
        try:
            observed = await in_backend_thread(partial(current_backend().observe, refs))
        except BackendUnavailable as exc:
            logger.warning("checks not observed, they are looked at again: %s", exc)
            return
        except Exception:
            # Those who wait would wait in vain if nobody looked any more.
            logger.exception("checks not observed, they are looked at again")
            return
        for future, job in self._waiting.items():
            environment = observed.get(job.ref)
            if environment is None or future.done():
                continue
            seen = environment.jobs.get((job.name, job.run))
            if seen is not None and seen.phase in {Phase.SUCCEEDED, Phase.FAILED}:
                future.set_result(seen)
            elif environment.phase in {Phase.ABSENT, Phase.DELETING}:
                future.set_exception(BackendUnavailable(reason="the environment is gone"))


def _verdict(job: JobObservation) -> Verdict:
    if job.phase == Phase.SUCCEEDED:
        return passed(last_line(job.message), job.log_tail)
    if job.broken:
        return broken(f"{job.message}\n{job.log_tail}")
    return failed(last_line(job.message), job.log_tail)

"""A backend without machines: its environments are rows, their progress is arithmetic on time.

It shares its state through the database, so several workers and tests see one world, and it can
be slow or faulty by script: ``SYRINGE_FAKE_SCRIPT`` holds a JSON object of ``Script``'s fields,
and under ``lessons`` objects of the same fields for single lessons, by slug.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from scheduler.backends.base import (
    ABSENT,
    BackendRejected,
    BackendUnavailable,
    EndpointObservation,
    EnvironmentObservation,
    EnvironmentRef,
    EnvironmentSpec,
    JobObservation,
    Login,
    Phase,
    ReasonCode,
    RuntimeBackend,
    check_name,
    is_check,
)
from scheduler.backends.file_checks import KEPT_CHECKS
from scheduler.models import FakeEnvironment

# A job that is there already wins over one of the same name.
_ADD_JOB = """
    UPDATE scheduler_fakeenvironment SET jobs = %s::jsonb || (
        jobs - ARRAY(
            SELECT key FROM jsonb_object_keys(jobs) AS key WHERE key LIKE %s
            ORDER BY split_part(key, '/', 2)::int DESC OFFSET %s
        )
    )
    WHERE name = %s AND deleting_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Script:
    """What the fake does with a lesson; times in seconds.

    ``unavailable_rate`` is the share of calls that raise BackendUnavailable. ``fail_attempts``
    and ``fail_configuration_attempts`` list the attempts whose endpoints or jobs fail;
    ``hang_attempts`` those that stay STARTING for ever. ``fail_checks`` and ``break_checks`` list
    the slugs of objectives whose checks do not pass. ``rejected`` refuses every start.
    ``answering`` false leaves endpoints unreachable for ever. ``address``, as ``host:port``, is
    where every port of every endpoint pretends to be; the scheduler then tests it itself.
    """

    boot_seconds: float = 0.0
    configure_seconds: float = 0.0
    delete_seconds: float = 0.0
    unavailable_rate: float = 0.0
    fail_attempts: tuple[int, ...] = ()
    hang_attempts: tuple[int, ...] = ()
    fail_configuration_attempts: tuple[int, ...] = ()
    check_seconds: float = 0.0
    fail_checks: tuple[str, ...] = ()
    break_checks: tuple[str, ...] = ()
    rejected: bool = False
    answering: bool = True
    address: str = ""


@cache
def _scripts(text: str) -> tuple[Script, dict[str, Script]]:
    known = {field.name for field in fields(Script)}
    data: dict[str, Any] = json.loads(text)
    lessons: dict[str, dict[str, Any]] = data.pop("lessons", {})
    for values in (data, *lessons.values()):
        if unknown := values.keys() - known:
            raise ValueError(
                f"SYRINGE_FAKE_SCRIPT has no {sorted(unknown)}; it has {sorted(known)}"
            )
    return Script(**data), {slug: Script(**{**data, **own}) for slug, own in lessons.items()}


def script_for(slug: str) -> Script:
    """Return the script of a lesson, from the setting as it is now."""
    default, lessons = _scripts(settings.SYRINGE_FAKE_SCRIPT)
    return lessons.get(slug, default)


def _elapsed(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()


class FakeBackend(RuntimeBackend):
    """Environments as rows of ``FakeEnvironment``; see the module's docstring."""

    label = "fake"

    def ensure(self, spec: EnvironmentSpec) -> None:
        slug = spec.lesson.slug
        script = script_for(slug)
        self._perhaps_unavailable(script)
        if script.rejected:
            raise BackendRejected(reason=f"the fake backend rejects {slug}")
        FakeEnvironment.objects.bulk_create(
            [
                FakeEnvironment(
                    name=spec.ref.name,
                    instance=settings.SYRINGE_INSTANCE,
                    slug=slug,
                    endpoints={e.name: list(e.ports) for e in spec.lesson.endpoints},
                    created_at=timezone.now(),
                )
            ],
            ignore_conflicts=True,
        )

    def observe(
        self, refs: Sequence[EnvironmentRef]
    ) -> Mapping[EnvironmentRef, EnvironmentObservation]:
        by_name = {ref.name: ref for ref in refs}
        now = timezone.now()
        seen = dict.fromkeys(refs, ABSENT)
        vanished = []
        for row in FakeEnvironment.objects.filter(
            name__in=list(by_name), instance=settings.SYRINGE_INSTANCE
        ):
            script = script_for(row.slug)
            self._perhaps_unavailable(script)
            if row.deleting_at and _elapsed(row.deleting_at, now) >= script.delete_seconds:
                vanished.append(row.name)
                continue
            seen[by_name[row.name]] = _observation(row, by_name[row.name], script, now)
        if vanished:
            FakeEnvironment.objects.filter(name__in=vanished).delete()
        return seen

    def configure(self, spec: EnvironmentSpec, *, stage: int, endpoint: str, run: int) -> None:
        self._add_job(spec, endpoint, run)

    def run_check(
        self,
        spec: EnvironmentSpec,
        *,
        stage: int,
        slug: str,
        endpoint: str,
        path: str,
        language: str,
        environment: Mapping[str, str],
        timeout_seconds: float,
        run: int,
    ) -> None:
        self._add_job(spec, check_name(stage, slug), run)

    def _add_job(self, spec: EnvironmentSpec, name: str, run: int) -> None:
        self._perhaps_unavailable(script_for(spec.lesson.slug))
        job = {f"{name}/{run}": timezone.now().isoformat()}
        # Of a check, the older runs make room.
        older = f"{name}/%" if is_check(name) else ""
        values: list[str | int] = [json.dumps(job), older, KEPT_CHECKS - 1, spec.ref.name]
        with connection.cursor() as cursor:
            cursor.execute(_ADD_JOB, values)
            if not cursor.rowcount:
                raise BackendRejected(reason="the environment is gone", reason_code="vanished")

    def destroy(self, ref: EnvironmentRef) -> None:
        rows = FakeEnvironment.objects.filter(name=ref.name, instance=settings.SYRINGE_INSTANCE)
        row = rows.first()
        if row is not None:
            self._perhaps_unavailable(script_for(row.slug))
            rows.filter(deleting_at=None).update(deleting_at=timezone.now())

    def owned(self) -> Iterable[EnvironmentRef]:
        now = timezone.now()
        rows = FakeEnvironment.objects.filter(
            Q(deleting_at=None) | Q(deleting_at__lte=now), instance=settings.SYRINGE_INSTANCE
        )
        for row in rows:
            delete_seconds = script_for(row.slug).delete_seconds
            if row.deleting_at and now - row.deleting_at >= timedelta(seconds=delete_seconds):
                continue
            yield EnvironmentRef.parse(row.name)

    def login(self, spec: EnvironmentSpec, endpoint: str) -> Login:
        return Login(username="fake", password=spec.access_password)

    def _perhaps_unavailable(self, script: Script) -> None:
        if script.unavailable_rate and random.random() < script.unavailable_rate:  # noqa: S311 (faults, not secrets)
            raise BackendUnavailable(reason="the fake backend is scripted to fail now and then")


def _observation(
    row: FakeEnvironment, ref: EnvironmentRef, script: Script, now: datetime
) -> EnvironmentObservation:
    if row.deleting_at:
        return EnvironmentObservation(phase=Phase.DELETING)
    phase, reason, message = Phase.RUNNING, ReasonCode.NONE, ""
    if _elapsed(row.created_at, now) < script.boot_seconds or ref.attempt in script.hang_attempts:
        phase, reason = Phase.STARTING, ReasonCode.PENDING
    elif ref.attempt in script.fail_attempts:
        phase, reason, message = Phase.FAILED, ReasonCode.CRASHED, "the endpoint crashed"
    host, _, outside = script.address.rpartition(":")
    endpoints = {
        name: EndpointObservation(
            phase=phase,
            reason=reason,
            message=message,
            host=host or "fake.invalid",
            ports={port: int(outside or port) for port in ports},
            answering=None if host else phase == Phase.RUNNING and script.answering,
        )
        for name, ports in row.endpoints.items()
    }
    return EnvironmentObservation(
        phase=phase,
        reason=reason,
        message=message,
        endpoints=endpoints,
        jobs={
            (name, run): _job(ref, script, name, since, now)
            for key, since in row.jobs.items()
            for name, run in [_job_key(key)]
        },
    )


def _job_key(key: str) -> tuple[str, int]:
    endpoint, _, run = key.rpartition("/")
    return endpoint, int(run)


def _job(
    ref: EnvironmentRef, script: Script, name: str, since: str, now: datetime
) -> JobObservation:
    if is_check(name):
        return _check(script, name.rpartition(":")[2], since, now)
    if _elapsed(datetime.fromisoformat(since), now) < script.configure_seconds:
        return JobObservation(phase=Phase.RUNNING)
    if ref.attempt in script.fail_configuration_attempts:
        return JobObservation(phase=Phase.FAILED, message="the script failed", log_tail="exit 1")
    return JobObservation(phase=Phase.SUCCEEDED)


def _check(script: Script, slug: str, since: str, now: datetime) -> JobObservation:
    if _elapsed(datetime.fromisoformat(since), now) < script.check_seconds:
        return JobObservation(phase=Phase.RUNNING)
    if slug in script.break_checks:
        return JobObservation(Phase.FAILED, "it broke", "Traceback", broken=True)
    if slug in script.fail_checks:
        return JobObservation(Phase.FAILED, "not yet", "not yet")
    return JobObservation(Phase.SUCCEEDED, "passed", "passed")

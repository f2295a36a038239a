"""Make an installation ready to serve: a program that ``make up`` runs before the processes.

It prints one JSON object a line: ``step`` with ``seconds``, ``progress``, ``notice``,
``refusal``, ``report``. The operator's password arrives on standard input.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
import pydantic
import redis


class Refused(Exception):
    """The installation cannot be made ready; the message is for the operator."""


def _print(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _name_problems(error: pydantic.ValidationError) -> str:
    """Say which settings are wrong, without their values: some are secret."""
    problems = [
        f"SYRINGE_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    ]
    return f"Settings that cannot be: {'; '.join(problems)}."


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syringe_project.settings")
try:
    django.setup()
except pydantic.ValidationError as invalid:
    _print(refusal=_name_problems(invalid))
    sys.exit(1)

from django.conf import settings  # noqa: E402  (all of these need the set-up above)
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import OperationalError, connection  # noqa: E402

from curriculum.errors import CurriculumChanged, CurriculumInvalid  # noqa: E402
from curriculum.importer import curriculum_import  # noqa: E402
from curriculum.loader import Progress  # noqa: E402
from curriculum.management.console import (  # noqa: E402
    left_out_lines,
    problem_lines,
    revision_sentence,
)
from garbage_collector.orphans import environments_compare  # noqa: E402
from scheduler.backends.registry import current_backend  # noqa: E402

_REDIS_SECONDS = 5
_NOTICES_SHOWN = 20
_PROGRESS_SECONDS = 0.2
_WITHOUT_LESSONS = (
    "to look around without starting real lessons, run "
    "`SYRINGE_BACKEND=scheduler.backends.fake.FakeBackend make up`"
)


@contextmanager
def _step(text: str) -> Iterator[list[str]]:
    """Report a step when its block has ended; the block may replace the text."""
    started = time.monotonic()
    texts = [text]
    yield texts
    _print(step=texts[-1], seconds=time.monotonic() - started)


def check_settings() -> None:
    """Run the system checks, which say what types cannot."""
    try:
        call_command("check")
    except CommandError as error:
        raise Refused(str(error)) from error


def migrate() -> None:
    """Bring the database's tables up to date."""
    with _step("Migrated the database"):
        try:
            connection.ensure_connection()
        except OperationalError as error:
            raise Refused(f"PostgreSQL refuses the connection: {error}".strip()) from error
        call_command("migrate", interactive=False, verbosity=0)


def require_redis() -> None:
    """Ask Redis for an answer."""
    client = redis.Redis.from_url(
        settings.SYRINGE_REDIS_URL,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
    )
    try:
        client.ping()
    except redis.RedisError as error:
        raise Refused(f"Redis refuses the connection: {error}") from error
    finally:
        client.close()


def import_curriculum(folder: Path) -> None:
    """Import what is valid, offer nothing else any more, and name what is not valid or not there.

    What a refused lesson needs stays as it is in the database.
    """
    with _step("Imported the curriculum") as texts:
        try:
            report = curriculum_import(
                path=folder, skip_invalid=True, prune=True, progress=_seldom_told()
            )
        except CurriculumInvalid as error:
            lines = problem_lines(error.problems, str(folder))
            raise Refused("\n".join([*lines, f"{folder} cannot be imported."])) from error
        except CurriculumChanged as error:
            raise Refused(str(error)) from error
        texts.append(f"Imported the curriculum: {revision_sentence(report)}")
    problems = problem_lines(report.problems, str(folder))
    for line in problems[:_NOTICES_SHOWN]:
        _print(notice=f"          {line}")
    if len(problems) > _NOTICES_SHOWN:
        _print(notice=f"          ... and {len(problems) - _NOTICES_SHOWN} more")
    for line in left_out_lines(report):
        _print(notice=f"          {line}")


def _seldom_told() -> Progress:
    """Return what reports progress as often as somebody can read it."""
    told_at = time.monotonic()

    def tell(step: str, done: int, total: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _PROGRESS_SECONDS:
            told_at = time.monotonic()
            _print(progress=f"{step}: {done} of {total}")

    return tell


def ensure_operator(username: str, password: str) -> bool:
    """Make the operator at the first start; say whether the password has been changed since."""
    users = get_user_model().objects
    operator = users.filter(username=username).first()
    if operator is not None:
        return not operator.check_password(password)
    with _step(f"Made the operator {username!r}"):
        users.create_superuser(username=username, email="", password=password)
    return False


def require_backend() -> None:
    """Refuse when lessons could not run on this machine; nothing weaker is used instead."""
    with _step("The backend can run lessons on this machine"):
        problems = current_backend().preflight()
        if problems:
            reasons = " ".join(problems)
            raise Refused(f"Lessons cannot run on this machine: {reasons} Or, {_WITHOUT_LESSONS}.")


def main() -> int:
    """Do it all, or print why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curriculum", type=Path)
    parser.add_argument("operator")
    arguments = parser.parse_args()
    password = sys.stdin.read()
    try:
        check_settings()
        require_backend()
        require_redis()
        migrate()
        import_curriculum(arguments.curriculum)
        changed = ensure_operator(arguments.operator, password)
        # The last stop ended the lessons' environments; beat would find that out in a minute.
        environments_compare()
    except Refused as error:
        _print(refusal=str(error))
        return 1
    _print(report=True, operator_password_changed=changed)
    return 0


if __name__ == "__main__":
    sys.exit(main())

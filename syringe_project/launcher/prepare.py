"""Make an installation ready to serve: a program that ``make up`` runs before the processes.

It prints one JSON object a line: ``step`` with ``seconds``, ``notice``, ``refusal``, ``report``.
The operator's password arrives on standard input.
"""

import argparse
import io
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


class _Refused(Exception):
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

from garbage_collector.orphans import environments_compare  # noqa: E402
from scheduler.backends.registry import current_backend  # noqa: E402

_REDIS_SECONDS = 5
_NOTICES_SHOWN = 20
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
        raise _Refused(str(error)) from error


def migrate() -> None:
    """Bring the database's tables up to date."""
    with _step("Migrated the database"):
        try:
            connection.ensure_connection()
        except OperationalError as error:
            raise _Refused(f"PostgreSQL refuses the connection: {error}".strip()) from error
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
        raise _Refused(f"Redis refuses the connection: {error}") from error
    finally:
        client.close()


def import_curriculum(folder: Path) -> None:
    """Import what is valid, and name what is not."""
    said, complaints = io.StringIO(), io.StringIO()
    with _step("Imported the curriculum") as texts:
        try:
            call_command(
                "import_curriculum",
                str(folder),
                skip_invalid=True,
                stdout=said,
                stderr=complaints,
                no_color=True,
            )
        except CommandError as error:
            details = complaints.getvalue().strip()
            raise _Refused("\n".join(filter(None, [details, str(error)]))) from error
        summary = [line for line in said.getvalue().splitlines() if line.strip()]
        if summary:
            texts.append(f"Imported the curriculum: {summary[-1].strip()}")
    notices = [line for line in complaints.getvalue().splitlines() if line.strip()]
    for line in notices[:_NOTICES_SHOWN]:
        _print(notice=f"          {line.strip()}")
    if len(notices) > _NOTICES_SHOWN:
        _print(notice=f"          ... and {len(notices) - _NOTICES_SHOWN} more")


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
            raise _Refused(f"Lessons cannot run on this machine: {reasons} Or, {_WITHOUT_LESSONS}.")


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
    except _Refused as error:
        _print(refusal=str(error))
        return 1
    _print(report=True, operator_password_changed=changed)
    return 0


if __name__ == "__main__":
    sys.exit(main())

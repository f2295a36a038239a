"""A checker in this process, and livelessons whose endpoints are servers of the test."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from livelessons.models import LiveEndpoint, LiveLesson
from livelessons.states import State
from scheduler.checks.checker import Checker
from scheduler.checks.service import start_checker, stop_checker
from tests.conftest import objective_dict, stage_dict
from tests.objectives import open_all
from tests.ssh_endpoint import SshEndpoint
from tests.stack import ROOT

_names = (f"checker {number}" for number in itertools.count(1))


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshEndpoint]:
    """Return an endpoint's SSH server, with an empty home."""
    with SshEndpoint(tmp_path) as endpoint:
        yield endpoint


@pytest.fixture
def checker(transactional_db: None) -> Iterator[Checker]:
    """Return a checker that looks when it is woken."""
    checker = start_checker(next(_names))
    yield checker
    stop_checker(checker)


@pytest.fixture
def checked_lesson(
    make_lesson: Callable[..., Any], make_live_lesson: Callable[..., LiveLesson]
) -> Callable[..., LiveLesson]:
    """Return a factory of READY livelessons whose objectives are open.

    Each keyword is an objective: its check without what all checks have, or a whole dict with
    ``check``. ``ports`` are those of the endpoint linux1 here.
    """

    def make(ports: dict[int, int], **objectives: dict[str, Any]) -> LiveLesson:
        usual = {"endpoint": "linux1", "timeout_seconds": 60, "interval_seconds": 2}
        dicts = []
        for name, given in objectives.items():
            fields = dict(given) if "check" in given else {"check": given}
            fields["check"] = {**usual, **fields["check"]}
            dicts.append(objective_dict(name.replace("_", "-"), **fields))
        live_lesson = make_live_lesson(
            lesson=make_lesson(stages=[stage_dict(*dicts), stage_dict()]),
            state=State.READY,
            backend="fake",
        )
        LiveEndpoint.objects.filter(live_lesson=live_lesson).update(
            host="127.0.0.1",
            ports={str(inside): outside for inside, outside in ports.items()},
            attempt=live_lesson.attempt,
        )
        open_all(live_lesson)
        return live_lesson

    return make


def run(script: str, **fields: Any) -> dict[str, Any]:
    """Return a check of kind ``run``."""
    return {"kind": "run", "script": script, **fields}


@contextlib.contextmanager
def checker_process(**variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that checks, on the database and with the fake backend of the test."""
    url = urlsplit(os.environ["SYRINGE_DATABASE_URL"])
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "syringe_project.settings",
        "SYRINGE_DATABASE_URL": url._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
        "SYRINGE_FAKE_SCRIPT": settings.SYRINGE_FAKE_SCRIPT,
        **variables,
    }
    command = [sys.executable, "-m", "tests.checker_process"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()

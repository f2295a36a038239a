"""``make test`` and its kin: a command beside servers that live as long as it does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from syringe_project.launcher.ports import is_free
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[3]
REPORT = """
import json, os, psycopg2, redis, sys
psycopg2.connect(os.environ["SYRINGE_DATABASE_URL"]).close()
redis.Redis.from_url(os.environ["SYRINGE_REDIS_URL"]).ping()
print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(("SYRINGE_", "DJANGO_"))}))
"""


def start(code, **variables):
    ours = ("SYRINGE_", "DJANGO_", "PYTEST_")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.Popen(
        [sys.executable, "syringe_project/launcher", "beside-servers", "--", "-c", code],
        cwd=ROOT,
        env={**others, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ports_of(settings):
    return [urlsplit(settings[f"SYRINGE_{name}_URL"]).port for name in ("DATABASE", "REDIS")]


def test_a_command_gets_servers_of_its_own_twice_in_a_row_and_nothing_stays():
    for _ in range(2):
        launcher = start(
            f"{REPORT}\nsys.exit(7)", SYRINGE_TIER="imaginary", DJANGO_SETTINGS_MODULE="x"
        )
        output, _ = launcher.communicate(timeout=PATIENCE)
        settings = json.loads(output.splitlines()[-1])

        assert launcher.returncode == 7
        # What somebody has set for their installation must not change the outcome of tests.
        assert "SYRINGE_TIER" not in settings
        assert "DJANGO_SETTINGS_MODULE" not in settings
        assert all(is_free(port) for port in ports_of(settings))
        assert not Path(settings["SYRINGE_RUN_FOLDER"]).parent.exists()


def test_servers_that_are_named_are_used():
    named = {name: os.environ[name] for name in ("SYRINGE_DATABASE_URL", "SYRINGE_REDIS_URL")}
    launcher = start(REPORT, **named)
    output, _ = launcher.communicate(timeout=PATIENCE)

    settings = json.loads(output.splitlines()[-1])
    assert {name: settings[name] for name in named} == named


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_stopped_stops_the_command_and_the_servers(number, tmp_path):
    mark = tmp_path / "settings"
    code = (
        f"{REPORT}\n"
        f"open({str(mark)!r}, 'w').write(json.dumps(dict(os.environ, PID=str(os.getpid()))))\n"
        "import time; time.sleep(600)"
    )
    launcher = start(code)
    with launcher.stdout:
        wait_until(lambda: mark.exists() and mark.read_text().endswith("}"), what="the command")
        settings = json.loads(mark.read_text())
        launcher.send_signal(number)
        launcher.wait(PATIENCE)

    assert not Path(f"/proc/{settings['PID']}").exists()
    assert all(is_free(port) for port in ports_of(settings))
    assert not Path(settings["SYRINGE_RUN_FOLDER"]).parent.exists()

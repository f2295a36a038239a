"""``make test`` and its kin: a command beside servers that live as long as it does."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from syringe_project.launcher.console import Console
from syringe_project.launcher.ports import free_port
from syringe_project.launcher.processes import die_with_parent
from syringe_project.launcher.python_environment import PythonEnvironment
from syringe_project.launcher.servers import Servers, ServersPlan, start_servers
from syringe_project.launcher.settings import child_environment
from syringe_project.launcher.supervisor import StopAsked, Supervisor


def run_beside_servers(
    console: Console,
    environment: PythonEnvironment,
    command: Sequence[str],
    given: Mapping[str, str],
) -> int:
    """Run a command with a PostgreSQL and a Redis of its own; return its exit status.

    Servers that the settings name are used instead. The terminal belongs to the command, so
    Ctrl-C reaches it first and the servers stop when it has ended.
    """
    # Not below $TMPDIR: paths of sockets may not be longer than 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="syringe-test-", dir="/tmp"))
    passwords: dict[str, str] = {}
    plan = ServersPlan(
        database_url=given.get("SYRINGE_DATABASE_URL", ""),
        redis_url=given.get("SYRINGE_REDIS_URL", ""),
        site_packages=environment.site_packages,
        folder=folder,
        logs=folder / "logs",
        port=lambda _: free_port(),
        secret=lambda name: passwords.setdefault(name, secrets.token_hex(20)),
        durable=False,
    )
    try:
        with Supervisor(console) as supervisor:
            servers = start_servers(console, supervisor, plan)
            process = subprocess.Popen(
                list(command),
                cwd=environment.project,
                env=child_environment(environment, _settings(servers, folder)),
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509  (one thread)
            )
            return supervisor.run_in_foreground(process)
    except StopAsked:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(servers: Servers, folder: Path) -> dict[str, str]:
    return {
        "SYRINGE_SECRET_KEY": secrets.token_hex(32),
        "SYRINGE_DATABASE_URL": servers.database_url,
        "SYRINGE_REDIS_URL": servers.redis_url,
        "SYRINGE_RUN_FOLDER": str(folder / "run"),
        "SYRINGE_ENV_FILE": os.devnull,
    }


def pytest_command(environment: PythonEnvironment, arguments: Sequence[str]) -> list[str]:
    """Return the command of the whole suite; arguments given later win over ours."""
    return [
        # Half of their time tests wait for servers, so two cores have room for four.
        *(str(environment.python), "-m", "pytest", "-n", "4", "--dist", "loadgroup"),
        *("-m", "not slow"),
        *arguments,
    ]

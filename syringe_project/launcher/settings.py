"""The ``SYRINGE_*`` variables that the launcher hands to the processes it starts."""

import os
from collections.abc import Mapping
from pathlib import Path

from syringe_project.launcher.console import Refusal
from syringe_project.launcher.data_folder import DataFolder
from syringe_project.launcher.python_environment import PythonEnvironment
from syringe_project.launcher.servers import Servers
from syringe_project.launcher.system_packages import search_path

_PREFIX = "SYRINGE_"
_DEFAULT_PORT = "8000"


def given_settings() -> dict[str, str]:
    """Return the settings that the caller's environment holds."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}


def child_environment(
    environment: PythonEnvironment, settings: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of a process: ours as they are, the settings exactly these."""
    # Every program knows its own settings module; one of another project must not get in.
    foreign = (_PREFIX, "DJANGO_SETTINGS_MODULE")
    others = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **others,
        "PATH": f"{environment.folder / 'bin'}{os.pathsep}{search_path()}",
        "VIRTUAL_ENV": str(environment.folder),
        "PYTHONUNBUFFERED": "1",
        **settings,
    }


def front_port(given: Mapping[str, str]) -> int:
    """Return the port of the front door."""
    text = given.get("SYRINGE_PORT", _DEFAULT_PORT)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise Refusal(f"SYRINGE_PORT is {text!r}: give a number from 1 to 65535.")
    return int(text)


def positive_number(given: Mapping[str, str], name: str, default: int) -> int:
    """Return a setting that counts something."""
    text = given.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise Refusal(f"{name} is {text!r}: give a number above 0.")
    return int(text)


def installation_settings(
    given: Mapping[str, str], data: DataFolder, servers: Servers
) -> dict[str, str]:
    """Return the settings of an installation: what is given, and the rest by its data folder.

    Name and run folder follow the data folder's place, so two checkouts never meet.
    """
    return {
        "SYRINGE_SECRET_KEY": given.get("SYRINGE_SECRET_KEY") or data.secret("secret_key"),
        "SYRINGE_INSTANCE": f"syringe-{data.key}",
        "SYRINGE_RUN_FOLDER": f"/tmp/syringe-{os.geteuid()}-{data.key}",
        "SYRINGE_PORT": _DEFAULT_PORT,
        **given,
        "SYRINGE_DATABASE_URL": servers.database_url,
        "SYRINGE_REDIS_URL": servers.redis_url,
        "SYRINGE_ENV_FILE": str(data.environment_file),
    }


def run_folder(settings: Mapping[str, str]) -> Path:
    """Return the folder of this machine's sockets and sandboxes."""
    return Path(settings["SYRINGE_RUN_FOLDER"])


def instance_folder(settings: Mapping[str, str]) -> Path:
    """Return the folder of this instance's sockets and sandboxes."""
    return run_folder(settings) / settings["SYRINGE_INSTANCE"]

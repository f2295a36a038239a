"""Programs that come from the system's package manager."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from syringe_project.launcher.console import Console, Refusal

LOCAL_BACKEND = {"bwrap": "bubblewrap", "ip": "iproute2"}
"""Program and Debian package of what the local backend needs."""

BROWSER_TESTS = {"chromium": "chromium"}
THROUGHPUT_BENCH = {"wrk": "wrk"}

# Ordinary users on Debian do not have these in PATH, but may run what lies there.
_ADMINISTRATION_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_INSTALL_SECONDS = 1800


def search_path() -> str:
    """Return PATH with the folders of administration programs at its end."""
    listed = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*listed, *_ADMINISTRATION_FOLDERS]))


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """Return the packages of those programs that are not installed."""
    found = search_path()
    return sorted(
        {package for name, package in programs.items() if not shutil.which(name, path=found)}
    )


def ensure_packages(console: Console, packages: list[str]) -> None:
    """Install packages as root, else refuse with the command that an administrator has to run."""
    if not packages:
        return
    names = " ".join(packages)
    apt_get = shutil.which("apt-get", path=search_path())
    if apt_get is None:
        raise Refusal(
            f"Missing on this machine: {names}; install it with the system's package manager "
            "(these are the names in Debian) and run the command again."
        )
    if os.geteuid() != 0:
        raise Refusal(
            f"Missing on this machine: {names}; run `sudo apt-get install {names}` and then the "
            "command again."
        )
    with console.step(
        f"Installed the system packages {names}",
        announce=f"Installing the system packages {names}",
    ):
        _apt_get(apt_get, ["update"], names)
        _apt_get(apt_get, ["install", "--yes", "--no-install-recommends", *packages], names)


def _apt_get(program: str, arguments: list[str], names: str) -> None:
    done = subprocess.run(
        [program, "-q", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise Refusal(
            f"apt-get could not install {names} ({reason}); install it by hand and run the "
            "command again."
        )

"""What of this machine a sandbox may see, found once per process."""

import importlib.util
import stat
import sys
from functools import cache
from pathlib import Path

from scheduler.backends.local.plan import HostPlan
from scheduler.backends.local.sandbox import PYTHON_INSIDE

_SERVER_PACKAGES = ("asyncssh", "cryptography", "cffi", "_cffi_backend", "typing_extensions")
_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CONFIGURATION = (
    "alternatives",
    "bash_completion.d",
    "inputrc",
    "java-17-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nanorc",
    "protocols",
    "python3",
    "services",
    "ssl/certs",
    "terminfo",
    "vim",
)
"""What programs in /usr need of /etc and what holds nothing private."""


def _package_path(name: str) -> str | None:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        return None
    origin = Path(found.origin)
    return str(origin.parent if found.submodule_search_locations else origin)


def _system() -> list[list[str]]:
    entries = [["bind", "/usr", "/usr"]]
    for name in _SYSTEM_FOLDERS:
        path = Path("/", name)
        if path.is_symlink():
            entries.append(["symlink", str(path.readlink()), str(path)])
        elif path.is_dir():
            entries.append(["bind", str(path), str(path)])
    return entries


def _configuration() -> list[str]:
    minor = f"python3.{sys.version_info.minor}"
    return [name for name in (*_CONFIGURATION, minor) if _is_public(Path("/etc", name))]


def _is_public(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


@cache
def host_plan() -> HostPlan:
    """Return what sandboxes of this process bind from the machine."""
    prefix = Path(sys.base_prefix).resolve()
    program = f"bin/python3.{sys.version_info.minor}"
    packages = [path for path in map(_package_path, _SERVER_PACKAGES) if path is not None]
    inside_usr = prefix.is_relative_to("/usr")
    return HostPlan(
        system=_system(),
        configuration=_configuration(),
        python_prefix="" if inside_usr else str(prefix),
        python=str(prefix / program) if inside_usr else f"{PYTHON_INSIDE}/{program}",
        packages=packages,
        site_packages=str(Path(packages[0]).parent),
        inside=str(Path(__file__).parent / "inside"),
    )

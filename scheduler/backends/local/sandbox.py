"""The arguments of bubblewrap, as pure functions.

Inside, nothing of the machine is seen but an allow-list of read-only folders. There is no
``--unshare-net``: the network namespace was made before and belongs to the lesson's user
namespace, so the sandbox has no rights over it.
"""

from typing import NamedTuple

from scheduler.backends.local.plan import HostPlan

USER_ID = 1000

# Where the supervisor's root folder shows what it binds on.
PYTHON = "/syringe/python"
SITE_PACKAGES = "/syringe/site-packages"
INSIDE = "/syringe/inside"
PACKAGES = "/syringe/packages"

# Where a sandbox sees them.
PYTHON_INSIDE = "/opt/syringe/python"
SITE_PACKAGES_INSIDE = "/opt/syringe/site-packages"
PACKAGES_INSIDE = "/opt/syringe/packages"
PROGRAMS_INSIDE = "/opt/syringe/bin"
CODE_INSIDE = "/opt/syringe/code"

_PACKAGE_PATH = "scheduler/backends/local/inside"


class Box(NamedTuple):
    """One sandbox: who lives there and what only this one has.

    ``disk`` and ``etc`` are folders of the supervisor's; the disk holds the folders ``home``,
    ``tmp``, ``vartmp``, ``shm`` and, unless ``lesson`` names a read-only one, ``antidote``.
    """

    hostname: str
    home: str
    etc: str
    disk: str
    lesson: str = ""
    as_pid_1: bool = False


def _isolation(box: Box) -> list[str]:
    return [
        "--unshare-user",
        "--unshare-pid",
        "--unshare-uts",
        "--unshare-ipc",
        "--unshare-cgroup-try",
        "--uid",
        str(USER_ID),
        "--gid",
        str(USER_ID),
        "--disable-userns",
        "--die-with-parent",
        *(["--as-pid-1"] if box.as_pid_1 else []),
        "--cap-drop",
        "ALL",
        "--new-session",
        "--hostname",
        box.hostname,
    ]


def _folder(path: str) -> list[str]:
    # bubblewrap 0.8 makes the folders it implies readable by nobody else.
    return ["--perms", "0755", "--dir", path]


def _machine(host: HostPlan) -> list[str]:
    arguments: list[str] = []
    for kind, source, path in host["system"]:
        arguments += [{"bind": "--ro-bind", "symlink": "--symlink"}[kind], source, path]
    for path in ("/opt", "/opt/syringe"):
        arguments += _folder(path)
    if host["python_prefix"]:
        arguments += ["--ro-bind", PYTHON, PYTHON_INSIDE]
    return arguments


def _own_folders(box: Box) -> list[str]:
    arguments = ["--ro-bind", box.etc, "/etc", "--proc", "/proc", "--dev", "/dev"]
    arguments += ["--bind", f"{box.disk}/shm", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108 (a mount point inside)
    for path in ("/home", "/var", "/run", "/mnt", "/srv"):
        arguments += _folder(path)
    arguments += ["--bind", f"{box.disk}/home", box.home]
    arguments += ["--bind", f"{box.disk}/tmp", "/tmp"]  # noqa: S108 (a mount point inside)
    arguments += ["--bind", f"{box.disk}/vartmp", "/var/tmp"]  # noqa: S108 (a mount point inside)
    if box.lesson:
        return [*arguments, "--ro-bind", box.lesson, "/antidote"]
    return [*arguments, "--bind", f"{box.disk}/antidote", "/antidote"]


def endpoint_arguments(box: Box, host: HostPlan) -> list[str]:
    """Return bubblewrap's arguments for an endpoint, without the program to run."""
    arguments = [*_isolation(box), *_machine(host)]
    arguments += _folder(PACKAGES_INSIDE)
    for name in host["packages"]:
        leaf = name.rsplit("/", 1)[1]
        arguments += ["--ro-bind", f"{PACKAGES}/{leaf}", f"{PACKAGES_INSIDE}/{leaf}"]
    path = CODE_INSIDE
    arguments += _folder(path)
    for part in _PACKAGE_PATH.split("/"):
        path = f"{path}/{part}"
        arguments += _folder(path)
    arguments += ["--ro-bind", INSIDE, path]
    return [*arguments, *_own_folders(box), "--remount-ro", "/", "--chdir", box.home]


def job_arguments(box: Box, host: HostPlan, programs: str) -> list[str]:
    """Return bubblewrap's arguments for the configurator, without the program to run.

    It sees all Python packages of this installation, because authors' scripts use them, and the
    folder ``programs`` first on its path.
    """
    arguments = [*_isolation(box), *_machine(host)]
    arguments += ["--ro-bind", SITE_PACKAGES, SITE_PACKAGES_INSIDE]
    arguments += ["--ro-bind", programs, PROGRAMS_INSIDE]
    return [*arguments, *_own_folders(box), "--remount-ro", "/", "--chdir", "/antidote"]


def server_command(host: HostPlan, module: str) -> list[str]:
    """Return the command that runs a module of ``inside`` in an endpoint."""
    program = (
        f"import sys; sys.path[:0] = [{CODE_INSIDE!r}, {PACKAGES_INSIDE!r}]; "
        f"from scheduler.backends.local.inside.{module} import main; main()"
    )
    return [host["python"], "-I", "-S", "-B", "-c", program]


def search_path(host: HostPlan) -> str:
    """Return where programs are found inside an endpoint."""
    own = f":{PYTHON_INSIDE}/bin" if host["python_prefix"] else ""
    return f"/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/games{own}"


def library_path(host: HostPlan) -> dict[str, str]:
    """Return the variables with which an interpreter outside ``/usr`` finds its own library.

    It may have been built to look where it lies on the machine, which is not seen inside.
    """
    return {"LD_LIBRARY_PATH": f"{PYTHON_INSIDE}/lib"} if host["python_prefix"] else {}

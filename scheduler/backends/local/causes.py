"""From what failed while a sandbox was built to the sentence an administrator needs."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

_USER_NAMESPACES = (
    "This machine does not let this user make user namespaces: set the sysctl "
    "kernel.unprivileged_userns_clone=1 (Debian), or allow them in AppArmor by a profile or by "
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); inside a container, its runtime "
    "has to allow them."
)
_TOO_FEW = "The limit of namespaces is reached: raise the sysctl user.max_user_namespaces."
_NO_SYS_ADMIN = (
    "This process is root without the right to make namespaces (CAP_SYS_ADMIN): run it as an "
    "ordinary user, or give its container that right."
)
_NO_PROC = (
    "A fresh /proc cannot be mounted, because parts of this machine's /proc are hidden: inside "
    "a container, its runtime has to leave /proc unmasked."
)
_SENTENCES: dict[tuple[str, int], str] = {
    ("mounts", errno.EPERM): _NO_SYS_ADMIN,
    ("namespaces", errno.EPERM): _USER_NAMESPACES,
    ("namespaces", errno.EACCES): _USER_NAMESPACES,
    ("namespaces", errno.ENOSPC): _TOO_FEW,
    ("namespaces", errno.EINVAL): "This kernel lacks user, network or PID namespaces.",
    ("identity", errno.EPERM): _USER_NAMESPACES,
    ("proc", errno.EPERM): _NO_PROC,
    ("network", errno.EOPNOTSUPP): "This kernel lacks bridges or veth pairs.",
    ("lesson", errno.ENOSPC): "The lesson's folder is larger than an endpoint's disk.",
}


class StartFailure(Exception):
    """A step of building an environment failed; the text is meant for operators."""


def explain(step: str, error: OSError) -> str:
    """Return the known cause of an error in a step, or the error itself."""
    known = _SENTENCES.get((step, error.errno or 0))
    detail = f"{step}: {error}"
    return f"{known} ({detail})" if known else f"The sandbox could not be built ({detail})."


@contextmanager
def step(name: str) -> Iterator[None]:
    """Turn an operating system's error into a StartFailure that names its cause."""
    try:
        yield
    except OSError as error:
        raise StartFailure(explain(name, error)) from error


def explain_sandbox(log: str) -> str:
    """Return the known cause of what bubblewrap printed before it ended, or what it printed."""
    if "Creating new namespace failed" in log or "setting up uid map" in log:
        return f"{_USER_NAMESPACES} ({log})"
    if "Can't mount proc" in log:
        return f"{_NO_PROC} ({log})"
    if "Unknown option" in log:
        return f"bubblewrap is too old: install version 0.8 or newer. ({log})"
    return log

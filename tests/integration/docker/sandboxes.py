"""Images without a daemon: a Dockerfile's own instructions in a bubblewrap sandbox.

The base image is played by this machine's system and Python, so this shows that the steps work and
what the result needs, and not what Debian's packages in the base are.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

from tests.unit.docker.containerfiles import CONTEXTS, ROOT, ignore_patterns, is_ignored, stages

_PATH = "/base/bin:/usr/bin:/bin"


class Sandbox:
    """A root file system that is this machine's, but for the folders named in ``own``."""

    def __init__(self, folder, *own):
        self._own = {
            PurePosixPath(path): folder / path.strip("/").replace("/", "-") for path in own
        }
        for made in self._own.values():
            made.mkdir()
        self._base = folder / "base"
        self._users = folder / "passwd"
        # What the base image calls python and pip.
        subprocess.run([sys.executable, "-m", "venv", self._base], check=True)

    def outside(self, path):
        """Return where a path inside one of the own folders is on this machine."""
        inner = PurePosixPath(path)
        own = next(one for one in self._own if inner.is_relative_to(one))
        return self._own[own] / inner.relative_to(own)

    def run(self, command, *, variables, where, user="", writable=()):
        """Run a command as RUN does; as a container of a ``user`` little can be written.

        That is ``/tmp``, and of the own folders what is ``writable``.
        """
        binds = []
        for inner, outer in self._own.items():
            if not user or str(inner) in writable:
                binds += ["--bind", outer, inner]
            elif inner != PurePosixPath("/tmp"):
                binds += ["--ro-bind", outer, inner]
        path = variables.get("PATH", "$PATH").replace("$PATH", _PATH)
        return subprocess.run(
            [
                *("bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid"),
                *self._system(),
                *("--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"),
                *binds,
                *("--ro-bind", self._base, "/base"),
                *(self._become(user) if user else []),
                *("--chdir", where, "--", "sh", "-euc", command),
            ],
            env={
                **{n: v for n, v in os.environ.items() if n.startswith(("PIP_", "SSL_"))},
                "HOME": "/tmp" if user else os.environ["HOME"],
                **variables,
                "PATH": path,
            },
            capture_output=True,
            text=True,
        )

    def _become(self, user):
        """Be the user that each image's ``useradd`` makes."""
        self._users.write_text(f"somebody:x:{user}:{user}::/tmp:/bin/sh\n")
        yield from ("--ro-bind", self._users, "/etc/passwd")
        yield from ("--uid", user, "--gid", user, "--unshare-net")

    def _system(self):
        """Show this machine's folders, but for those that the image has of its own."""
        own = {path.parts[1] for path in self._own if len(path.parts) == 2}
        hidden = {"dev", "proc", "tmp", *own}
        shown = [path for path in Path("/").iterdir() if path.name not in hidden]
        for path in [*shown, *Path("/opt").iterdir()]:
            if path.is_symlink():
                yield from ("--symlink", path.readlink(), path)
            elif path == Path("/opt"):
                yield from ("--tmpfs", path)
            else:
                yield from ("--ro-bind", path, path)


def build(dockerfile, sandbox):
    """Carry out the stage that builds, which is the second of each Dockerfile."""
    base, stage, _ = stages(dockerfile)
    context = CONTEXTS[dockerfile]
    where = [*base.all("WORKDIR"), *stage.all("WORKDIR"), "/"][0]
    for word, rest in stage.instructions:
        if word == "COPY":
            _copy(context, rest.split(), sandbox, where)
        elif word == "RUN":
            variables = {**base.variables(), **stage.variables()}
            done = sandbox.run(rest, variables=variables, where=where)
            assert done.returncode == 0, done.stdout + done.stderr


def _copy(context, words, sandbox, where):
    *sources, target = [word for word in words if not word.startswith("--")]
    [mode] = [word.partition("=")[2] for word in words if word.startswith("--chmod=")] or [""]
    patterns = ignore_patterns() if context == ROOT else []

    def ignored(folder, names):
        inside = Path(folder).relative_to(context)
        return [name for name in names if is_ignored(str(inside / name), patterns)]

    place = sandbox.outside(PurePosixPath(where, target))
    for source in sources:
        if (context / source).is_dir():
            shutil.copytree(context / source, place, ignore=ignored, dirs_exist_ok=True)
            continue
        place.mkdir(parents=True, exist_ok=True)
        copied = Path(shutil.copy(context / source, place))
        if mode:
            copied.chmod(int(mode, 8))

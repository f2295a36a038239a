"""Running programs of this checkout without root's rights, in tests that root runs."""

import contextlib
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def _unused_id() -> int:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(number for number in range(61_000, 61_100) if number not in taken)


def _hidden_ancestor(path: Path) -> Path | None:
    """Return the topmost folder above a path that keeps strangers out."""
    for ancestor in reversed(path.parents):
        if not ancestor.stat().st_mode & stat.S_IXOTH:
            return ancestor
    return None


def _reveal(paths: list[Path], place: Path) -> list[str]:
    """Return shell commands that let strangers reach paths, in a mount namespace of its own."""
    hidden = [path for path in paths if _hidden_ancestor(path)]
    commands = []
    for number, path in enumerate(hidden):
        (place / str(number)).mkdir(exist_ok=True)
        commands.append(f"mount --rbind {path} {place}/{number}")
    commands += [
        f"mount -t tmpfs -o mode=0755 none {ancestor}"
        for ancestor in {_hidden_ancestor(path) for path in hidden}
    ]
    for number, path in enumerate(hidden):
        commands.append(f"mkdir -p {path}; mount --rbind {place}/{number} {path}")
    return commands


def run_as_ordinary_user(
    place: Path, arguments: list[str], seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run this interpreter as somebody without rights or a home."""
    uid = _unused_id()
    prefixes = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), PROJECT]
    identity = f"--reuid {uid} --regid {uid} --clear-groups --inh-caps=-all"
    script = [
        "set -e",
        *_reveal(prefixes, place),
        f"cd {PROJECT}",
        f"exec setpriv {identity} {shlex.join([sys.executable, *arguments])}",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script)],
        env={
            **environment,
            "HOME": str(place / "tmp"),
            "LOGNAME": "somebody",
            "TMPDIR": str(place / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )


@contextlib.contextmanager
def ordinary_place() -> Iterator[Path]:
    """Make a folder that an ordinary user can reach, and write in its ``tmp``."""
    folder = Path(tempfile.mkdtemp(prefix="syringe-ordinary-"))
    folder.chmod(0o755)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)

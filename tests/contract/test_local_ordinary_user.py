"""The same tests again without root's rights, because one code path has to serve both."""

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

import pytest

pytestmark = [pytest.mark.local_backend, pytest.mark.timeout(400)]

PROJECT = Path(__file__).resolve().parents[2]


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


def _run(place: Path, arguments: list[str], seconds: float) -> "subprocess.CompletedProcess[str]":
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


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder that an ordinary user can reach and write in."""
    folder = Path(tempfile.mkdtemp(prefix="syringe-ordinary-"))
    folder.chmod(0o755)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="this is the run of an ordinary user already")
@pytest.mark.parametrize(
    "part", ["isolation", "limits", "configuration", "lifecycle", "terminal", "every_backend"]
)
def test_the_whole_works_for_an_ordinary_user(place: Path, part: str) -> None:
    able = _run(place, ["-c", "import asyncssh, django, pytest"], 60)
    if able.returncode != 0:
        pytest.skip(f"an ordinary user cannot run this installation: {able.stdout[-500:]}")
    name = "test_every_backend.py" if part == "every_backend" else f"test_local_{part}.py"

    run = _run(
        place,
        [
            *("-m", "pytest", f"tests/contract/{name}", "-m", "local_backend", "-q", "-x"),
            *("-p", "no:cacheprovider", "-n", "0", "--basetemp", f"{place}/tmp/base"),
        ],
        380,
    )

    assert run.returncode == 0, run.stdout[-6000:]
    assert " passed" in run.stdout

"""The init container's program, run by a real shell against a real server."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from scheduler.backends.kubernetes.manifests.folder import FETCH
from tests.contract.descriptions import bundle_of
from tests.waiting import PATIENCE

TOOLS = ("timeout", "wget", "sha256sum", "tar")
FILES = {
    "stage0/guide.md": "# Guide",
    "stage0/Überblick.txt": "not ASCII",
    "deep/" * 40 + "file": "longer than what old archives take",
}
BUNDLE = bundle_of(FILES)
DIGEST = hashlib.sha256(BUNDLE).hexdigest()


pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"
)


class Server(ThreadingHTTPServer):
    """Serves the bundle, after refusing the first requests."""

    refusals = 0
    served = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.server.refusals:
            self.server.refusals -= 1
            self.send_error(503)
            return
        self.server.served += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(BUNDLE)))
        self.end_headers()
        self.wfile.write(BUNDLE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as found:
        thread = Thread(target=partial(found.serve_forever, poll_interval=0.01))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture(params=["system", "busybox"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the PATH of the shell, with the system's tools or with BusyBox's."""
    if request.param == "system":
        return os.environ["PATH"]
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in (*TOOLS, "sh", "mkdir", "mv", "rm", "sleep"):
        (tools / name).symlink_to(busybox)
    return str(tools)


def fetch(
    folder: Path, server: Server, path: str, digest: str = DIGEST, hidden: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [shutil.which("sh", path=path) or "sh", "-ec", FETCH, "fetch", *hidden],
        cwd=folder,
        env={
            "PATH": path,
            "BUNDLE_URL": f"http://127.0.0.1:{server.server_port}/bundles/x?signature=a-secret",
            "BUNDLE_SHA256": digest,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def contents(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_the_folder_is_unpacked_and_nothing_else_is_left(
    tmp_path: Path, server: Server, path: str
) -> None:
    done = fetch(tmp_path / "volume", server, path)

    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "volume" / "lesson") == FILES
    assert [entry.name for entry in (tmp_path / "volume").iterdir()] == ["lesson"]


def test_hidden_files_are_taken_out(tmp_path: Path, server: Server, path: str) -> None:
    hidden, *others = sorted(FILES)

    done = fetch(tmp_path / "volume", server, path, hidden=[hidden, "not/there at all"])

    assert done.returncode == 0, done.stderr
    assert sorted(contents(tmp_path / "volume" / "lesson")) == others


def test_it_waits_for_a_way_out(tmp_path: Path, server: Server, path: str) -> None:
    server.refusals = 1

    assert fetch(tmp_path / "volume", server, path).returncode == 0
    assert contents(tmp_path / "volume" / "lesson") == FILES


def test_another_bundle_is_refused(tmp_path: Path, server: Server, path: str) -> None:
    done = fetch(tmp_path / "volume", server, path, digest="0" * 64)

    assert done.returncode != 0
    assert not (tmp_path / "volume" / "lesson").exists()
    assert "a-secret" not in done.stdout + done.stderr


def test_a_learners_work_outlives_a_restart_of_the_node(
    tmp_path: Path, server: Server, path: str
) -> None:
    volume = tmp_path / "volume"
    fetch(volume, server, path)
    (volume / "lesson" / "stage0" / "guide.md").write_text("changed")

    assert fetch(volume, server, path).returncode == 0
    assert (volume / "lesson" / "stage0" / "guide.md").read_text() == "changed"
    assert server.served == 1


def test_what_was_interrupted_is_done_again(tmp_path: Path, server: Server, path: str) -> None:
    volume = tmp_path / "volume"
    (volume / "unpacked" / "half").mkdir(parents=True)
    (volume / "bundle").write_bytes(BUNDLE[:10])

    assert fetch(volume, server, path).returncode == 0
    assert contents(volume / "lesson") == FILES

"""Bundles, extraction, locks, folders and state: files that several processes share."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.backends.local import locks
from scheduler.backends.local.bundles import DamagedBundle, bundle_open, bundles_prune
from scheduler.backends.local.extraction import UnsafeBundle, extract
from scheduler.backends.local.folders import InstanceFolders
from scheduler.backends.local.state import FILE_NAME, State, StateFile


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def unpack(content: bytes, target: Path) -> None:
    fd = os.memfd_create("bundle")
    try:
        os.write(fd, content)
        extract(fd, target)
    finally:
        os.close(fd)


def test_files_folders_links_and_modes_survive(tmp_path: Path) -> None:
    unpack(
        archive(
            (member("stage0", tarfile.DIRTYPE), b""),
            (member("./stage0/guide.md"), b"# Guide"),
            (member("run.sh", mode=0o6777), b"#!/bin/sh"),
            (member("deep/er/file"), b"x"),
            (member("link", tarfile.SYMTYPE, linkname="stage0/guide.md"), b""),
        ),
        tmp_path,
    )

    assert (tmp_path / "stage0/guide.md").read_text() == "# Guide"
    assert (tmp_path / "link").read_text() == "# Guide"
    assert (tmp_path / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "stage0/guide.md").stat().st_mode & 0o7777 == 0o644
    assert (tmp_path / "deep/er/file").read_text() == "x"


@pytest.mark.parametrize(
    "members",
    [
        [(member("../outside"), b"x")],
        [(member("a/../../outside"), b"x")],
        [(member("/outside"), b"x")],
        [(member("link", tarfile.SYMTYPE, linkname="../outside"), b"")],
        [(member("a/link", tarfile.SYMTYPE, linkname="../../outside"), b"")],
        [(member("link", tarfile.SYMTYPE, linkname="/etc/passwd"), b"")],
        [(member("hard", tarfile.LNKTYPE, linkname="/etc/passwd"), b"")],
        [(member("device", tarfile.CHRTYPE, devmajor=1, devminor=3), b"")],
        [(member("pipe", tarfile.FIFOTYPE), b"")],
        [
            (member("d", tarfile.SYMTYPE, linkname="e"), b""),
            (member("d/file"), b"x"),
        ],
        [
            (member("file", tarfile.SYMTYPE, linkname="other"), b""),
            (member("file"), b"x"),
        ],
    ],
)
def test_what_could_lead_out_is_refused(
    members: list[tuple[tarfile.TarInfo, bytes]], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()

    with pytest.raises(UnsafeBundle):
        unpack(archive(*members), target)

    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "link", ""]), min_size=1, max_size=6))
def test_no_name_leads_out(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    base = tmp_path_factory.mktemp("base")
    target = base / "target"
    target.mkdir()
    with suppress(UnsafeBundle, IsADirectoryError):
        unpack(archive((member("/".join(parts)), b"x")), target)
    assert [path.name for path in base.iterdir()] == ["target"]


def read(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()


def test_a_bundle_is_kept_and_verified(tmp_path: Path) -> None:
    content = b"a bundle"
    sha256 = hashlib.sha256(content).hexdigest()
    reads: list[int] = []

    def fetch() -> bytes:
        reads.append(1)
        return content

    assert read(bundle_open(tmp_path, sha256, fetch)) == content
    assert read(bundle_open(tmp_path, sha256, fetch)) == content
    assert len(reads) == 1

    (tmp_path / f"{sha256}.tar.gz").write_bytes(b"damaged")
    assert read(bundle_open(tmp_path, sha256, fetch)) == content
    assert len(reads) == 2


def test_a_wrong_bundle_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(DamagedBundle):
        bundle_open(tmp_path, "0" * 64, lambda: b"something else")

    assert list(tmp_path.iterdir()) == []


def test_the_least_used_bundles_leave(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(b"")
        os.utime(path, (number, number))

    bundles_prune(tmp_path, keep=2)

    assert {path.name for path in tmp_path.iterdir()} == {"4.tar.gz", "5.tar.gz"}


@pytest.fixture
def lock_path(tmp_path: Path) -> Path:
    path = tmp_path / "lock"
    path.touch()
    return path


@pytest.fixture
def open_lock(lock_path: Path) -> Iterator[list[int]]:
    fds = [os.open(lock_path, os.O_RDWR) for _ in range(2)]
    yield fds
    for fd in fds:
        os.close(fd)


def test_a_lock_has_one_holder_and_asking_does_not_take_it(open_lock: list[int]) -> None:
    first, second = open_lock

    assert not locks.is_held(first)
    assert locks.take(second)
    assert locks.is_held(first)
    assert not locks.is_held(second)
    assert not locks.take(first)


def test_a_lock_lives_as_long_as_a_child_that_inherited_it(lock_path: Path) -> None:
    ready, ready_end = os.pipe()
    go, go_end = os.pipe()
    fd = os.open(lock_path, os.O_RDWR)
    assert locks.take(fd)
    child = os.fork()
    if child == 0:
        os.close(go_end)
        os.write(ready_end, b"+")
        os.read(go, 1)
        os._exit(0)
    os.close(fd)
    os.read(ready, 1)
    mine = os.open(lock_path, os.O_RDWR)

    assert locks.is_held(mine)
    os.close(go_end)
    os.waitpid(child, 0)
    assert not locks.is_held(mine)
    for open_fd in (ready, ready_end, go, mine):
        os.close(open_fd)


def test_a_claimed_folder_is_alive_and_its_remains_can_be_removed_later(tmp_path: Path) -> None:
    folder = InstanceFolders(tmp_path, "test").environment("0" * 32 + "-1")

    fd = folder.claim()
    assert fd is not None
    assert folder.is_alive()
    assert folder.claim() is None
    assert not folder.remove_remains()

    os.close(fd)
    assert not folder.is_alive()
    assert folder.remove_remains()
    assert not folder.path.exists()
    assert folder.remove_remains()


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("trick", ["writable", "link"])
def test_a_folder_that_others_could_replace_is_refused(
    tmp_path: Path, level: int, trick: str
) -> None:
    folder = InstanceFolders(tmp_path / "run" / "instance", "test").environment("0" * 32 + "-1")
    weak = folder.path.parent.parents[level] if level else folder.path.parent
    weak.mkdir(parents=True)
    if trick == "writable":
        weak.chmod(0o777)
    else:
        weak.rename(tmp_path / "elsewhere")
        weak.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError, match="not this user's own"):
        folder.claim()


def test_a_removal_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    folders = InstanceFolders(tmp_path, "test")
    (folders.environments / ".removing-abc").mkdir(parents=True)
    (folders.environments / ".removing-abc" / "file").touch()

    assert list(folders.present()) == []
    assert list(folders.environments.iterdir()) == []


def empty_state() -> State:
    return State(phase="starting", reason="", message="", endpoints={}, jobs={}, control_groups=[])


def test_state_is_replaced_as_a_whole(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    file = StateFile(fd, empty_state())
    file.write()
    before = (tmp_path / FILE_NAME).stat().st_ino

    file.fail("crashed", "it broke")

    assert (tmp_path / FILE_NAME).stat().st_ino != before
    assert json.loads((tmp_path / FILE_NAME).read_text())["message"] == "it broke"
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    other = StateFile(fd, empty_state())
    other.reload()
    assert other.state == file.state
    os.close(fd)


def test_a_state_file_that_leads_elsewhere_is_not_read(tmp_path: Path) -> None:
    folder = InstanceFolders(tmp_path, "test").environment("0" * 32 + "-1")
    (folder.path / "state").mkdir(parents=True)
    secret = tmp_path / "secret.json"
    secret.write_text('{"phase": "running"}')
    (folder.path / "state" / FILE_NAME).symlink_to(secret)

    assert folder.read_state() is None

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from curriculum.bundles import pack, packed_size
from curriculum.problems import Report
from curriculum.tree import Limits, TreeFile, Unreadable, file_digest, list_files, tree_digest
from tests.curricula import write


def files_of(folder: Path) -> list[TreeFile]:
    report = Report("lesson")
    files = list_files(folder, prefix="lesson", limits=Limits(), report=report)
    assert report.problems == []
    return files


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "lesson/lesson.meta.yaml", "name: x\n")
    write(tmp_path, "lesson/stage0/configs/deep/a.py", "print()\n")
    write(tmp_path, "lesson/run.sh", "#!/bin/sh\n").chmod(0o755)
    write(tmp_path, f"lesson/{'long' * 40}/{'name' * 40}", "x")
    return tmp_path / "lesson"


def test_the_same_content_gives_the_same_bytes(folder, tmp_path):
    twin = tmp_path / "twin"
    for file in reversed(files_of(folder)):
        copy = write(twin, file.name, file.path.read_bytes())
        copy.chmod(0o711 if file.executable else 0o600)
        os.utime(copy, (1, 1))

    assert pack(files_of(twin), limits=Limits()) == pack(files_of(folder), limits=Limits())


def test_a_bundle_tells_nothing_of_where_it_was_made(folder):
    packed = pack(files_of(folder), limits=Limits())

    assert packed.sha256 == hashlib.sha256(packed.content).hexdigest()
    # RFC 1952: flags (no name, no comment) and the time are zero.
    assert packed.content[3:8] == bytes(5)
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        members = archive.getmembers()
    assert [m.name for m in members if m.isreg()] == [file.name for file in files_of(folder)]
    assert all(m.isreg() or m.isdir() for m in members)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.mode for m in members if m.isdir()} == {0o755}
    modes = {m.name: m.mode for m in members if m.isreg()}
    assert modes.pop("run.sh") == 0o755
    assert set(modes.values()) == {0o644}


@pytest.mark.skipif(
    not hasattr(tarfile, "data_filter"), reason="this Python's tarfile has no filters yet"
)
def test_a_bundle_unpacks_under_the_strictest_filter(folder, tmp_path):
    packed = pack(files_of(folder), limits=Limits())

    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        archive.extractall(tmp_path / "out", filter="data")

    assert {f.name: f.path.read_bytes() for f in files_of(tmp_path / "out")} == {
        f.name: f.path.read_bytes() for f in files_of(folder)
    }


def test_folders_stand_before_what_is_in_them(folder):
    packed = pack(files_of(folder), limits=Limits())

    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    for position, name in enumerate(names):
        parent = str(Path(name).parent)
        assert parent == "." or parent in names[:position]


def test_packing_tells_the_digest_of_what_it_read(folder):
    files = files_of(folder)
    loaded = tree_digest([(file, file_digest(file, limit=10**6)) for file in files])

    assert pack(files, limits=Limits()).tree_digest == loaded


@pytest.mark.parametrize("change", ["content", "name", "executable", "moved"])
def test_every_change_of_meaning_changes_the_digest(folder, change):
    before = pack(files_of(folder), limits=Limits()).tree_digest
    path = folder / "lesson.meta.yaml"
    match change:
        case "content":
            path.write_text("name: y\n")
        case "name":
            path.rename(folder / "lesson.meta.yml")
        case "executable":
            path.chmod(0o755)
        case "moved":
            path.rename(folder / "stage0" / "lesson.meta.yaml")

    assert pack(files_of(folder), limits=Limits()).tree_digest != before


@pytest.mark.parametrize("text", ["longer than before, much longer\n", "x", ""])
def test_a_file_that_changes_its_size_meanwhile_is_noticed(folder, text):
    files = files_of(folder)
    before = pack(files, limits=Limits()).tree_digest
    (folder / "lesson.meta.yaml").write_text(text)

    try:
        after = pack(files, limits=Limits()).tree_digest
    except Unreadable:
        return
    assert after != before


def test_the_limit_holds_for_the_packed_bytes(folder):
    files = files_of(folder)
    size = packed_size(files, limits=Limits())

    assert size == len(pack(files, limits=Limits()).content)
    with pytest.raises(Unreadable, match="packed; at most"):
        pack(files, limits=Limits(bundle_bytes=size - 1))


def test_gzip_agrees(folder):
    content = pack(files_of(folder), limits=Limits()).content

    assert gzip.decompress(content)[257:262] == b"ustar"

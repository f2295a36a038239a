"""Folders written by somebody who means harm: each gets a clear refusal."""

import os
import random
import socket
from pathlib import Path

import pytest

from curriculum.tree import Limits, Unreadable, open_plain, read_text
from tests.curricula import check, told, write, write_curriculum, write_lesson

LESSON = "lessons/good/lesson.meta.yaml"


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_curriculum(tmp_path / "curriculum", "good", "bystander")


def assert_only_good_is_refused(folder: Path, problem: str) -> None:
    loaded = check(folder)
    rendered = [found.render() for found in loaded.problems]
    assert any(problem in line for line in rendered), rendered
    assert {unit.file: unit.refused for unit in loaded.lessons} == {
        "lessons/bystander/lesson.meta.yaml": False,
        LESSON: True,
    }


def test_a_link_out_of_the_lesson_is_refused(folder, tmp_path):
    secret = write(tmp_path, "secret.txt", "secret")
    (folder / "lessons/good/stage0/notes.txt").symlink_to(secret)

    assert_only_good_is_refused(
        folder, "lessons/good/stage0/notes.txt:1: is a symbolic link out of the lesson's folder"
    )


def test_a_link_to_another_lesson_is_refused(folder):
    (folder / "lessons/good/other").symlink_to("../bystander")

    assert_only_good_is_refused(folder, "lessons/good/other:1: is a symbolic link out of the")


def test_a_guide_that_is_a_link_out_is_not_read(folder):
    guide = folder / "lessons/good/stage0/guide.md"
    guide.unlink()
    guide.symlink_to("/etc/passwd")

    loaded = check(folder)

    assert_only_good_is_refused(folder, "guide.md:1: is a symbolic link out of the lesson's folder")
    assert not any("root:" in guide for unit in loaded.lessons for guide in unit.guides)


def test_links_that_lead_nowhere_or_round_are_refused(folder):
    (folder / "lessons/good/gone").symlink_to("not-there")
    (folder / "lessons/good/one").symlink_to("two")
    (folder / "lessons/good/two").symlink_to("one")
    (folder / "lessons/good/stage0/up").symlink_to("..")

    rendered = told(folder)

    assert "lessons/good/gone:1: is a symbolic link that leads nowhere" in rendered
    assert "lessons/good/one:1: is a symbolic link that leads round in a loop" in rendered
    assert "lessons/good/stage0/up:1: is a symbolic link to a folder that it lies in" in rendered


def test_links_inside_the_lesson_are_read_as_what_they_lead_to(folder):
    write(folder, "lessons/good/common/text.txt", "shared")
    (folder / "lessons/good/stage0/common").symlink_to("../common")
    (folder / "lessons/good/stage0/text.txt").symlink_to("../common/text.txt")

    loaded = check(folder)

    assert loaded.problems == []
    good = next(unit for unit in loaded.lessons if unit.slug == "good")
    assert [file.name for file in good.files] == [
        "common/text.txt",
        "lesson.meta.yaml",
        "stage0/common/text.txt",
        "stage0/guide.md",
        "stage0/text.txt",
    ]
    assert not any(file.path.is_symlink() for file in good.files)


def test_links_that_multiply_meet_the_limit_of_files(folder):
    place = folder / "lessons/good/a0"
    write(folder, "lessons/good/a0/leaf", "x")
    for level in range(1, 12):
        place = folder / f"lessons/good/a{level}"
        place.mkdir()
        for twin in "xyz":
            (place / twin).symlink_to(f"../a{level - 1}")

    rendered = told(folder, limits=Limits(files_per_lesson=2000))

    assert "lessons/good:1: holds more than 2000 files and folders" in rendered


@pytest.mark.parametrize("name", ["lesson.meta.yaml", "stage0/guide.md", "stage0/extra"])
def test_pipes_and_sockets_are_refused_without_waiting(folder, name):
    path = folder / "lessons/good" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    assert_only_good_is_refused(folder, f"lessons/good/{name}:1: is not a plain file")


def test_sockets_are_refused(folder, monkeypatch):
    monkeypatch.chdir(folder / "lessons/good")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")

    assert_only_good_is_refused(folder, "lessons/good/s:1: is not a plain file")


def test_devices_are_not_opened():
    with pytest.raises(Unreadable, match="is not a plain file"):
        open_plain(Path("/dev/zero"), limit=10)


def test_a_huge_guide_is_refused_by_its_size(folder):
    with (folder / "lessons/good/stage0/guide.md").open("r+b") as guide:
        guide.truncate(1024**3)

    assert_only_good_is_refused(
        folder, "lessons/good/stage0/guide.md:1: has 1 GB; at most 4 MB are allowed"
    )


def test_a_huge_meta_file_is_refused_by_its_size(folder):
    with (folder / LESSON).open("r+b") as meta:
        meta.truncate(1024**3)

    assert_only_good_is_refused(folder, f"{LESSON}:1: has 1 GB; at most 256 KB are allowed")


def test_a_lesson_that_is_too_large_unpacked_is_refused(folder):
    with write(folder, "lessons/good/zeros", "").open("r+b") as file:
        file.truncate(10 * 1024**3)

    assert_only_good_is_refused(folder, "lessons/good:1: holds 10 GB; at most 256 MB are allowed")


def test_a_lesson_that_is_too_large_packed_is_refused(folder):
    write(folder, "lessons/good/noise", random.Random(1).randbytes(60_000))
    write(folder, "lessons/bystander/zeros", bytes(60_000))

    rendered = told(folder, limits=Limits(bundle_bytes=50_000))

    assert len(rendered) == 1
    assert rendered[0].startswith("lessons/good:1: is 59.")
    assert rendered[0].endswith("KB packed; at most 48.83 KB are allowed")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"name: \xff\xfe", "is not UTF-8 (byte 6, line 1)"),
        ("name: x\n".encode("utf-16"), "is not UTF-8 (byte 0, line 1)"),
        (b"name: x\nslug: caf\xe9\n", "is not UTF-8 (byte 17, line 2)"),
        (b"name: x\0y\n", "holds a NUL byte, so it is not text"),
    ],
)
@pytest.mark.parametrize("name", ["lesson.meta.yaml", "stage0/guide.md"])
def test_other_encodings_are_refused(folder, name, content, problem):
    write(folder, f"lessons/good/{name}", content)

    assert_only_good_is_refused(folder, f"lessons/good/{name}:1: {problem}")


def test_a_byte_order_mark_is_no_fault(folder):
    for name in ("lesson.meta.yaml", "stage0/guide.md"):
        path = folder / "lessons/good" / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    loaded = check(folder)

    assert loaded.problems == []
    assert next(unit for unit in loaded.lessons if unit.slug == "good").guides == ["# good\n"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["lesson.meta.yaml", "stage0/guide.md", "stage0"])
def test_what_may_not_be_read_is_reported(folder, name):
    path = folder / "lessons/good" / name
    path.chmod(0)
    try:
        assert_only_good_is_refused(folder, f"{name}:1: cannot be read: Permission denied")
    finally:
        path.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (b"bell\x07", "bell\\x07:1: has control characters in its name"),
        (b"line\nlessons/x:1: forged", "\\nlessons/x:1: forged:1: has control characters"),
        (b"latin\xe9", "\\udce9:1: has a name that is not UTF-8"),
        ("\u202etxt.exe".encode(), "\\u202etxt.exe:1: has control characters in its name"),
    ],
)
def test_names_that_cannot_be_kept_are_refused_and_escaped(folder, name, problem):
    place = os.fsencode(folder / "lessons/good")
    try:
        Path(os.fsdecode(place + b"/" + name.replace(b"/", b"-"))).touch()
    except OSError:
        pytest.skip("this file system does not keep such names")

    assert_only_good_is_refused(folder, problem.replace("lessons/x", "lessons-x"))


def test_folders_too_deep_are_refused(folder):
    write(folder, "lessons/good/" + "d/" * 40 + "leaf", "x")

    assert_only_good_is_refused(folder, "is nested more than 20 folders deep")


def test_too_many_files_are_refused(folder):
    for number in range(60):
        write(folder, f"lessons/good/many/{number}", "")

    rendered = told(folder, limits=Limits(files_per_lesson=50))

    assert rendered == ["lessons/good:1: holds more than 50 files and folders"]


def test_a_lesson_folder_that_is_a_link_is_refused(folder, tmp_path):
    outside = write_lesson(tmp_path / "outside", "stranger")
    (folder / "lessons/stranger").symlink_to(outside)

    assert told(folder) == [
        "lessons/stranger:1: is a symbolic link; folders of a curriculum are real folders"
    ]


@pytest.mark.parametrize("kind", ["lessons", "images", "collections"])
def test_a_top_folder_that_is_a_link_is_refused(folder, tmp_path, kind):
    (folder / kind).rename(tmp_path / "elsewhere")
    (folder / kind).symlink_to(tmp_path / "elsewhere")

    assert f"{kind}:1: is a symbolic link; folders of a curriculum are real folders" in told(folder)


def test_meta_files_that_are_links_are_refused(folder, tmp_path):
    for name in ("images/utility/image.meta.yaml", "curriculum.meta.yaml"):
        (folder / name).rename(tmp_path / "moved")
        (folder / name).symlink_to(tmp_path / "moved")

    rendered = told(folder)

    for name in ("images/utility/image.meta.yaml", "curriculum.meta.yaml"):
        assert f"{name}:1: is a symbolic link, which is not followed here" in rendered


def test_version_control_and_caches_are_left_out(folder):
    before = check(folder).lessons[1].tree_digest
    write(folder, "lessons/good/.git/HEAD", "ref")
    write(folder, "lessons/good/stage0/__pycache__/x.pyc", b"\0\1")

    assert check(folder).lessons[1].tree_digest == before


def test_read_text_refuses_a_file_that_grew(tmp_path):
    # Files of procfs claim to be empty; only reading tells.
    with pytest.raises(Unreadable, match="has more than 10 bytes"):
        read_text(Path("/proc/self/status"), limit=10)


def test_a_folder_that_does_not_exist_is_one_problem(tmp_path):
    assert told(tmp_path / "nowhere") == [
        "curriculum.meta.yaml:1: the curriculum's folder does not exist or is not a folder"
    ]

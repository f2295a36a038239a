import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from curriculum.scaffold import LessonExists, LessonNotAllowed
from curriculum.scaffold import write_lesson as scaffold_lesson
from tests.curricula import SAMPLE, check, write_curriculum, write_lesson
from tests.waiting import PATIENCE

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


def manage(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as an author would who has no servers: with an empty environment."""
    return subprocess.run(
        [sys.executable, MANAGE, *map(str, arguments)],
        env={},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_validation_needs_no_servers_and_no_settings(tmp_path):
    done = manage("validate_curriculum", SAMPLE, "--strict", folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "3 lessons: 0 errors, 0 warnings.\n"


def test_validation_tells_every_problem_and_fails(tmp_path, capsys):
    folder = write_curriculum(tmp_path / "c", "a")
    write_lesson(folder, "b", more="prereqs: [nobody]\nx: 1\n")

    with pytest.raises(CommandError, match=r"^1 error, 1 warning\.$") as caught:
        call_command("validate_curriculum", str(folder))

    assert caught.value.returncode == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{folder}/lessons/b/lesson.meta.yaml:14: prerequisite 'nobody' does not exist",
        f"{folder}/lessons/b/lesson.meta.yaml:15: warning: key 'x' is not known and is ignored",
    ]


def test_warnings_fail_only_when_asked(tmp_path, capsys):
    folder = write_curriculum(tmp_path / "c")
    write_lesson(folder, "a", more="x: 1\n")

    call_command("validate_curriculum", str(folder))
    assert capsys.readouterr().out.splitlines()[-1] == "1 lesson: 0 errors, 1 warning."

    with pytest.raises(CommandError, match=r"^1 error, 0 warnings\.$"):
        call_command("validate_curriculum", str(folder), "--strict")


def test_schemas_are_exported_without_servers(tmp_path):
    done = manage("export_schemas", "made/here", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "made/here").iterdir())
    assert names == [
        "collection.schema.json",
        "curriculum.schema.json",
        "image.schema.json",
        "lesson.schema.json",
    ]
    assert json.loads((tmp_path / "made/here/lesson.schema.json").read_text())["title"]


def test_the_sample_names_its_schemas():
    for path in SAMPLE.rglob("*.meta.yaml"):
        first = path.read_text().splitlines()[0]
        prefix = "# yaml-language-server: $schema="
        assert first.startswith(prefix), path
        schema = path.parent / first.removeprefix(prefix)
        assert schema.resolve().name == path.name.replace(".meta.yaml", ".schema.json")
        assert schema.is_file(), path


def test_a_new_lesson_is_valid_as_it_stands(tmp_path, capsys):
    folder = write_curriculum(tmp_path / "c")

    call_command("new_lesson", str(folder), "deep-dive", "--name", 'A "deep": dive # {0}')

    assert capsys.readouterr().out.splitlines() == [
        f"{folder}/lessons/deep-dive/lesson.meta.yaml",
        f"{folder}/lessons/deep-dive/stage0/guide.md",
    ]
    loaded = check(folder, strict=True)
    assert loaded.problems == []
    (lesson,) = loaded.lessons
    assert lesson.definition is not None
    assert lesson.definition.name == 'A "deep": dive # {0}'


def test_a_new_lesson_replaces_nothing_and_stays_in_its_folder(tmp_path):
    folder = write_curriculum(tmp_path / "c", "a")
    before = (folder / "lessons/a/lesson.meta.yaml").read_text()

    with pytest.raises(LessonExists):
        scaffold_lesson(folder, slug="a")
    for slug in ("../../a", "", "Upper", "a\nb", "/tmp/x"):
        with pytest.raises(LessonNotAllowed):
            scaffold_lesson(folder, slug=slug)

    assert (folder / "lessons/a/lesson.meta.yaml").read_text() == before
    assert sorted(path.name for path in (folder / "lessons").iterdir()) == ["a"]


def test_progress_is_shown_on_a_terminal_only(tmp_path):
    write_curriculum(tmp_path / "c", "a", "b")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        done = subprocess.run(
            [sys.executable, MANAGE, "validate_curriculum", "c"],
            env={"TERM": "xterm"},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            timeout=PATIENCE,
        )
        os.close(theirs)
        shown = b""
        # Reading the screen of a terminal that nobody writes to any more is an error on Linux.
        with contextlib.suppress(OSError):
            while part := screen.read(4096):
                shown += part

    assert (done.returncode, done.stdout) == (0, "2 lessons: 0 errors, 0 warnings.\n")
    assert b"Reading lessons" in shown
    assert b"2/2" in shown

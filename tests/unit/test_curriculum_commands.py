import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.curricula import SAMPLE, write_curriculum, write_lesson

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


def manage(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as an author would who has no servers: with an empty environment."""
    return subprocess.run(
        [sys.executable, MANAGE, *map(str, arguments)],
        env={},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_validation_needs_no_servers_and_no_settings(tmp_path):
    done = manage("validate_curriculum", SAMPLE, "--strict", folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "3 lessons: 0 errors, 0 warnings.\n"


def test_validation_tells_every_problem_and_fails(tmp_path):
    write_curriculum(tmp_path / "c", "a")
    write_lesson(tmp_path / "c", "b", more="prereqs: [nobody]\nx: 1\n")

    done = manage("validate_curriculum", "c", folder=tmp_path)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "c/lessons/b/lesson.meta.yaml:14: prerequisite 'nobody' does not exist",
        "c/lessons/b/lesson.meta.yaml:15: warning: key 'x' is not known and is ignored",
    ]
    assert done.stderr == "CommandError: 1 error, 1 warning.\n"


@pytest.mark.parametrize(("strict", "status"), [((), 0), (("--strict",), 1)])
def test_warnings_fail_only_when_asked(tmp_path, strict, status):
    write_curriculum(tmp_path / "c")
    write_lesson(tmp_path / "c", "a", more="x: 1\n")

    assert manage("validate_curriculum", "c", *strict, folder=tmp_path).returncode == status


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

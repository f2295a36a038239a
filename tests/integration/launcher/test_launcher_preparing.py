"""What ``make up`` does to an installation before it serves, and what the console shows of it."""

import io
import json
from pathlib import Path

import pytest

from lessons.models import Collection, CurrentLesson
from syringe_project.launcher import prepare
from syringe_project.launcher.console import Console
from syringe_project.launcher.up import relay_message
from tests.curricula import write, write_curriculum, write_lesson

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch, capsys):
    """Return a function that imports a folder, and gives what a console shows of it."""
    monkeypatch.setenv("NO_COLOR", "1")

    def show(folder: Path, stream: io.StringIO) -> str:
        capsys.readouterr()
        prepare.import_curriculum(folder)
        console = Console(stream)
        for line in capsys.readouterr().out.splitlines():
            relay_message(console, line, {})
        return stream.getvalue()

    return show


def offered() -> set[str]:
    return set(CurrentLesson.objects.values_list("slug", flat=True))


def test_another_curriculum_takes_the_place_of_the_first(tmp_path, shown):
    first = write_curriculum(tmp_path / "first", "a", "b", "shared")
    second = write_curriculum(tmp_path / "second", "shared", "new")
    write(second, "collections/vendor/collection.meta.yaml", "slug: maker\ntitle: A maker\n")
    text = shown(first, io.StringIO())
    assert "Imported the curriculum: The curriculum is now revision 1." in text
    assert offered() == {"a", "b", "shared"}

    text = shown(second, io.StringIO())

    assert offered() == {"shared", "new"}
    assert set(Collection.objects.values_list("slug", flat=True)) == {"maker"}
    assert "Removed lessons: a, b" in text
    assert "Removed collections: vendor" in text
    assert "Reading lessons" not in text
    text = shown(second, io.StringIO())
    assert "Nothing changed; the curriculum stays at revision 2." in text
    assert "Removed" not in text


def test_what_a_refused_lesson_needs_is_kept_and_said(tmp_path, shown):
    folder = write_curriculum(tmp_path / "curriculum", "before", "alone")
    write_lesson(folder, "after", more="prereqs: [before]\n")
    shown(folder, io.StringIO())
    for name in ("before", "alone"):
        (folder / "lessons" / name).rename(tmp_path / name)

    text = shown(folder, io.StringIO())

    assert offered() == {"after", "before"}
    assert "after/lesson.meta.yaml:14: prerequisite 'before' does not exist" in text
    assert "Refused lessons: after" in text
    assert "Removed lessons: alone" in text
    assert "No longer in the folder but kept, lessons: before" in text


def test_a_folder_that_is_no_curriculum_is_refused_with_its_reasons(tmp_path, capsys):
    folder = write_curriculum(tmp_path / "curriculum", "a")
    write(folder, "curriculum.meta.yaml", "nonsense\n")

    with pytest.raises(prepare.Refused, match=r"curriculum\.meta\.yaml.*\n.* cannot be imported\."):
        prepare.import_curriculum(folder)

    assert offered() == set()
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == []


def test_a_terminal_shows_how_far_an_import_is(tmp_path, shown, monkeypatch):
    monkeypatch.setattr(prepare, "_PROGRESS_SECONDS", 0)

    text = shown(write_curriculum(tmp_path / "curriculum", "a", "b"), Terminal())

    assert "Reading lessons: 1 of 2 ...\r" in text
    assert "Writing lessons: 2 of 2 ...\r" in text

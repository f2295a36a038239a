import pytest
from django.core.management import CommandError, call_command

from lessons.models import Curriculum, Lesson
from tests.curricula import write, write_curriculum, write_lesson

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path):
    return write_curriculum(tmp_path / "curriculum", "a", "b")


def run(capsys, *arguments) -> tuple[list[str], list[str]]:
    call_command("import_curriculum", *map(str, arguments))
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def test_the_summary_says_what_was_done(folder, capsys):
    out, err = run(capsys, folder)

    assert err == []
    assert [line.split() for line in out[:4]] == [
        ["added", "changed", "unchanged", "refused", "removed"],
        ["lessons", "2", "0", "0", "0", "0"],
        ["collections", "1", "0", "0", "0", "0"],
        ["images", "1", "0", "0", "0", "0"],
    ]
    assert "Added lessons: a, b" in out
    assert out[-1] == "The curriculum is now revision 1."

    out, _ = run(capsys, folder)

    assert out[1].split() == ["lessons", "0", "0", "2", "0", "0"]
    assert out[-1] == "Nothing changed; the curriculum stays at revision 1."


def test_what_is_kept_is_said_with_the_way_to_remove_it(folder, capsys):
    run(capsys, folder)
    (folder / "lessons/a").rename(folder / "attic")

    out, _ = run(capsys, folder)

    assert "No longer in the folder but kept, lessons: a" in out
    assert any(line.startswith("--prune removes") for line in out)

    out, _ = run(capsys, folder, "--prune")

    assert "Removed lessons: a" in out


def test_errors_stop_the_import_and_are_all_told(folder, capsys):
    write_lesson(folder, "a", more="prereqs: [nobody]\n")
    write_lesson(folder, "b", more="collection: none\nx: 1\n")

    with pytest.raises(CommandError, match=r"2 errors, 1 warning\. Nothing was imported") as caught:
        run(capsys, folder)

    assert caught.value.returncode == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{folder}/lessons/a/lesson.meta.yaml:14: prerequisite 'nobody' does not exist",
        f"{folder}/lessons/b/lesson.meta.yaml:14: collection 'none' is not defined",
        f"{folder}/lessons/b/lesson.meta.yaml:15: warning: key 'x' is not known and is ignored",
    ]
    assert not Curriculum.objects.exists()


def test_skipping_names_what_is_refused(folder, capsys):
    write_lesson(folder, "a", more="prereqs: [nobody]\n")

    out, err = run(capsys, folder, "--skip-invalid")

    assert "Refused lessons: a" in out
    assert len(err) == 1
    assert Lesson.objects.get().slug == "b"


def test_checking_writes_nothing(folder, capsys):
    out, _ = run(capsys, folder, "--check")

    assert out == ["0 errors, 0 warnings."]
    assert not Curriculum.objects.exists()
    assert not Lesson.objects.exists()


@pytest.mark.parametrize("option", [(), ("--skip-invalid",)])
def test_checking_fails_on_errors(folder, capsys, option):
    write_lesson(folder, "a", more="prereqs: [nobody]\n")

    with pytest.raises(CommandError, match=r"^1 error, 0 warnings\.$"):
        run(capsys, folder, "--check", *option)

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_strict_makes_errors_of_warnings(folder, capsys):
    write(folder, "lessons/a/stage1/guide.md", "# Too many\n")
    run(capsys, folder)

    for options in (("--strict",), ("--strict", "--check")):
        with pytest.raises(CommandError, match=r"^1 error, 0 warnings"):
            run(capsys, folder, *options)


def test_passwords_are_in_no_output(folder, capsys):
    write(
        folder,
        "images/utility/image.meta.yaml",
        'slug: utility\nsshPassword: "hunter2\\nhunter2"\nnonsense: hunter2\n',
    )

    with pytest.raises(CommandError) as caught:
        run(capsys, folder)

    captured = capsys.readouterr()
    assert "hunter2" not in f"{captured.out}{captured.err}{caught.value}"

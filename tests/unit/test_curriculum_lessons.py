import pytest

from curriculum.lesson_rules import NAPALM_DRIVERS
from tests.curricula import LESSON, check, told, write, write_curriculum, write_lesson

META = "lessons/good/lesson.meta.yaml"
SECOND_ENDPOINT = """\
  - name: {name}
    image: utility
    presentations:
      - {{name: cli, port: 22, type: ssh}}
stages:
"""


@pytest.fixture
def folder(tmp_path):
    return write_curriculum(tmp_path / "curriculum", "good")


def rewrite(folder, old, new):
    path = folder / META
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_endpoint_names_are_unique(folder):
    rewrite(folder, "stages:\n", SECOND_ENDPOINT.format(name="linux1"))

    assert told(folder) == [f"{META}:12: endpoint name 'linux1' is used already in line 6"]


def test_presentation_names_are_unique_in_an_endpoint_only(folder):
    rewrite(folder, "stages:\n", SECOND_ENDPOINT.format(name="linux2"))
    assert told(folder) == []

    rewrite(
        folder,
        "type: ssh\n  - name: linux2",
        "type: ssh\n      - {name: cli, port: 80, type: http}\n  - name: linux2",
    )

    assert told(folder) == [f"{META}:12: presentation name 'cli' is used already in line 9"]


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        ("{a: linux1, b: nowhere}", "endpoint 'nowhere' does not exist"),
        ("{a: nowhere, b: linux1}", "endpoint 'nowhere' does not exist"),
        ("{a: linux1, b: linux1}", "a connection needs two different endpoints"),
        ("{a: linux1}", "connections[0].b is missing"),
    ],
)
def test_connections_lead_somewhere(folder, connection, problem):
    rewrite(folder, "stages:\n", f"connections:\n  - {connection}\nstages:\n")

    assert told(folder) == [f"{META}:13: {problem}"]


def test_every_stage_has_a_guide(folder):
    rewrite(folder, "The only one", "One\n  - description: Two\n    guideType: jupyter")

    assert told(folder) == [
        f"{META}:15: stage1/guide.ipynb is missing: stage 1 has no guide",
    ]


@pytest.mark.parametrize(
    ("notebook", "problem"),
    [
        ('{"cells": []}', None),
        ("not json", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "is not a Jupyter notebook: it has no list of cells"),
        ('{"cells": {}}', "is not a Jupyter notebook: it has no list of cells"),
    ],
)
def test_jupyter_guides_are_notebooks(folder, notebook, problem):
    rewrite(folder, "The only one", "One\n    guideType: jupyter")
    write(folder, "lessons/good/stage0/guide.ipynb", notebook)

    expected = [] if problem is None else [f"lessons/good/stage0/guide.ipynb:1: {problem}"]
    assert told(folder) == expected


def test_an_empty_guide_is_a_warning(folder):
    write(folder, "lessons/good/stage0/guide.md", "\n")

    assert told(folder) == ["lessons/good/stage0/guide.md:1: warning: is empty"]
    assert not check(folder).lessons[0].refused


def test_a_stage_folder_too_many_is_a_warning(folder):
    write(folder, "lessons/good/stage1/guide.md", "# Forgotten")

    assert told(folder) == [
        f"{META}:1: warning: folder stage1 belongs to no stage; the lesson has 1 (counted from 0)"
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("python", "linux1.py"),
        ("ansible", "linux1.yml"),
        *(("napalm", f"linux1-{driver}.txt") for driver in NAPALM_DRIVERS),
    ],
)
def test_configurations_are_found(folder, kind, name):
    rewrite(folder, "image: utility", f"image: utility\n    configurationType: {kind}")
    assert any("is missing" in line for line in told(folder))

    write(folder, f"lessons/good/stage0/configs/{name}", "x")

    assert told(folder) == []
    assert check(folder).lessons[0].configurations == [{"linux1": f"stage0/configs/{name}"}]


def test_a_hyphen_in_a_name_does_not_confuse_napalm(folder):
    rewrite(folder, "name: linux1", "name: r-1")
    rewrite(folder, "image: utility", "image: utility\n    configurationType: napalm")
    write(folder, "lessons/good/stage0/configs/r-1-nxos_ssh.txt", "x")
    write(folder, "lessons/good/stage0/configs/r-junos.txt", "another endpoint's")

    assert told(folder) == []
    assert check(folder).lessons[0].configurations == [{"r-1": "stage0/configs/r-1-nxos_ssh.txt"}]


@pytest.mark.parametrize(
    ("kind", "files", "problem"),
    [
        ("python", ["linux1.yml"], "stage0/configs/linux1.py is missing: linux1 is configured by"),
        ("ansible", ["linux1.yaml"], "stage0/configs/linux1.yml is missing"),
        ("napalm", ["linux1.txt"], "stage0/configs/linux1-DRIVER.txt is missing, DRIVER being"),
        ("napalm", ["linux1-vyos.txt"], "stage0/configs/linux1-DRIVER.txt is missing"),
        ("napalm", ["linux1-ios.txt", "linux1-eos.txt"], "both configure linux1; keep one"),
    ],
)
def test_configurations_that_are_missing_are_named(folder, kind, files, problem):
    rewrite(folder, "image: utility", f"image: utility\n    configurationType: {kind}")
    for name in files:
        write(folder, f"lessons/good/stage0/configs/{name}", "x")

    (line,) = told(folder)

    assert line.startswith(f"{META}:8: ")
    assert problem in line


def test_a_lesson_inside_a_lesson_is_refused(folder):
    write(folder, "lessons/good/inner/lesson.meta.yaml", "name: x\n")

    assert told(folder) == [
        "lessons/good/inner/lesson.meta.yaml:1: is a lesson inside another lesson's folder"
    ]


def test_lessons_may_lie_in_folders_of_folders(folder):
    (folder / "lessons/good").rename(folder / "moving")
    (folder / "lessons/tools/linux").mkdir(parents=True)
    (folder / "moving").rename(folder / "lessons/tools/linux/good")

    loaded = check(folder)

    assert loaded.problems == []
    assert [unit.file for unit in loaded.lessons] == ["lessons/tools/linux/good/lesson.meta.yaml"]


def test_a_mistake_in_the_file_hides_no_other_mistake(folder):
    meta = LESSON.format(slug="good").replace("tier: prod", "tier: no\nprereqs: [absent]")
    meta = meta.replace("image: utility", "image: unknown").replace("port: 22", "port: x")
    meta += "  - description: Two\n"
    write_lesson(folder, "good", meta=meta)

    assert told(folder) == [
        f"{META}:4: tier must be 'prod', 'ptr' or 'local'",
        f"{META}:5: prerequisite 'absent' does not exist",
        (
            f"{META}:8: warning: image 'unknown' is not defined, so the lesson is listed but "
            "cannot be started"
        ),
        f"{META}:11: endpoints[0].presentations[0].port must be a whole number",
        f"{META}:15: stage1/guide.md is missing: stage 1 has no guide",
    ]

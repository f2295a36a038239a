import pytest

from tests.curricula import REAL_CURRICULUM, SAMPLE, check, told, write, write_curriculum
from tests.curricula import write_lesson as lesson


@pytest.fixture
def folder(tmp_path):
    return write_curriculum(tmp_path / "curriculum")


def refused(folder, **options) -> set[str]:
    return {unit.label for unit in check(folder, **options).lessons if unit.refused}


def test_prerequisites_exist(folder):
    lesson(folder, "linux-basics")
    lesson(folder, "a", more="prereqs:\n  - linux-basics\n  - linux-basic\n")

    assert told(folder) == [
        (
            "lessons/a/lesson.meta.yaml:16: prerequisite 'linux-basic' does not exist; "
            "did you mean linux-basics?"
        )
    ]
    assert refused(folder) == {"a"}


def test_a_prerequisite_named_twice_is_a_warning(folder):
    lesson(folder, "b")
    lesson(folder, "a", more="prereqs:\n  - b\n  - b\n")

    assert told(folder) == [
        "lessons/a/lesson.meta.yaml:16: warning: prerequisite 'b' is named already in line 15"
    ]


def test_circles_are_named_from_every_member_and_refuse_what_needs_them(folder):
    lesson(folder, "a", more="prereqs: [b]\n")
    lesson(folder, "b", more="prereqs: [c]\n")
    lesson(folder, "c", more="prereqs: [a]\n")
    lesson(folder, "d", more="prereqs: [a]\n")
    lesson(folder, "e")

    rendered = told(folder)

    for line in (
        "lessons/a/lesson.meta.yaml:14: prerequisites go round in a circle: a -> b -> c -> a",
        "lessons/b/lesson.meta.yaml:14: prerequisites go round in a circle: b -> c -> a -> b",
        "lessons/c/lesson.meta.yaml:14: prerequisites go round in a circle: c -> a -> b -> c",
        (
            "lessons/d/lesson.meta.yaml:14: prerequisite 'a' is refused: "
            "see lessons/a/lesson.meta.yaml"
        ),
    ):
        assert line in rendered
    assert refused(folder) == {"a", "b", "c", "d"}


def test_circles_that_share_a_lesson_are_all_refused(folder):
    lesson(folder, "a", more="prereqs: [b]\n")
    lesson(folder, "b", more="prereqs: [a, c]\n")
    lesson(folder, "c", more="prereqs: [b]\n")

    assert refused(folder) == {"a", "b", "c"}


def test_a_lesson_does_not_need_itself(folder):
    lesson(folder, "a", more="prereqs: [a]\n")

    assert told(folder) == [
        "lessons/a/lesson.meta.yaml:14: prerequisites go round in a circle: a -> a"
    ]


def test_long_chains_are_no_circle(folder):
    lesson(folder, "n0")
    for number in range(1, 1500):
        lesson(folder, f"n{number}", more=f"prereqs: [n{number - 1}]\n")

    assert told(folder) == []


def test_what_needs_something_refused_is_refused_with_the_cause(folder):
    lesson(folder, "bad", more="colection: vendor\ncollection: nobody\n")
    lesson(folder, "middle", more="prereqs: [bad]\n")
    lesson(folder, "end", more="prereqs: [middle]\n")
    lesson(folder, "free")

    rendered = told(folder)

    assert (
        "lessons/middle/lesson.meta.yaml:14: prerequisite 'bad' is refused: "
        "see lessons/bad/lesson.meta.yaml" in rendered
    )
    assert (
        "lessons/end/lesson.meta.yaml:14: prerequisite 'middle' is refused: "
        "see lessons/middle/lesson.meta.yaml" in rendered
    )
    assert refused(folder) == {"bad", "middle", "end"}


def test_collections_exist(folder):
    lesson(folder, "a", more="collection: vendors\n")

    assert told(folder) == [
        "lessons/a/lesson.meta.yaml:14: collection 'vendors' is not defined; did you mean vendor?"
    ]


@pytest.mark.parametrize(
    ("file", "text", "more"),
    [
        ("collections/vendor/collection.meta.yaml", "slug: vendor\n", "collection: vendor\n"),
        ("images/utility/image.meta.yaml", "slug: utility\nflavor: odd\n", ""),
    ],
)
def test_a_lesson_is_refused_with_its_collection_or_image(folder, file, text, more):
    write(folder, file, text)
    lesson(folder, "a", more=more)

    assert any(f"is refused: see {file}" in line for line in told(folder))
    assert refused(folder) == {"a"}


def test_an_image_that_nobody_defines_is_a_warning_and_with_strict_an_error(folder):
    lesson(folder, "a")
    path = folder / "lessons/a/lesson.meta.yaml"
    path.write_text(path.read_text().replace("image: utility", "image: utilities"))

    line = (
        "image 'utilities' is not defined, so the lesson is listed but cannot be started; "
        "did you mean utility?"
    )
    assert told(folder) == [f"lessons/a/lesson.meta.yaml:7: warning: {line}"]
    assert check(folder).lessons[0].missing_images == ["utilities"]
    assert refused(folder) == set()
    assert told(folder, strict=True) == [f"lessons/a/lesson.meta.yaml:7: {line}"]
    assert refused(folder, strict=True) == {"a"}


def test_a_slug_that_several_have_is_refused_for_all_of_them(folder):
    lesson(folder, "one")
    lesson(folder, "two")
    lesson(folder, "other")
    path = folder / "lessons/two/lesson.meta.yaml"
    path.write_text(path.read_text().replace("slug: two", "slug: one"))
    write(folder, "images/copy/image.meta.yaml", "slug: utility\n")

    rendered = told(folder)

    assert (
        "lessons/one/lesson.meta.yaml:2: slug 'one' is also that of lessons/two/lesson.meta.yaml:2"
        in rendered
    )
    assert (
        "lessons/two/lesson.meta.yaml:2: slug 'one' is also that of lessons/one/lesson.meta.yaml:2"
        in rendered
    )
    assert "images/copy/image.meta.yaml:1: slug 'utility' is also that of" in " ".join(rendered)


def test_a_hidden_prerequisite_is_a_warning(folder):
    lesson(folder, "a", more="prereqs: [b]\n")
    lesson(folder, "b")
    path = folder / "lessons/b/lesson.meta.yaml"
    path.write_text(path.read_text().replace("tier: prod", "tier: local"))

    assert told(folder) == [
        (
            "lessons/a/lesson.meta.yaml:14: warning: prerequisite 'b' is of tier local: "
            "it is hidden from learners who see this lesson of tier prod"
        )
    ]


def test_problems_come_sorted_and_once(folder):
    lesson(folder, "b", more="x1: 1\nprereqs: [nobody]\n")
    lesson(folder, "a", more="x2: 1\n")
    problems = check(folder).problems

    assert [(problem.file, problem.line) for problem in problems] == [
        ("lessons/a/lesson.meta.yaml", 14),
        ("lessons/b/lesson.meta.yaml", 14),
        ("lessons/b/lesson.meta.yaml", 15),
    ]


def test_a_curriculum_without_its_file_is_an_error(folder):
    (folder / "curriculum.meta.yaml").unlink()

    assert told(folder) == ["curriculum.meta.yaml:1: cannot be read: No such file or directory"]


def test_the_sample_has_no_fault_and_what_newcomers_need():
    loaded = check(SAMPLE, strict=True)

    assert loaded.problems == []
    definitions = [unit.definition for unit in loaded.lessons if unit.definition]
    assert len(definitions) >= 3
    kinds = {
        (
            len(lesson.endpoints),
            frozenset(e.configuration_type for e in lesson.endpoints),
            frozenset(p.type for e in lesson.endpoints for p in e.presentations),
        )
        for lesson in definitions
    }
    assert (1, frozenset({None}), frozenset({"ssh"})) in kinds
    assert (2, frozenset({"python"}), frozenset({"ssh"})) in kinds
    assert any("http" in presentations for _, _, presentations in kinds)
    assert all(len(lesson.stages) >= 2 for lesson in definitions)


@pytest.mark.parametrize(
    "path", sorted(SAMPLE.rglob("*.py")), ids=lambda path: str(path.relative_to(SAMPLE))
)
def test_the_samples_scripts_compile(path):
    compile(path.read_text(), str(path), "exec")


@pytest.mark.skipif(not REAL_CURRICULUM.is_dir(), reason=f"no {REAL_CURRICULUM.name} beside it")
class TestRealCurriculum:
    def test_only_what_is_left_out_is_missed(self):
        loaded = check(REAL_CURRICULUM)

        errors = [p.message for p in loaded.problems if p.severity == "error"]
        roots = {message for message in errors if "does not exist" in message}
        assert roots == {"prerequisite 'jinja-configuration-templates' does not exist"}
        assert all("does not exist" in m or "is refused: see" in m for m in errors)
        assert {unit.slug for unit in loaded.lessons if unit.refused} == {
            "napalm-multi-vendor-network-automation",
            "stackstorm-event-driven-automation",
            "template-generation-device",
        }

    def test_undefined_images_are_warnings(self):
        loaded = check(REAL_CURRICULUM)

        missing = {unit.slug: unit.missing_images for unit in loaded.lessons if unit.missing_images}
        assert missing == {"openconfig-vendor-neutral": ["container-vqfx"]}
        assert not any(u.refused for u in (*loaded.images, *loaded.collections))

    def test_with_the_missing_lesson_all_of_it_is_good(self, tmp_path):
        for name in ("lessons", "images", "collections"):
            (tmp_path / name).mkdir()
            for entry in (REAL_CURRICULUM / name).iterdir():
                # Hard copies: folders of a curriculum may not be links.
                for file in entry.rglob("*"):
                    if file.is_file():
                        place = file.relative_to(REAL_CURRICULUM)
                        write(tmp_path, str(place), file.read_bytes())
        write(tmp_path, "curriculum.meta.yaml", "name: x\n")
        lesson(tmp_path, "jinja-configuration-templates")

        assert not check(tmp_path).has_errors

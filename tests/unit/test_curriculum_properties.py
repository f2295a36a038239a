"""Whatever is written into a curriculum's folder, the loader tells problems and nothing else."""

import random
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from curriculum.bundles import pack
from curriculum.definitions import parse_definition
from curriculum.documents import parse_document
from curriculum.lesson_rules import check_names, find_configurations
from curriculum.objective_rules import check_objectives, read_solutions
from curriculum.objectives import CheckEntry, HttpEntry, ObjectiveEntry
from curriculum.outline import outline
from curriculum.problems import Report
from curriculum.schema import FILE_MODELS, StageEntry
from curriculum.tree import Limits
from tests.curricula import LESSON, check, write, write_curriculum

MODELS = (*FILE_MODELS.values(), StageEntry, ObjectiveEntry, CheckEntry, HttpEntry)
KEYS = sorted(
    {field.alias for model in MODELS for field in model.model_fields.values() if field.alias}
)
SCALARS = st.one_of(
    st.text(max_size=12),
    st.integers().map(str),
    st.sampled_from(["", "~", "x", "a-b", "../..", "22", "10.0.0.0/8", "python", "prod", "yes"]),
)
PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


def nested(scalars: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.one_of(st.sampled_from(KEYS), scalars), inner, max_size=4),
        ),
        max_leaves=15,
    )


VALUES = nested(SCALARS)
PLAIN_VALUES = nested(PLAIN)
FILES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8)


def flow(value: object) -> str:
    """Write a value as YAML on one line, each text quoted as YAML wants it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return "'" + str(value).replace("'", "''") + "'"


def consider(kind: str, text: str) -> Report:
    report = Report(f"{kind}.meta.yaml")
    document = parse_document(text, report)
    if document is None:
        assert report.has_errors
        return report
    if kind == "lesson":
        lesson = outline(document)
        check_names(lesson, report)
        find_configurations({}, lesson, report)
        check_objectives((), lesson, report)
        read_solutions({}, "lessons/x", lesson, report)
    definition = parse_definition(document, FILE_MODELS[kind], report)
    assert definition is not None or report.has_errors
    lines = max(1, len(text.splitlines()))
    for problem in report.problems:
        assert 1 <= problem.line <= lines
        assert "\n" not in problem.render()
        assert problem.render().isprintable()
    return report


@given(st.sampled_from(sorted(FILE_MODELS)), st.text(max_size=200))
@example("lesson", "a: 1\n\x85b: 2")
@example("lesson", "\ufeffname: x")
@example("lesson", "%YAML 3.0\n---\na: 1")
@example("lesson", "a: |\n" + " " * 300 + "\n  x")
def test_any_text_is_read_or_refused(kind, text):
    consider(kind, text)


@given(st.sampled_from(sorted(FILE_MODELS)), FILES)
def test_any_values_under_the_right_keys_are_read_or_refused(kind, value):
    consider(kind, flow(value))


STAGES = st.dictionaries(
    st.sampled_from([field.alias for field in StageEntry.model_fields.values()]), VALUES
)
OBJECTIVES = st.dictionaries(
    st.sampled_from([field.alias for field in ObjectiveEntry.model_fields.values()]),
    st.one_of(
        VALUES,
        st.dictionaries(
            st.sampled_from([field.alias for field in CheckEntry.model_fields.values()]), VALUES
        ),
    ),
)


@given(st.lists(STAGES, max_size=2), st.lists(OBJECTIVES, max_size=3))
def test_any_objectives_are_read_or_refused(stages, objectives):
    described = [{**stage, "objectives": objectives} for stage in stages]
    consider("lesson", flow({"name": "X", "slug": "x", "tier": "prod", "stages": described}))


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_any_damage_to_a_good_file_is_read_or_refused(seed, cuts):
    source = random.Random(seed)
    text = list(LESSON.format(slug="x"))
    for _ in range(cuts):
        place = source.randrange(len(text))
        match source.randrange(3):
            case 0:
                del text[place]
            case 1:
                text[place] = chr(source.choice([9, 10, 34, 38, 42, 45, 58, 91, 123, 0x2028]))
            case _:
                text.insert(place, source.choice(text))
    consider("lesson", "".join(text))


@given(st.dictionaries(st.sampled_from(KEYS), PLAIN_VALUES, max_size=6))
def test_unknown_keys_change_nothing(extra):
    known = {field.alias for field in FILE_MODELS["collection"].model_fields.values()}
    unknown = {key: value for key, value in extra.items() if key not in known}
    report = consider("collection", flow({"slug": "a", "title": "A", **unknown}))

    assert not report.has_errors
    assert len(report.problems) == len(unknown)


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "curriculum.meta.yaml",
                "lessons/lesson.meta.yaml",
                "lessons/a/lesson.meta.yaml",
                "lessons/a/stage0/guide.md",
                "lessons/a/stage0/guide.ipynb",
                "lessons/b/b/lesson.meta.yaml",
                "lessons/good/stage0/guide.md",
                "images/x/image.meta.yaml",
                "collections/x/collection.meta.yaml",
            ]
        ),
        st.one_of(st.binary(max_size=60), FILES.map(lambda value: flow(value).encode())),
        max_size=5,
    )
)
def test_any_folder_is_read_or_refused_and_the_good_lesson_can_be_packed(files):
    with tempfile.TemporaryDirectory() as place:
        folder = write_curriculum(Path(place), "good")
        for name, content in files.items():
            write(folder, name, content)

        loaded = check(folder)

        for unit in loaded.lessons:
            if not unit.refused:
                packed = pack(unit.files, limits=Limits())
                assert packed.tree_digest == unit.tree_digest
                assert unit.definition is not None
                assert len(unit.guides) == len(unit.definition.stages)
                assert len(unit.configurations) == len(unit.definition.stages)
                assert len(unit.solutions) == len(unit.definition.stages)

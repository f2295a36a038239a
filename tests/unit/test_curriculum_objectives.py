"""Objectives as authors write them: what is refused, and what comes of what is not."""

import json
import textwrap

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curriculum.objectives import KINDS
from curriculum.rows import lesson_digest, lesson_spec
from curriculum.schema import json_schema
from lessons.specs import (
    complete_message_of,
    counting,
    is_gate,
    objective_variable,
    stage_objectives,
    told_objectives,
)
from tests.curricula import SAMPLE, check, told, write, write_curriculum, write_lesson

META = "lessons/good/lesson.meta.yaml"
HEAD = """\
name: Good
slug: good
tier: prod
endpoints:
  - name: box
    image: utility
    additionalPorts: [9000]
  - name: linux
    image: utility
    presentations:
      - {name: cli, port: 22, type: ssh}
  - name: web
    image: utility
    presentations:
      - {name: page, port: 8080, type: http}
stages:
  - description: Only
"""
FIRST_LINE = HEAD.count("\n") + 1
RUN = "{run: 'true'}"


@pytest.fixture
def folder(tmp_path):
    return write_curriculum(tmp_path / "curriculum")


def lesson(folder, stage: str) -> list[str]:
    """Write a lesson whose only stage has these keys too; return what is said of it."""
    write_lesson(folder, "good", meta=HEAD + textwrap.indent(textwrap.dedent(stage), "    "))
    return told(folder)


def objective(slug: str = "a", *, check: str = RUN, more: str = "") -> str:
    tail = f", {more}" if more else ""
    return f"  - {{slug: {slug}, description: Do it, check: {check}{tail}}}\n"


def objectives(*entries: str) -> str:
    return "objectives:\n" + "".join(entries)


def spec_of(folder):
    (unit,) = check(folder).lessons
    assert not unit.refused, unit.report.problems
    images = {image.slug: image.definition for image in check(folder).images}
    return lesson_spec(unit, images, digest="0" * 64, bundle_sha256="1" * 64)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("slug: A, description: x, check: " + RUN, "objectives[0].slug must be a DNS label"),
        ("slug: a, check: " + RUN, "objectives[0].description is missing"),
        ("slug: a, description: ' ', check: " + RUN, "objectives[0].description must not be"),
        ("slug: a, description: x", "objectives[0].check is missing"),
        ("slug: a, description: x, mode: once, check: " + RUN, "mode must be 'edge' or 'level'"),
        ("slug: a, description: x, check: {}", "must have exactly one of run, file, http, tcp"),
        (
            "slug: a, description: x, check: {run: x, tcp: {port: 9000}}",
            "objectives[0].check must have exactly one of run, file, http, tcp and output",
        ),
        ("slug: a, description: x, check: {run: '  '}", "check.run must not be empty"),
        ("slug: a, description: x, check: {run: x, timeout: 0}", "timeout must be at least 1"),
        ("slug: a, description: x, check: {run: x, timeout: 121}", "timeout must be at most 120"),
        ("slug: a, description: x, check: {run: x, interval: 301}", "interval must be at most 300"),
        ("slug: a, description: x, check: {tcp: {}}", "check.tcp.port is missing"),
        ("slug: a, description: x, check: {tcp: {port: 0}}", "check.tcp.port must be at least 1"),
        (
            "slug: a, description: x, check: {output: {command: ls, matches: '('}}",
            "check.output.matches is not a regular expression: missing )",
        ),
        (
            "slug: a, description: x, check: {output: {command: ls}}",
            "check.output.matches is missing",
        ),
        ("slug: a, description: x, check: {http: {body: '['}}", "http.body is not a regular"),
        ("slug: a, description: x, check: {http: {path: status}}", "http.path must begin with /"),
        ("slug: a, description: x, check: {http: {status: 99}}", "http.status must be at least"),
        (
            "slug: a, description: x, check: {http: {json: {path: a..b, equals: 1}}}",
            "check.http.json.path must be keys and indexes with dots between",
        ),
        (
            "slug: a, description: x, check: {http: {json: {path: a}}}",
            "check.http.json.equals is missing",
        ),
        (
            f"slug: a, description: x, check: {RUN}, hints: [{{text: Try}}]",
            "objectives[0].hints[0] needs afterFailures or afterMinutes",
        ),
        (
            f"slug: a, description: x, check: {RUN}, hints: [{{text: Try, afterFailures: 0}}]",
            "hints[0].afterFailures must be at least 1",
        ),
    ],
)
def test_mistakes_in_an_objective_are_named_at_their_line(folder, keys, problem):
    (line,) = lesson(folder, f"objectives:\n  - {{{keys}}}\n")

    assert line.startswith(f"{META}:{FIRST_LINE + 1}: stages[0].objectives[0]")
    assert problem in line


def test_an_unknown_key_hides_no_missing_kind(folder):
    assert lesson(folder, objectives(objective(check="{rum: 'true'}"))) == [
        (
            f"{META}:{FIRST_LINE + 1}: warning: key 'rum' in stages[0].objectives[0].check is not "
            "known and is ignored; did you mean run?"
        ),
        (
            f"{META}:{FIRST_LINE + 1}: stages[0].objectives[0].check must have exactly one of "
            "run, file, http, tcp and output"
        ),
    ]


def test_slugs_are_unique_in_their_stage(folder):
    assert lesson(folder, objectives(objective(), objective())) == [
        f"{META}:{FIRST_LINE + 2}: objective 'a' is there already in line {FIRST_LINE + 1}"
    ]


def test_what_is_needed_exists_in_the_same_stage(folder):
    entries = objective("make-notes"), objective("b", more="needs: [make-note]")

    assert lesson(folder, objectives(*entries)) == [
        (
            f"{META}:{FIRST_LINE + 2}: objective 'make-note' does not exist in this stage; "
            "did you mean 'make-notes'?"
        )
    ]


def test_needs_do_not_go_round_in_a_circle(folder):
    entries = (
        objective("free"),
        objective("a", more="needs: [free, c]"),
        objective("b", more="needs: [a]"),
        objective("c", more="needs: [b]"),
        objective("self", more="needs: [self]"),
    )

    assert lesson(folder, objectives(*entries)) == [
        f"{META}:{FIRST_LINE + 2}: needs go round in a circle: a -> c -> b -> a",
        f"{META}:{FIRST_LINE + 5}: needs go round in a circle: self -> self",
    ]


def test_what_counts_should_not_need_what_is_optional(folder):
    entries = objective("a", more="optional: true"), objective("b", more="needs: [a]")

    assert lesson(folder, objectives(*entries)) == [
        (
            f"{META}:{FIRST_LINE + 2}: warning: objective 'a' is optional, but 'b' is not and "
            "needs it"
        )
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{run: ls, endpoint: linx}", "endpoint 'linx' does not exist; did you mean 'linux'?"),
        ("{run: ls, endpoint: web}", "endpoint 'web' has no presentation of type ssh"),
        (
            "{output: {command: ls, matches: x}, endpoint: box}",
            "endpoint 'box' has no presentation of type ssh, so nothing can be run on it",
        ),
        (
            "{http: {}, endpoint: linux}",
            "endpoint 'linux' has no presentation of type http, so the port must be named",
        ),
        (
            "{tcp: {port: 22}}",
            "port 22 is in neither the presentations nor the additionalPorts of endpoint 'box'",
        ),
        ("{http: {port: 9000}}", "port 9000 is in neither the presentations nor the"),
        ("{file: checks/absent.py}", "'checks/absent.py' is missing in the lesson's folder"),
    ],
)
def test_checks_are_about_something_that_can_be_reached(folder, entry, problem):
    (line,) = lesson(folder, objectives(objective(check=entry)))

    assert line.startswith(f"{META}:{FIRST_LINE + 1}: ")
    assert problem in line


@pytest.mark.parametrize(
    "path",
    ["/etc/x.py", "../x.py", "a/../x.py", "./x.py", "a//x.py", "a\\\\x.py", "x.sh", ".py/", "''"],
)
def test_files_of_checks_are_below_the_folder_and_of_a_known_kind(folder, path):
    (line,) = lesson(folder, objectives(objective(check=f'{{file: "{path}"}}')))

    assert "check.file must be a path below the lesson's folder that ends in .py" in line


def test_without_a_terminal_nothing_can_be_run(folder):
    meta = HEAD.replace("type: ssh", "type: http") + "    objectives:\n    " + objective()
    write_lesson(folder, "good", meta=meta)

    assert told(folder) == [
        (
            f"{META}:{FIRST_LINE + 1}: no endpoint has a presentation of type ssh, "
            "so nothing can be run"
        )
    ]


@pytest.mark.parametrize("stage", ["", objectives(objective(more="optional: true"))])
def test_a_gate_that_never_opens_is_refused(folder, stage):
    assert lesson(folder, "gate: true\n" + stage) == [
        (
            f"{META}:{FIRST_LINE}: gate needs an objective that is not optional, "
            "or the next stage never opens"
        )
    ]


def test_a_message_that_is_never_shown_is_a_warning(folder):
    assert lesson(folder, "completeMessage: Done\n") == [
        (
            f"{META}:{FIRST_LINE}: warning: completeMessage is never shown: "
            "the stage has no objective that is not optional"
        )
    ]


def test_a_mistake_elsewhere_hides_none_of_these(folder):
    stage = objectives(objective("a", more="needs: [b]", check="{file: x.py, endpoint: nobody}"))
    problems = lesson(folder, "guideType: odd\n" + stage)

    assert len(problems) == 4


def test_everything_that_is_left_out_is_decided(folder):
    write(folder, "lessons/good/checks/x.yml", "x")
    entries = (
        objective("run"),
        objective("file", check="{file: checks/x.yml, timeout: 60, interval: 5}"),
        objective("http", check="{http: {}}"),
        objective("tcp", check="{tcp: {port: 9000}}", more="mode: level, needs: [run, run]"),
        objective("output", check="{output: {command: ls, matches: x}}", more="optional: yes"),
    )
    stage = "gate: true\ncompleteMessage: Done.\n" + objectives(*entries)
    assert lesson(folder, stage) == []

    spec = spec_of(folder)
    found = {objective["slug"]: objective for objective in stage_objectives(spec, 0)}

    assert list(found) == ["run", "file", "http", "tcp", "output"]
    assert found["run"] == {
        "slug": "run",
        "description": "Do it",
        "optional": False,
        "mode": "edge",
        "needs": [],
        "hints": [],
        "check": {
            "kind": "run",
            "script": "true",
            "endpoint": "linux",
            "timeout_seconds": 10,
            "interval_seconds": 2,
        },
    }
    assert found["file"]["check"] == {
        "kind": "file",
        "path": "checks/x.yml",
        "language": "ansible",
        "endpoint": "linux",
        "timeout_seconds": 60,
        "interval_seconds": 5,
    }
    assert found["http"]["check"] == {
        "kind": "http",
        "port": 8080,
        "path": "/",
        "status": 200,
        "body": "",
        "json": None,
        "endpoint": "web",
        "timeout_seconds": 10,
        "interval_seconds": 2,
    }
    assert (found["tcp"]["check"]["endpoint"], found["tcp"]["mode"]) == ("box", "level")
    assert found["tcp"]["needs"] == ["run"]
    assert [o["slug"] for o in counting(found.values())] == ["run", "file", "http", "tcp"]
    assert (complete_message_of(spec, 0), is_gate(spec, 0)) == ("Done.", True)


@pytest.mark.parametrize("equals", ["true", "3", "open", "'null'"])
def test_what_json_says_is_a_text(folder, equals):
    assert (
        lesson(
            folder,
            objectives(objective(check=f"{{http: {{json: {{path: a.0, equals: {equals}}}}}}}")),
        )
        == []
    )

    (found,) = stage_objectives(spec_of(folder), 0)

    assert found["check"]["json"] == {"path": "a.0", "equals": equals.strip("'")}


def test_hints_keep_their_conditions(folder):
    hints = "hints: [{text: One, afterFailures: 3}, {text: Two, afterMinutes: 5}]"
    lesson(folder, objectives(objective(more=hints)))

    (found,) = stage_objectives(spec_of(folder), 0)

    assert found["hints"] == [
        {"text": "One", "after_failures": 3, "after_minutes": None},
        {"text": "Two", "after_failures": None, "after_minutes": 5},
    ]


OLDER = """\
verification:
  objectives:
    - Make a file
    - Read it
  completeMessage: Well done.
"""


def test_the_older_form_becomes_objectives(folder):
    for number in (1, 2):
        write(folder, f"lessons/good/stage0/objectives/objective{number}.py", "print()")
    assert lesson(folder, OLDER) == []

    spec = spec_of(folder)

    assert [
        (o["slug"], o["description"], o["optional"], o["check"]) for o in stage_objectives(spec, 0)
    ] == [
        (
            f"objective-{number}",
            text,
            False,
            {
                "kind": "file",
                "path": f"stage0/objectives/objective{number}.py",
                "language": "python",
                "endpoint": "linux",
                "timeout_seconds": 10,
                "interval_seconds": 2,
            },
        )
        for number, text in ((1, "Make a file"), (2, "Read it"))
    ]
    assert complete_message_of(spec, 0) == "Well done."


def test_the_older_form_needs_its_scripts_and_stands_alone(folder):
    write(folder, "lessons/good/stage0/objectives/objective1.py", "print()")

    assert lesson(folder, OLDER + objectives(objective())) == [
        (f"{META}:{FIRST_LINE}: verification is the older form of objectives; use one of both"),
        (
            f"{META}:{FIRST_LINE + 3}: 'stage0/objectives/objective2.py' is missing in the "
            "lesson's folder"
        ),
    ]


def test_solutions_are_read_and_named_after_endpoints(folder):
    write(folder, "lessons/good/stage0/solve/linux.sh", "touch notes\n")
    assert lesson(folder, objectives(objective())) == []
    assert check(folder).lessons[0].solutions == [{"linux": "touch notes\n"}]

    write(folder, "lessons/good/stage0/solve/web.sh", "x")
    write(folder, "lessons/good/stage0/solve/nobody.sh", "x")

    assert told(folder) == [
        "lessons/good/stage0/solve/nobody.sh:1: is named after no endpoint",
        (
            "lessons/good/stage0/solve/web.sh:1: cannot run: endpoint 'web' has no presentation "
            "of type ssh"
        ),
    ]


def test_learners_get_neither_solutions_nor_the_file_with_the_checks(folder):
    write(folder, "lessons/good/stage0/solve/linux.sh", "touch notes\n")
    lesson(folder, objectives(objective()))

    (unit,) = check(folder).lessons

    assert [file.name for file in unit.files] == ["stage0/guide.md"]
    assert told_objectives(spec_of(folder), 0) == [
        {"slug": "a", "description": "Do it", "optional": False, "needs": []}
    ]


def test_a_lesson_without_objectives_keeps_its_whole_folder(folder):
    lesson(folder, "")

    assert [file.name for file in check(folder).lessons[0].files] == [
        "lesson.meta.yaml",
        "stage0/guide.md",
    ]


@pytest.mark.parametrize("changed", [META, "lessons/good/stage0/solve/linux.sh"])
def test_what_learners_do_not_get_makes_another_version_too(folder, changed):
    write(folder, "lessons/good/stage0/solve/linux.sh", "touch notes\n")
    lesson(folder, objectives(objective()))
    before = lesson_digest(check(folder).lessons[0], {})

    path = folder / changed
    path.write_text(path.read_text() + "# changed\n")

    assert lesson_digest(check(folder).lessons[0], {}) != before


def test_rows_stored_before_there_were_objectives_have_none():
    spec = {"stages": [{"guide_type": "markdown", "configurations": {}}]}

    assert stage_objectives(spec, 0) == []
    assert (complete_message_of(spec, 0), is_gate(spec, 0)) == ("", False)


def test_variables_are_named_after_slugs():
    assert objective_variable("make-notes-2") == "OBJECTIVE_MAKE_NOTES_2"


def test_the_schema_accepts_the_sample_and_refuses_two_kinds_of_check():
    validator = jsonschema.Draft202012Validator(json_schema("lesson"))
    kinds = set()
    for path in SAMPLE.rglob("lesson.meta.yaml"):
        document = json.loads(json.dumps(yaml.safe_load(path.read_text())))
        validator.validate(document)
        for stage in document["stages"]:
            for entry in stage["objectives"]:
                kinds |= entry["check"].keys() & set(KINDS)
                entry["check"] |= {"run": "true", "tcp": {"port": 22}}
        assert not validator.is_valid(document)
    assert kinds == set(KINDS)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3)),
        min_size=1,
        max_size=6,
        unique_by=lambda pair: pair[0],
    )
)
def test_needs_are_refused_exactly_when_no_order_fulfils_them(tmp_path_factory, graph):
    folder = write_curriculum(tmp_path_factory.mktemp("needs"))
    entries = [objective(slug, more=f"needs: [{', '.join(needs)}]") for slug, needs in graph]

    problems = lesson(folder, objectives(*entries))

    done: set[str] = set()
    for _ in graph:
        done |= {slug for slug, needs in graph if done.issuperset(needs)}
    assert (problems == []) is (len(done) == len(graph)), problems

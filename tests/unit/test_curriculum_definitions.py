import json
import textwrap

import jsonschema
import pytest
import yaml

from curriculum.definitions import parse_definition
from curriculum.documents import parse_document
from curriculum.problems import Report
from curriculum.schema import FILE_MODELS, ImageFile, LessonFile, json_schema
from lessons.specs import GUIDE_ENDPOINT
from tests.curricula import LESSON, SAMPLE


def define(kind: str, text: str):
    report = Report("f")
    document = parse_document(text, report)
    assert document is not None
    definition = parse_definition(document, FILE_MODELS[kind], report)
    return definition, [problem.render() for problem in report.problems]


def lesson_with(old: str, new: str) -> list[str]:
    text = LESSON.format(slug="x")
    assert old in text
    definition, problems = define("lesson", text.replace(old, new))
    assert (definition is None) == any(": warning: " not in line for line in problems)
    return problems


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("slug: x\n", "", "f:1: slug is missing"),
        ("name: x by name\n", "", "f:1: name is missing"),
        ("name: x by name", 'name: ""', "f:1: name must not be empty"),
        ("name: x by name", 'name: "a\\nb"', "f:1: name must be one line without control"),
        ("name: x by name", 'name: "a\\u202eb"', "f:1: name must be one line without control"),
        ("slug: x", "slug: ../../etc", "f:2: slug must be lower-case letters, digits and"),
        ("slug: x", "slug: Upper", "f:2: slug must be lower-case"),
        ("slug: x", "slug: x-", "f:2: slug must be lower-case"),
        ("slug: x", f"slug: {'x' * 101}", "f:2: slug must have at most 100 characters"),
        ("slug: x", "slug: [x]", "f:2: slug must be a text"),
        ("tier: prod", "tier: beta", "f:4: tier must be 'prod', 'ptr' or 'local'"),
        ("tier: prod", "", "tier is missing"),
        ("port: 22", "port: 0", "f:10: endpoints[0].presentations[0].port must be at least 1"),
        ("port: 22", "port: 65536", "port must be at most 65535"),
        ("port: 22", "port: 2.5", "port must be a whole number"),
        ("port: 22", "port: " + "9" * 5000, "port must be a whole number"),
        ("type: ssh", "type: vnc", "f:11: endpoints[0].presentations[0].type must be 'ssh' or"),
        ("name: linux1", "name: Linux_1", "f:6: endpoints[0].name must be a DNS label"),
        ("name: linux1", f"name: {'a' * 64}", "endpoints[0].name must have at most 63"),
        ("name: linux1", "name: localhost", "f:6: endpoints[0].name must not be localhost, which"),
        ("name: linux1", f"name: {GUIDE_ENDPOINT}", "f:6: endpoints[0].name must not be jupyterl"),
        ("image: utility", "image: a/../b", "f:7: endpoints[0].image must be letters"),
        ("image: utility", "configurationType: puppet", "f:7: endpoints[0].configurationType"),
        ("  - description: The only one\n", "  []\n", "stages must have at least 1 entry"),
        ("stages:\n  - description: The only one\n", "", "f:1: stages is missing"),
        ("  - description: The only one", "  - oops", "f:13: stages[0] must be a mapping"),
        ("tier: prod", "tier: prod\nvideo: 'javascript:alert(1)'", "f:5: video must be an http"),
        ("tier: prod", "tier: prod\ntags: one", "f:5: tags must be a list"),
        ("tier: prod", "tier: prod\nreadyDelay: -1", "f:5: readyDelay must be at least 0"),
    ],
)
def test_every_mistake_is_named_at_its_line(old, new, problem):
    problems = lesson_with(old, new)

    assert any(problem in line for line in problems), problems


@pytest.mark.parametrize(
    ("subnet", "good"),
    [
        ("10.1.0.0/24", True),
        ("10.1.0.0/30", True),
        ("fd00::/64", True),
        ("", True),
        ("10.1.0.1/24", False),
        ("10.1.0.0/31", False),
        ("10.1.0.0", False),
        ("300.1.0.0/24", False),
        ("twelve", False),
    ],
)
def test_subnets_parse_and_have_room_for_two(subnet, good):
    problems = lesson_with(
        "stages:", f"connections:\n  - a: linux1\n    b: linux1\n    subnet: '{subnet}'\nstages:"
    )

    assert (problems == []) is good


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("shortdescription", "; did you mean shortDescription?"),
        ("short_description", "; did you mean shortDescription?"),
        ("prereq", "; did you mean prereqs?"),
        ("zzzzzz", ""),
    ],
)
def test_unknown_keys_are_warnings_with_a_guess(key, hint):
    problems = lesson_with("tier: prod", f"tier: prod\n{key}: 1")

    assert problems == [f"f:5: warning: key '{key}' is not known and is ignored{hint}"]


def test_unknown_keys_deep_down_are_named_with_their_place():
    problems = lesson_with("port: 22", "port: 22\n        prot: tcp")

    assert problems == [
        (
            "f:11: warning: key 'prot' in endpoints[0].presentations[0] is not known and is "
            "ignored; did you mean port?"
        )
    ]


def test_every_mistake_of_a_file_is_told_at_once():
    text = LESSON.format(slug="X").replace("tier: prod", "tier: no\nnmae: x").replace("22", "-1")

    _, problems = define("lesson", text)

    assert len(problems) == 4


def test_types_come_from_the_schema_and_not_from_yaml():
    definition, problems = define("curriculum", "name: 2020\naVer: 0.10\n")

    assert problems == []
    assert (definition.name, definition.a_ver) == ("2020", "0.10")


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("False", False), ("on", True)])
def test_booleans_may_be_written_as_people_do(text, value):
    definition, _ = define("image", f"slug: a\nenableForwarding: {text}\n")

    assert definition.enable_forwarding is value


def image_with(resources: str) -> tuple[ImageFile | None, list[str]]:
    return define("image", f"slug: a\nresources:\n{textwrap.indent(resources, '  ')}")


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        ("requests:\n  cpu: lots", "f:4: resources.requests.cpu must be cores of CPU, such as"),
        ("requests:\n  cpu: 1Gi", "f:4: resources.requests.cpu must be cores"),
        ("requests:\n  cpu: 0.0001", "f:4: resources.requests.cpu must be cores"),
        ("requests:\n  cpu: 0.5m", "f:4: resources.requests.cpu must be cores"),
        ("requests:\n  cpu: -1", "f:4: resources.requests.cpu must be cores"),
        ("requests:\n  cpu: 0.0", "f:4: resources.requests.cpu must be more than 0"),
        ('requests:\n  cpu: "1\\n"', "f:4: resources.requests.cpu must be cores"),
        ("limits:\n  memory: 1GB", "f:4: resources.limits.memory must be bytes of memory"),
        ("limits:\n  memory: 1gi", "f:4: resources.limits.memory must be bytes"),
        ("limits:\n  memory: 500m", "f:4: resources.limits.memory must be bytes"),
        ("limits:\n  memory: 0", "f:4: resources.limits.memory must be more than 0"),
        ("limits:\n  disk: 1Gi", "f:4: warning: key 'disk' in resources.limits is not known"),
        ("limit:\n  cpu: 1", "f:3: warning: key 'limit' in resources is not known"),
        ("limits: 1", "f:3: resources.limits must be a mapping"),
        (
            "requests:\n  cpu: 500m\n  memory: 1Gi\nlimits:\n  cpu: 0.4\n  memory: 2Gi",
            "f:6: resources.limits must not be less than the requests: cpu is 0.4, below 500m",
        ),
        (
            "limits:\n  memory: 1G\nrequests:\n  memory: 1Gi",
            "f:3: resources.limits must not be less than the requests: memory is 1G, below 1Gi",
        ),
    ],
)
def test_mistakes_in_resources_are_named_at_their_line(resources, problem):
    _, problems = image_with(resources)

    assert len(problems) == 1
    assert problems[0].startswith(problem)


@pytest.mark.parametrize(
    "resources",
    [
        "requests: {cpu: 250m, memory: 512Mi}",
        "limits: {cpu: 2, memory: 1.5Gi}",
        "requests: {cpu: 1.0}\nlimits: {cpu: 1000m}",
        "requests: {memory: 1024Ki}\nlimits: {memory: 1Mi}",
        "requests: {memory: 1000k}\nlimits: {memory: 1000000}",
        "requests: {}\nlimits: {}",
        "requests: {cpu: 4}\nlimits: {memory: 1Mi}",
    ],
)
def test_resources_are_quantities_as_kubernetes_writes_them(resources):
    definition, problems = image_with(resources)

    assert problems == []
    # In an editor, the same text is read as YAML reads it.
    document = yaml.safe_load(f"slug: a\nresources:\n{textwrap.indent(resources, '  ')}")
    jsonschema.Draft202012Validator(json_schema("image")).validate(document)
    assert definition is not None


def test_passwords_are_in_no_message_and_no_repr():
    definition, _ = define("image", "slug: a\nsshPassword: hunter2\n")
    _, problems = define("image", 'slug: a\nsshPassword: "hunter2\\nhunter2"\nflavor: x\n')

    assert isinstance(definition, ImageFile)
    assert definition.ssh_password == "hunter2"
    assert "hunter2" not in repr(definition)
    assert problems
    assert "hunter2" not in " ".join(problems)


@pytest.mark.parametrize("kind", FILE_MODELS)
def test_committed_schemas_are_current(kind):
    path = SAMPLE.parent / "schemas" / f"{kind}.schema.json"

    assert json.loads(path.read_text()) == json_schema(kind), (
        "run: python manage.py export_schemas curriculum/schemas"
    )


@pytest.mark.parametrize("kind", FILE_MODELS)
def test_schemas_are_schemas_and_know_the_files_keys(kind):
    schema = json_schema(kind)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert all("description" in value for value in schema["properties"].values())


def test_the_lesson_schema_accepts_what_the_loader_accepts():
    lesson = {
        "name": "X",
        "slug": "x",
        "tier": "prod",
        "endpoints": [
            {
                "name": "a",
                "image": "utility",
                "additionalPorts": [1],
                "presentations": [{"name": "c", "port": 22, "type": "ssh"}],
            }
        ],
        "stages": [{"description": "One"}],
    }
    validator = jsonschema.Draft202012Validator(json_schema("lesson"))

    validator.validate(lesson)
    LessonFile.model_validate(lesson)
    assert not validator.is_valid({**lesson, "slug": "../x"})
    assert not validator.is_valid({**lesson, "endpoints": []})
    lesson["endpoints"][0]["presentations"][0]["port"] = 70000
    assert not validator.is_valid(lesson)

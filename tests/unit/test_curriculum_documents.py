import pytest

from curriculum.documents import MAX_DEPTH, MAX_NODES, Document, parse_document
from curriculum.problems import Report


def parse(text: str) -> tuple[Document | None, list[str]]:
    report = Report("f")
    document = parse_document(text, report)
    return document, [problem.render() for problem in report.problems]


def value_of(text: str) -> dict:
    document, problems = parse(text)
    assert problems == []
    assert document is not None
    return document.value


@pytest.mark.parametrize("text", ["no", "0.10", "0x10", "2024-01-01", "1e3", "12:30:00", "true"])
def test_values_stay_as_they_are_written(text):
    assert value_of(f"slug: {text}") == {"slug": text}


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL", "# only a comment"])
def test_keys_without_a_value_are_absent(text):
    assert value_of(f"a: 1\nslug: {text}\n") == {"a": "1"}


def test_quoted_nulls_are_texts():
    assert value_of("a: ''\nb: 'null'\nc: \"~\"") == {"a": "", "b": "null", "c": "~"}


def test_every_value_has_its_line():
    document, _ = parse("---\na: 1\nb:\n  - c: x\n\n    d: y\n  - z\n")

    assert document is not None
    lines = {(): 2, ("a",): 2, ("b",): 3, ("b", 0): 4, ("b", 0, "d"): 6, ("b", 1): 7}
    assert {place: document.line(place) for place in lines} == lines
    assert document.line(("b", 0, "missing")) == 4


def test_a_block_begins_where_its_key_stands():
    document, _ = parse("a:\n\n\n  b: 1\n")

    assert document is not None
    assert document.line(("a",)) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f:1: is empty"),
        ("# nothing\n", "f:1: is empty"),
        ("- a\n", "f:1: is not a mapping of keys to values"),
        ("just words\n", "f:1: is not a mapping of keys to values"),
        ("a: 1\nb: 2\na: 3\n", "f:3: key 'a' stands here a second time"),
        ("a: &x 1\nb: 2\n", "f:1: anchor '&x': anchors are not used"),
        ("a: 1\nb: *x\n", "f:2: alias '*x': aliases are not used"),
        ("a: !!python/object:os.system x\n", "tags are not used"),
        ("a: 1\n---\nb: 2\n", "f:2: a second document begins; a file holds one"),
        ("? [a]\n: 1\n", "f:1: a key is not a plain text"),
        ("a: 1\n\x07b: 2\n", "f:2: holds the control character '\\x07'"),
        ('a: 1\nb: "\\0"\n', "f:2: a text holds control characters"),
        ("a:\n  " + "? " * 50_000, "f:2: a key is not a plain text"),
        ("a: [1, 2\nb: 3\n", "f:2: is not valid YAML: "),
        ("a: 1\n b: 2\n", "f:2: is not valid YAML: "),
        ("a: b: c\n", "f:1: is not valid YAML: "),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(text, problem):
    _, problems = parse(text)

    assert any(problem in line for line in problems), problems


def test_several_problems_of_one_file_are_all_told():
    _, problems = parse("a: 1\na: 2\nb: !x 3\nc: &y 4\n")

    assert len(problems) == 3


def test_bombs_are_refused_at_once():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)
    )

    _, problems = parse(bomb)

    assert any("aliases are not used" in line for line in problems)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_before_it_is_built(opening):
    _, problems = parse("a:\n  " + opening * 50_000)

    assert problems == [f"f:2: is nested more than {MAX_DEPTH} levels deep"]


def test_endless_lists_are_refused():
    _, problems = parse("a:\n" + "- x\n" * (MAX_NODES + 10))

    assert len(problems) == 1
    assert f"holds more than {MAX_NODES} values" in problems[0]

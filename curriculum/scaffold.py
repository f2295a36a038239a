"""A first version of a lesson, for an author to go on from."""

import json
from pathlib import Path

from curriculum.definitions import parse_definition
from curriculum.documents import parse_document
from curriculum.lesson_rules import META_NAME
from curriculum.problems import Report
from curriculum.schema import LessonFile
from syringe_project.errors import Conflict, Invalid

_META = """\
name: {name}
slug: {slug}
category: fundamentals
# Everybody sees lessons of tier prod, testers those of tier ptr; local is for their authors.
tier: local
description: What a learner will get out of it.
shortDescription: {short}
tags: []

endpoints:
  - name: linux
    image: {image}
    presentations:
      - name: terminal
        port: 22
        type: ssh

stages:
  - description: The first step
"""

_GUIDE = """\
# {title}

Say what the learner will be able to do in the end, then let them type something:

```
uname -a
```
"""


class LessonExists(Conflict):
    """There is something of that name already, and it is not ours to write into."""

    code = "lesson_exists"
    template = "{folder} exists already."


class LessonNotAllowed(Invalid):
    """The lesson would not be valid."""

    code = "lesson_not_allowed"
    template = "That would not be a valid lesson: {why}."


def write_lesson(folder: Path, *, slug: str, name: str = "", image: str = "utility") -> list[Path]:
    """Write a valid lesson below ``lessons/``; raise LessonExists or LessonNotAllowed."""
    name = name or slug.replace("-", " ").capitalize()
    # Texts of JSON are texts of YAML, whatever is in them.
    meta = _META.format(
        name=json.dumps(name),
        slug=json.dumps(slug),
        short=json.dumps(name),
        image=json.dumps(image),
    )
    report = Report(META_NAME)
    document = parse_document(meta, report)
    if document is None or parse_definition(document, LessonFile, report) is None:
        raise LessonNotAllowed(why="; ".join(problem.message for problem in report.problems))
    place = folder / "lessons" / slug
    try:
        (place / "stage0").mkdir(parents=True)
    except FileExistsError as exc:
        raise LessonExists(folder=place) from exc
    files = {place / META_NAME: meta, place / "stage0" / "guide.md": _GUIDE.format(title=name)}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)

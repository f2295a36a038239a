"""From objectives as authors write them to those of a lesson's description."""

from pathlib import PurePosixPath
from typing import Literal, cast

from curriculum.objective_rules import default_endpoint, objective_file
from curriculum.objectives import LANGUAGES, CheckEntry, HttpEntry, ObjectiveEntry
from curriculum.outline import Outline
from curriculum.schema import StageEntry
from lessons.specs import (
    CheckBase,
    CheckDict,
    FileCheckDict,
    HttpCheckDict,
    ObjectiveDict,
    OutputCheckDict,
    RunCheckDict,
    TcpCheckDict,
)


def objective_dicts(stage: StageEntry, position: int, lesson: Outline) -> list[ObjectiveDict]:
    """Return a stage's objectives, whichever form its author chose."""
    entries = stage.objectives or _older_form(stage, position)
    return [_objective_dict(entry, lesson) for entry in entries]


def complete_message(stage: StageEntry) -> str:
    """Return what learners read when a stage is complete."""
    if stage.verification is not None:
        return stage.verification.complete_message
    return stage.complete_message


def _older_form(stage: StageEntry, position: int) -> list[ObjectiveEntry]:
    texts = stage.verification.objectives if stage.verification is not None else ()
    return [
        ObjectiveEntry(
            slug=f"objective-{number + 1}",
            description=text,
            check=CheckEntry(file=objective_file(position, number)),
        )
        for number, text in enumerate(texts)
    ]


def _objective_dict(entry: ObjectiveEntry, lesson: Outline) -> ObjectiveDict:
    return ObjectiveDict(
        slug=entry.slug,
        description=entry.description,
        optional=entry.optional,
        mode=entry.mode,
        needs=list(dict.fromkeys(entry.needs)),
        hints=[
            {
                "text": hint.text,
                "after_failures": hint.after_failures,
                "after_minutes": hint.after_minutes,
            }
            for hint in entry.hints
        ],
        check=_check_dict(entry.check, lesson),
    )


def _check_dict(check: CheckEntry, lesson: Outline) -> CheckDict:
    base = CheckBase(
        endpoint=check.endpoint or _default_endpoint(check, lesson),
        timeout_seconds=check.timeout,
        interval_seconds=check.interval,
    )
    if check.run is not None:
        return RunCheckDict(kind="run", script=check.run, **base)
    if check.file is not None:
        return FileCheckDict(kind="file", path=check.file, language=_language(check.file), **base)
    if check.http is not None:
        return _http_dict(check.http, base, lesson)
    if check.tcp is not None:
        return TcpCheckDict(kind="tcp", port=check.tcp.port, **base)
    if check.output is not None:
        return OutputCheckDict(
            kind="output", command=check.output.command, matches=check.output.matches, **base
        )
    raise ValueError("a check has one of five kinds")


def _http_dict(http: HttpEntry, base: CheckBase, lesson: Outline) -> HttpCheckDict:
    json = http.json_value
    return HttpCheckDict(
        kind="http",
        port=http.port or _web_port(base["endpoint"], lesson),
        path=http.path,
        status=http.status,
        body=http.body or "",
        json={"path": json.path, "equals": json.equals} if json is not None else None,
        **base,
    )


def _default_endpoint(check: CheckEntry, lesson: Outline) -> str:
    endpoint = default_endpoint(lesson.endpoints, check.kind)
    if endpoint is None:
        raise ValueError("a check without an endpoint is refused before")
    return endpoint.name.text


def _web_port(endpoint: str, lesson: Outline) -> int:
    return next(
        presentation.port
        for found in lesson.endpoints
        if found.name.text == endpoint
        for presentation in found.presentations
        if presentation.type == "http"
    )


def _language(path: str) -> Literal["python", "ansible"]:
    return cast("Literal['python', 'ansible']", LANGUAGES[PurePosixPath(path).suffix])

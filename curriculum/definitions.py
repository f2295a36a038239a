"""From one file's text to its definition, with every problem at its line."""

import difflib
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from curriculum.documents import Document, Location, parse_document
from curriculum.fields import FileModel
from curriculum.problems import Report, quoted
from curriculum.tree import Limits, Unreadable, read_text

M = TypeVar("M", bound=FileModel)

_MESSAGES = {
    "missing": "is missing",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
}


def dotted(location: Location) -> str:
    """Return a location as authors read it: ``endpoints[0].name``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys that a file may have at a location."""
    for part in location:
        if isinstance(part, str):
            by_alias = {field.alias: field for field in model.model_fields.values()}
            model = _models_in(by_alias[part].annotation)[0]
    return [field.alias or "" for field in model.model_fields.values()]


def _did_you_mean(key: str, known: list[str]) -> str:
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower().replace("_", ""), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def _report_unknown_key(
    model: type[BaseModel], location: Location, document: Document, report: Report
) -> None:
    *above, key = location
    hint = _did_you_mean(str(key), _keys_at(model, tuple(above)))
    where = f" in {dotted(tuple(above))}" if above else ""
    report.warning(
        f"key {quoted(str(key))}{where} is not known and is ignored{hint}",
        line=document.line(location),
    )


def _drop(value: Any, location: Location) -> None:
    for part in location[:-1]:
        value = value[part]
    del value[location[-1]]


def parse_definition(document: Document, model: type[M], report: Report) -> M | None:
    """Check a document against its schema; unknown keys are warnings and are left out."""
    try:
        return model.model_validate(document.value)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False)
    unknown: list[Location] = []
    for error in errors:
        location: Location = error["loc"]
        if error["type"] == "extra_forbidden":
            _report_unknown_key(model, location, document, report)
            unknown.append(location)
            continue
        template = _MESSAGES.get(error["type"])
        message = template.format_map(error.get("ctx", {})) if template else error["msg"]
        report.error(f"{dotted(location)} {message}", line=document.line(location))
    if len(unknown) < len(errors):
        return None
    for location in unknown:
        _drop(document.value, location)
    # What its keys say together is looked at only when each of them is right.
    return parse_definition(document, model, report)


def read_document(path: Path, report: Report, limits: Limits) -> Document | None:
    """Read a ``.meta.yaml`` file; report why it cannot be used."""
    try:
        text = read_text(path, limit=limits.meta_bytes)
    except Unreadable as exc:
        report.error(str(exc))
        return None
    return parse_document(text, report)

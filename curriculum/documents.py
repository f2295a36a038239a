"""YAML as a curriculum may use it, with the line of every value.

Every value stays the text that stands in the file, and the schema decides its type: so
``slug: no`` is not false and ``aVer: 0.10`` is not 0.1. Anchors, aliases, tags and several
documents in a file are refused; nothing in a curriculum needs them, and bombs are made of them.
"""

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from curriculum.problems import Report, quoted

Location: TypeAlias = tuple[str | int, ...]

MAX_DEPTH = 20
MAX_NODES = 20_000
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# The C parser is twenty times as fast; PyYAML's wheels have it, a build from source may not.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """The keys of one file. Keys without a value are left out, as if they were not there."""

    value: dict[str, Any]
    lines: dict[Location, int]

    def line(self, location: Location) -> int:
        """Return the line of a value, or of what it would stand in."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


class _GiveUp(Exception):
    """The rest of the file cannot be made sense of; the reason is reported already."""


@dataclass(slots=True)
class _Frame:
    container: dict[str, Any] | list[Any]
    location: Location
    key: str | None = None
    key_line: int = 0
    seen: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Builder:
    report: Report
    lines: dict[Location, int] = field(default_factory=dict)
    frames: list[_Frame] = field(default_factory=list)
    root: Any = None
    nodes: int = 0
    documents: int = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.AliasEvent():
                self._stop(line, f"alias {quoted('*' + str(event.anchor))}: aliases are not used")
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self._stop(line, "a second document begins; a file holds one")
            case yaml.ScalarEvent():
                self._check(event, line)
                self._place(self._scalar(event, line), line)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._check(event, line)
                container: dict[str, Any] | list[Any] = (
                    {} if isinstance(event, yaml.MappingStartEvent) else []
                )
                location = self._place(container, line)
                if len(self.frames) >= MAX_DEPTH:
                    self._stop(line, f"is nested more than {MAX_DEPTH} levels deep")
                self.frames.append(_Frame(container, location))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.frames.pop()
            case _:
                pass

    def _stop(self, line: int, message: str) -> None:
        self.report.error(message, line=line)
        raise _GiveUp

    def _check(self, event: yaml.NodeEvent, line: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._stop(line, f"holds more than {MAX_NODES} values")
        if event.anchor is not None:
            self.report.error(
                f"anchor {quoted('&' + event.anchor)}: anchors are not used", line=line
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.report.error(f"tag {quoted(tag)}: tags are not used", line=line)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> str | None:
        if _CONTROL.search(event.value):
            self.report.error("a text holds control characters", line=line)
        if event.implicit[0] and event.value in _NULLS:
            return None
        return str(event.value)

    def _place(self, value: Any, line: int) -> Location:
        if not self.frames:
            self.root = value
            self.lines[()] = line
            return ()
        frame = self.frames[-1]
        if isinstance(frame.container, list):
            location: Location = (*frame.location, len(frame.container))
            frame.container.append(value)
            self.lines[location] = line
            return location
        if frame.key is None:
            self._take_key(frame, value, line)
            return frame.location
        location = (*frame.location, frame.key)
        if value is not None:
            frame.container[frame.key] = value
        self.lines[location] = frame.key_line
        frame.key = None
        return location

    def _take_key(self, frame: _Frame, value: Any, line: int) -> None:
        if not isinstance(value, str):
            self._stop(line, "a key is not a plain text")
        if value in frame.seen:
            self.report.error(f"key {quoted(value)} stands here a second time", line=line)
        frame.seen.add(value)
        frame.key, frame.key_line = value, line


def _yaml_problem(error: yaml.YAMLError) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    text = ", ".join(
        str(part)
        for part in (getattr(error, "context", None), getattr(error, "problem", None))
        if part
    )
    return (mark.line + 1 if mark else 1), f"is not valid YAML: {text or 'it cannot be read'}"


def parse_document(text: str, report: Report) -> Document | None:
    """Read one file's YAML; report everything in it that cannot be used.

    Return None where not even the outermost keys are known.
    """
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        report.error(f"holds the control character {quoted(control[0])}", line=line)
        return None
    builder = _Builder(report)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except _GiveUp:
        pass
    except yaml.YAMLError as exc:
        line, message = _yaml_problem(exc)
        # What is missing at the end is missed in the line after it, which editors do not show.
        report.error(message, line=min(line, max(1, len(text.splitlines()))))
    if isinstance(builder.root, dict):
        return Document(builder.root, builder.lines)
    if not report.has_errors:
        empty = builder.root is None
        report.error("is empty" if empty else "is not a mapping of keys to values")
    return None

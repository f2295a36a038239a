"""Label and field selectors with the syntax, and the syntax errors, of a real server.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.fake_kubernetes.errors import bad_request
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.naming import problem_of_key, problem_of_value
from tests.fake_kubernetes.objects import Manifest, labels_of

_TOKEN = re.compile(r"\s*(?:(?P<symbol>!=|==|=|!|\(|\)|,|<|>)|(?P<word>[^\s!=(),<>]+))")


@dataclass(frozen=True, slots=True)
class Requirement:
    """``operator`` is in, notin, exists, absent, gt or lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Test labels; ``notin`` also matches what lacks the key."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
        if value is None or not value.lstrip("-").isdigit():
            return False
        bound = int(next(iter(self.values)))
        return int(value) > bound if self.operator == "gt" else int(value) < bound


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _syntax(f"unexpected {text[position:]!r}")
            self._tokens.append(match["symbol"] or match["word"])
            position = match.end()
        self._position = 0

    def peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._position += 1
        return token


def _syntax(problem: str) -> Exception:
    return bad_request(f"unable to parse requirement: {problem}")


_SYMBOLS = frozenset(("!=", "==", "=", "!", "(", ")", ",", "<", ">", ""))


def _key(tokens: _Tokens) -> str:
    key = tokens.take()
    if key in _SYMBOLS:
        raise _syntax(f"found '{key}', expected: identifier")
    if problem := problem_of_key(key):
        raise _syntax(f'<nil>: Invalid value: "{key}": {problem}')
    return key


def _checked(key: str, value: str) -> str:
    if problem := problem_of_value(value):
        raise _syntax(f'values[0][{key}]: Invalid value: "{value}": {problem}')
    return value


def _value(tokens: _Tokens, key: str) -> str:
    """Read the right side of ``=``, which may be empty."""
    if tokens.peek() in ("", ","):
        return ""
    value = tokens.take()
    if value in _SYMBOLS:
        raise _syntax(f"found '{value}', expected: identifier")
    return _checked(key, value)


def _values(tokens: _Tokens, key: str) -> frozenset[str]:
    if (token := tokens.take()) != "(":
        raise _syntax(f"found '{token}', expected: '('")
    values = set()
    while True:
        token = tokens.take()
        if token in (",", ")"):
            values.add("")
        elif token in _SYMBOLS:
            raise _syntax(f"found '{token}', expected: ',', or ')'")
        else:
            values.add(_checked(key, token))
            token = tokens.take()
        if token == ")":
            return frozenset(values)
        if token != ",":
            raise _syntax(f"found '{token}', expected: ',' or ')'")


def _requirement(tokens: _Tokens) -> Requirement:
    if tokens.peek() == "!":
        tokens.take()
        return Requirement(_key(tokens), "absent")
    key = _key(tokens)
    if tokens.peek() in ("", ","):
        return Requirement(key, "exists")
    operator = tokens.take()
    match operator:
        case "=" | "==":
            return Requirement(key, "in", frozenset((_value(tokens, key),)))
        case "!=":
            return Requirement(key, "notin", frozenset((_value(tokens, key),)))
        case "in" | "notin":
            return Requirement(key, operator, _values(tokens, key))
        case ">" | "<":
            bound = tokens.take()
            if not bound.lstrip("-").isdigit():
                raise _syntax(f'values[0]: Invalid value: "{bound}": must be an integer')
            return Requirement(key, "gt" if operator == ">" else "lt", frozenset((bound,)))
    raise _syntax(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Read a label selector; an empty one selects everything."""
    tokens = _Tokens(text)
    if not tokens.peek():
        return ()
    requirements = [_requirement(tokens)]
    while tokens.peek():
        if (token := tokens.take()) != ",":
            raise _syntax(f"found '{token}', expected: ',' or 'end of string'")
        requirements.append(_requirement(tokens))
    return tuple(requirements)


_FIELDS = {
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    ),
    "Namespace": ("status.phase",),
    "Job": ("status.successful",),
    "Secret": ("type",),
    "Event": ("reason", "type", "involvedObject.name", "involvedObject.kind"),
}


def parse_fields(kind: Kind, text: str) -> tuple[tuple[str, str, bool], ...]:
    """Read a field selector as (path, value, whether it has to be equal)."""
    parsed = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([^!=]+)(==|=|!=)([^!=]*)", part)
        if match is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path = match[1]
        if path not in ("metadata.name", "metadata.namespace", *_FIELDS.get(kind.kind, ())):
            raise bad_request(f"field label not supported: {path}")
        parsed.append((path, match[3], match[2] != "!="))
    return tuple(parsed)


def _field(manifest: Manifest, path: str) -> str:
    value: object = manifest
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or a watch asks for."""

    namespace: str = ""
    labels: Sequence[Requirement] = ()
    fields: Sequence[tuple[str, str, bool]] = ()

    def matches(self, manifest: Manifest) -> bool:
        """Test an object."""
        if self.namespace and manifest["metadata"].get("namespace") != self.namespace:
            return False
        labels = labels_of(manifest)
        return all(requirement.matches(labels) for requirement in self.labels) and all(
            (_field(manifest, path) == value) is equal for path, value, equal in self.fields
        )

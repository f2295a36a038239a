"""Requests and answers, before and after anybody thinks about them.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from tests.fake_kubernetes.errors import ApiError, bad_request, unsupported_media_type
from tests.fake_kubernetes.kinds import Kind, Kinds
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.rbac import Attributes
from tests.fake_kubernetes.watching import Watch

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"
# Without a type, the body is taken for JSON.
OBJECTS = (JSON, "application/yaml", "")


@dataclass(slots=True)
class Request:
    """An HTTP request, as far as it matters here."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip()


@dataclass(slots=True)
class Response:
    """An answer; a ``watch`` is streamed after the headers."""

    code: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    watch: Watch | None = None
    warnings: tuple[str, ...] = ()


def answer(value: Manifest, code: int = 200, warnings: tuple[str, ...] = ()) -> Response:
    """Return an object as an answer."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(code, body, warnings=warnings)


def answer_error(error: ApiError) -> Response:
    """Return a refusal as an answer."""
    if error.plain:
        return Response(error.code, error.message.encode(), "text/plain; charset=utf-8")
    response = answer(error.status(), error.code)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


@dataclass(frozen=True, slots=True)
class Target:
    """What a path and a method mean; ``kind`` is None outside resources."""

    action: Attributes
    kind: Kind | None
    path: str
    query: Mapping[str, str]


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


def read_target(request: Request, installed: Kinds) -> Target:
    """Take a request line apart, as authorization needs it, whether or not the resource exists."""
    parts = urlsplit(request.target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    steps = [unquote(step) for step in parts.path.strip("/").split("/")]
    if steps[0] == "api" and len(steps) > 2:
        group, version, rest = "", steps[1], steps[2:]
    elif steps[0] == "apis" and len(steps) > 3:
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return Target(Attributes(request.method.lower(), "", ""), None, parts.path, query)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in ("status", "finalize"):
            rest = rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    verb = _VERBS.get(request.method, "")
    if request.method in ("GET", "HEAD"):
        verb = "get" if name else "watch" if query.get("watch") in ("true", "1") else "list"
    elif request.method == "DELETE":
        verb = "delete" if name else "deletecollection"
    action = Attributes(verb, group, plural, subresource, namespace, name)
    return Target(action, installed.find(group, version, plural), parts.path, query)


def agent(request: Request) -> str:
    """Return the default manager: what stands before the first slash of the User-Agent."""
    return (request.headers.get("User-Agent") or "unknown").partition("/")[0]


def field_validation(query: Mapping[str, str]) -> str:
    """Return how strict to be with unknown fields: Ignore, Warn or Strict."""
    level = query.get("fieldValidation") or "Warn"
    if level not in ("Ignore", "Warn", "Strict"):
        raise bad_request(f"fieldValidation: Unsupported value: {level!r}")
    return level


def is_dry(query: Mapping[str, str]) -> bool:
    """Say whether nothing is to be kept."""
    return query.get("dryRun") == "All"


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return a parameter as a number, None where it is left out."""
    text = query.get(name)
    if text is None or text == "":
        return None
    if not text.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def version_of(query: Mapping[str, str]) -> int | None:
    """Return the resourceVersion asked for, None where it is left out."""
    text = query.get("resourceVersion") or ""
    if text and not text.isdigit():
        raise bad_request(f'resourceVersion: Invalid value: "{text}": strconv.ParseUint')
    return int(text) if text else None


def read_body(
    request: Request, accepted: tuple[str, ...], *, empty: bool = False
) -> dict[str, Any]:
    """Return the body as an object, YAML or JSON by its type."""
    if empty and not request.body.strip():
        return {}
    if request.content_type not in accepted:
        raise unsupported_media_type([kind for kind in accepted if kind])
    try:
        if request.content_type in (APPLY, "application/yaml"):
            value = yaml.load(request.body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        else:
            value = json.loads(request.body)
    except (ValueError, yaml.YAMLError) as problem:
        raise bad_request(f"couldn't get version/kind; json parse error: {problem}") from problem
    if not isinstance(value, dict):
        raise bad_request("couldn't get version/kind; json parse error: not an object")
    return value

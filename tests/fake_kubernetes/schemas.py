"""The schemas of the real API, from kubernetes-validate, and what they say about one object.

https://kubernetes.io/docs/reference/using-api/api-concepts/#setting-the-field-validation-level
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
from kubernetes_validate.utils import all_versions
from referencing import Registry, Resource

from tests.fake_kubernetes.errors import Cause, required
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest

Schema = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_ID = "/api/_definitions.json"

# https://github.com/k8snetworkplumbingwg/network-attachment-definition-client, artifacts/
# networks-crd.yaml
_NETWORK_ATTACHMENT: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": f"{_ID}#/$defs/{_META}"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"config": {"type": "string"}},
        },
    },
}


def newest_version() -> str:
    """Return the newest Kubernetes whose schemas are known, as major.minor."""
    return ".".join(all_versions()[-1].split(".")[:2])


class Schemas:
    """All schemas of one version of Kubernetes."""

    def __init__(self, version: str) -> None:
        folder = files("kubernetes_validate") / "kubernetes-json-schema"
        path = folder / f"v{version}.0-local-strict" / "_definitions.json"
        contents = json.loads(path.read_text())
        self._definitions: dict[str, Schema] = contents["$defs"]
        self._registry: Any = Registry().with_resource(_ID, Resource.from_contents(contents))
        self._roots = {
            (gvk["group"], gvk["version"], gvk["kind"]): name
            for name, definition in self._definitions.items()
            for gvk in definition.get("x-kubernetes-group-version-kind", ())
        }
        self._validators: dict[Kind, Any] = {}

    def of(self, kind: Kind) -> Schema:
        """Return the schema of a kind."""
        if kind.custom:
            return _NETWORK_ATTACHMENT
        return {"$ref": f"{_ID}#/$defs/{self._roots[kind.group, kind.version, kind.kind]}"}

    def resolved(self, schema: Schema) -> Schema:
        """Follow a reference."""
        reference = schema.get("$ref")
        if reference is None:
            return schema
        # What stands beside the reference, such as a default, counts as well.
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return {**self._definitions[reference.rpartition("/")[2]], **beside}

    def problems(self, kind: Kind, manifest: Manifest) -> Problems:
        """Compare an object with the schema of its kind."""
        validator = self._validators.get(kind)
        if validator is None:
            validator = jsonschema.Draft202012Validator(self.of(kind), registry=self._registry)
            self._validators[kind] = validator
        problems = Problems()
        for error in validator.iter_errors(manifest):
            problems.add(error)
        return problems


class Problems:
    """What a schema says against an object, told apart by how a real server answers it."""

    def __init__(self) -> None:
        self.unknown: list[tuple[str | int, ...]] = []
        self.missing: list[Cause] = []
        self.mistyped: list[str] = []

    def add(self, error: Any) -> None:
        """Take in one error of jsonschema."""
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            self.unknown.extend((*path, name) for name in error.instance if name not in known)
        elif error.validator == "required":
            absent = re.match(r"'(.+)' is a required property", error.message)
            name = absent[1] if absent else "?"
            self.missing.append(required(dotted((*path, name))))
        else:
            found = type(error.instance).__name__
            names = {"str": "string", "int": "number", "dict": "object", "list": "array"}
            self.mistyped.append(
                f"json: cannot unmarshal {names.get(found, found)} into Go struct field "
                f"{dotted(path)}"
            )


def dotted(path: tuple[str | int, ...]) -> str:
    """Write a path as messages do: ``spec.containers[0].image``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def drop(manifest: Manifest, paths: list[tuple[str | int, ...]]) -> None:
    """Remove fields, as a server does with those it does not know."""
    for path in paths:
        holder: Any = manifest
        for step in path[:-1]:
            holder = holder[step]
        holder.pop(path[-1], None)


@cache
def schemas_of(version: str) -> Schemas:
    """Return the schemas of a version, read once a process."""
    if version not in {".".join(known.split(".")[:2]) for known in all_versions()}:
        raise ValueError(f"no schemas of Kubernetes {version}")
    return Schemas(version)

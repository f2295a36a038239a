"""Who owns which field, and server-side apply.

A field is a path of steps as ``fieldsV1`` writes them: ``f:name`` for a field, ``k:{...}`` for an
element of a list with keys, ``v:value`` for an element of a set. Which lists have keys is said by
the schema. Controllers of the fake write without owning.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fake_kubernetes.errors import ApiError, Cause, apply_conflicts
from tests.fake_kubernetes.objects import Manifest, copy_of, now
from tests.fake_kubernetes.schemas import Schema, Schemas

Path = tuple[str, ...]

# Identity and bookkeeping belong to nobody.
_UNOWNED = frozenset(
    (
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    )
)

# The published API descriptions give these keys of lists a default.
_KEY_DEFAULTS = {"protocol": "TCP"}


class ListShape:
    """How elements of one list are told apart; ``keys`` is empty for a set."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys

    def step(self, element: Any) -> str:
        """Return the step that names an element."""
        if not self.keys:
            return "v:" + json.dumps(element, separators=(",", ":"))
        values = {key: element.get(key, _KEY_DEFAULTS.get(key)) for key in self.keys}
        named = {key: value for key, value in values.items() if value is not None}
        return "k:" + json.dumps(named, separators=(",", ":"), sort_keys=True)


def _shape(schema: Schema) -> ListShape | None:
    match schema.get("x-kubernetes-list-type"):
        case "map":
            return ListShape(tuple(schema["x-kubernetes-list-map-keys"]))
        case "set":
            return ListShape(())
    return None


def _member(schemas: Schemas, schema: Schema, name: str) -> Schema:
    inner = schema.get("properties", {}).get(name)
    if inner is None:
        inner = schema.get("additionalProperties") or {}
    return schemas.resolved(inner) if isinstance(inner, dict) else {}


def _is_map(schema: Schema, value: Any) -> bool:
    return isinstance(value, dict) and schema.get("x-kubernetes-map-type") != "atomic"


def fields(schemas: Schemas, schema: Schema, value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield every field that an object sets."""
    schema = schemas.resolved(schema)
    shape = _shape(schema)
    if isinstance(value, list) and shape and value:
        element = schemas.resolved(schema.get("items", {}))
        for one in value:
            step = (*path, shape.step(one))
            yield step
            if shape.keys:
                for name, inner in one.items():
                    yield from fields(
                        schemas, _member(schemas, element, name), inner, (*step, f"f:{name}")
                    )
    elif _is_map(schema, value) and (value or not path):
        for name, inner in value.items():
            if not path and name in ("apiVersion", "kind"):
                continue
            if path == ("f:metadata",) and name in _UNOWNED:
                continue
            yield from fields(schemas, _member(schemas, schema, name), inner, (*path, f"f:{name}"))
    else:
        yield path


def value_at(schemas: Schemas, schema: Schema, value: Any, path: Path) -> Any:
    """Return what is at a path, or None."""
    schema = schemas.resolved(schema)
    if not path:
        return value
    step, rest = path[0], path[1:]
    if step.startswith("f:"):
        if not isinstance(value, dict) or step[2:] not in value:
            return None
        return value_at(schemas, _member(schemas, schema, step[2:]), value[step[2:]], rest)
    shape = _shape(schema)
    if shape is None:
        return None
    for element in value or ():
        if shape.step(element) == step:
            return value_at(schemas, schema.get("items", {}), element, rest)
    return None


def merge(schemas: Schemas, schema: Schema, live: Any, applied: Any) -> Any:
    """Lay an applied configuration over the live object."""
    schema = schemas.resolved(schema)
    if _is_map(schema, applied) and isinstance(live, dict):
        merged = dict(live)
        for name, value in applied.items():
            inner = _member(schemas, schema, name)
            merged[name] = merge(schemas, inner, live.get(name), value)
        return merged
    shape = _shape(schema)
    if isinstance(applied, list) and shape and isinstance(live, list):
        places = {shape.step(element): place for place, element in enumerate(live)}
        result = list(live)
        for element in applied:
            place = places.get(shape.step(element))
            if place is None:
                result.append(element)
            else:
                result[place] = merge(schemas, schema.get("items", {}), result[place], element)
        return result
    return copy_of(applied)


def remove(schemas: Schemas, schema: Schema, value: Any, path: Path) -> None:
    """Take a field out of an object, and then what became empty by it."""
    schema = schemas.resolved(schema)
    step, rest = path[0], path[1:]
    if step.startswith("f:"):
        name = step[2:]
        if not isinstance(value, dict) or name not in value:
            return
        if rest:
            remove(schemas, _member(schemas, schema, name), value[name], rest)
        if not rest or value[name] in ({}, []):
            del value[name]
        return
    shape = _shape(schema)
    if shape is None or not isinstance(value, list):
        return
    for element in list(value):
        if shape.step(element) == step:
            if rest:
                remove(schemas, schema.get("items", {}), element, rest)
            else:
                value.remove(element)


def to_fields_v1(paths: set[Path]) -> Manifest:
    """Write paths as ``fieldsV1``."""
    tree: Manifest = {}
    for path in sorted(paths):
        node = tree
        for place, step in enumerate(path):
            node = node.setdefault(step, {})
            if place == len(path) - 1 and step.startswith("k:"):
                node["."] = {}
    return tree


def from_fields_v1(tree: Manifest, path: Path = ()) -> set[Path]:
    """Read paths back."""
    paths: set[Path] = set()
    for step, inner in tree.items():
        if step == ".":
            paths.add(path)
        elif inner:
            paths |= from_fields_v1(inner, (*path, step))
        else:
            paths.add((*path, step))
    return paths


Managers = dict[tuple[str, str], set[Path]]
"""What each (manager, operation) owns; operation is Apply or Update."""


def managers_of(manifest: Manifest) -> Managers:
    """Return the owners that an object records."""
    return {
        (entry["manager"], entry["operation"]): from_fields_v1(entry["fieldsV1"])
        for entry in manifest["metadata"].get("managedFields") or ()
    }


def record(manifest: Manifest, managers: Managers, previous: Manifest | None = None) -> None:
    """Write the owners into an object; the time of those who did nothing stays."""
    old = {
        (entry["manager"], entry["operation"]): entry
        for entry in (previous or {}).get("metadata", {}).get("managedFields") or ()
    }
    entries = []
    for (manager, operation), paths in managers.items():
        if not paths:
            continue
        tree = to_fields_v1(paths)
        before = old.get((manager, operation))
        entries.append(
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": manifest["apiVersion"],
                "time": before["time"] if before and before["fieldsV1"] == tree else now(),
                "fieldsType": "FieldsV1",
                "fieldsV1": tree,
            }
        )
    manifest["metadata"]["managedFields"] = entries


def shown(path: Path) -> str:
    """Write a path as messages do."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            pairs = json.loads(step[2:]).items()
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs) + "]"
        else:
            text += f"[={step[2:]}]"
    return text


def apply(
    schemas: Schemas,
    schema: Schema,
    live: Manifest | None,
    applied: Manifest,
    *,
    manager: str,
    force: bool,
) -> Manifest:
    """Return the object after an apply, with its new owners; raise for conflicts."""
    wanted = set(fields(schemas, schema, applied))
    if live is None:
        created: Manifest = copy_of(applied)
        record(created, {(manager, "Apply"): wanted})
        return created
    managers = managers_of(live)
    mine = managers.pop((manager, "Apply"), set())
    conflicts = _conflicts(schemas, schema, live, applied, wanted, managers)
    if conflicts and not force:
        raise _conflict(conflicts)
    for owner, path in conflicts:
        managers[owner].discard(path)
    merged: Manifest = merge(schemas, schema, live, applied)
    merged = copy_of(merged)
    others: set[Path] = set().union(*managers.values())
    for path in _to_remove(mine - wanted - others, others):
        remove(schemas, schema, merged, path)
    managers[manager, "Apply"] = wanted
    record(merged, managers, live)
    return merged


def _to_remove(dropped: set[Path], others: set[Path]) -> list[Path]:
    """Return what goes, whole elements of lists first, defaults and all, unless others use them."""
    shared = {path[:length] for path in others for length in range(len(path))}
    whole = {path for path in dropped if path[-1].startswith("k:") and path not in shared}
    inside = {
        path
        for path in dropped - whole
        if path not in shared and not any(path[: len(one)] == one for one in whole)
    }
    return [*sorted(whole, key=len), *sorted(inside, key=len, reverse=True)]


def _conflicts(
    schemas: Schemas,
    schema: Schema,
    live: Manifest,
    applied: Manifest,
    wanted: set[Path],
    managers: Managers,
) -> list[tuple[tuple[str, str], Path]]:
    return [
        (owner, path)
        for owner, owned in managers.items()
        for path in sorted(owned & wanted)
        if not path[-1].startswith(("k:", "v:"))
        and value_at(schemas, schema, live, path) != value_at(schemas, schema, applied, path)
    ]


def _conflict(conflicts: list[tuple[tuple[str, str], Path]]) -> ApiError:
    return apply_conflicts(
        [
            Cause("FieldManagerConflict", shown(path), f'conflict with "{manager}"')
            for (manager, _), path in conflicts
        ]
    )


def updated(
    schemas: Schemas, schema: Schema, before: Manifest | None, after: Manifest, *, manager: str
) -> None:
    """Record an ordinary write: who changes a field owns it alone."""
    managers = managers_of(before) if before else {}
    present = set(fields(schemas, schema, after))
    changed = {
        path
        for path in present
        if before is None
        or value_at(schemas, schema, before, path) != value_at(schemas, schema, after, path)
    }
    for owner, owned in managers.items():
        managers[owner] = (owned & present) - changed
    managers[manager, "Update"] = managers.get((manager, "Update"), set()) | changed
    record(after, managers, before)

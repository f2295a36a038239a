"""Reading and writing objects under all the rules, whoever asks."""

from __future__ import annotations

import secrets
import uuid

from tests.fake_kubernetes import admission, defaults, kinds, managed_fields, validation
from tests.fake_kubernetes.deletion import finish
from tests.fake_kubernetes.errors import (
    ApiError,
    already_exists,
    bad_request,
    invalid,
    modified,
    not_found,
)
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest, copy_of, now, without_nulls
from tests.fake_kubernetes.schemas import Schemas, dotted, drop
from tests.fake_kubernetes.store import Key, Store

_SERVER_SIDE = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)

# Letters of generated names: none that could make a word.
# https://kubernetes.io/docs/reference/using-api/api-concepts/#generated-values
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def generated_name(prefix: str) -> str:
    """Return a name as the server makes it, 63 characters at most."""
    return prefix[:58] + "".join(secrets.choice(_LETTERS) for _ in range(5))


class Registry:
    """The storage of the API, with what stands before it."""

    def __init__(self, store: Store, schemas: Schemas) -> None:
        self.store = store
        self.schemas = schemas

    def decode(
        self, kind: Kind, manifest: Manifest, namespace: str, level: str
    ) -> tuple[Manifest, list[str]]:
        """Return a body as an object of the kind, and warnings; raise if it is none."""
        found = manifest.get("apiVersion"), manifest.get("kind")
        if found[0] not in (None, kind.api_version):
            raise bad_request(
                f"the API version in the data ({found[0]}) does not match the expected API "
                f"version ({kind.api_version})"
            )
        if found[1] not in (None, kind.kind):
            raise bad_request(
                f"{found[1]} in version {kind.version!r} cannot be handled as a {kind.kind}"
            )
        manifest = without_nulls(manifest)
        manifest.update(apiVersion=kind.api_version, kind=kind.kind)
        metadata = manifest.setdefault("metadata", {})
        problems = self.schemas.problems(kind, manifest)
        if problems.mistyped:
            raise bad_request(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                + problems.mistyped[0]
            )
        # https://kubernetes.io/docs/reference/using-api/api-concepts/#setting-the-field-validation-level
        texts = [f'unknown field "{dotted(path)}"' for path in problems.unknown]
        if texts and level == "Strict":
            raise bad_request(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                f"strict decoding error: {', '.join(texts)}"
            )
        drop(manifest, problems.unknown)
        if kind.namespaced:
            if metadata.get("namespace") not in (None, "", namespace):
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on "
                    "the request"
                )
            metadata["namespace"] = namespace
        elif metadata.get("namespace"):
            raise bad_request("namespace: must not be set on a cluster-scoped object")
        return manifest, texts if level == "Warn" else []

    def _check(self, kind: Kind, manifest: Manifest, old: Manifest | None) -> None:
        causes = [*self.schemas.problems(kind, manifest).missing]
        causes += validation.problems(kind, manifest)
        if old is not None:
            causes += validation.problems_of_update(kind, manifest, old)
        if causes:
            raise invalid(kind.kind, kind.group, manifest["metadata"].get("name", ""), causes)

    def create(
        self, kind: Kind, manifest: Manifest, *, manager: str, dry: bool = False
    ) -> Manifest:
        """Keep a new, decoded object; raise in the order in which a real server would."""
        with self.store.lock:
            metadata = manifest["metadata"]
            for field in _SERVER_SIDE:
                if field == "managedFields" and manager == "":
                    continue
                metadata.pop(field, None)
            if not metadata.get("name") and metadata.get("generateName"):
                metadata["name"] = generated_name(metadata["generateName"])
            admission.check_namespace(self.store, kind, manifest)
            metadata.setdefault("name", "")
            metadata["uid"] = str(uuid.uuid4())
            metadata["creationTimestamp"] = now()
            if kind.generation:
                metadata["generation"] = 1
            if not kind.custom:
                manifest.pop("status", None)
            sent = copy_of(manifest)
            defaults.fill_in(kind, manifest)
            admission.mutate(self.store, kind, manifest)
            self._check(kind, manifest, None)
            admission.check_policies(self.store, kind, manifest, dry=dry)
            if self.store.get(kind, (metadata.get("namespace", ""), metadata["name"])):
                raise already_exists(kind, metadata["name"])
            if manager:
                managed_fields.updated(
                    self.schemas, self.schemas.of(kind), None, manifest | sent, manager=manager
                )
            return manifest if dry else self.store.put(kind, manifest)

    def replace(
        self,
        kind: Kind,
        key: Key,
        new: Manifest,
        *,
        manager: str,
        subresource: str = "",
        dry: bool = False,
    ) -> Manifest:
        """Keep another state of an object that exists; nothing happens where nothing differs."""
        with self.store.lock:
            old = self.store.get(kind, key)
            if old is None:
                raise not_found(kind, key[1])
            new = _identified(kind, copy_of(new), old, keep_owners=not manager)
            new = self._part(kind, new, old, subresource)
            self._check(kind, new, old)
            if _without_owners(new) == _without_owners(old) and (manager or new == old):
                return old
            if kind.generation and new.get("spec") != old.get("spec"):
                new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
            if manager:
                schema = self.schemas.of(kind)
                managed_fields.updated(self.schemas, schema, old, new, manager=manager)
            if dry:
                return new
            kept = self.store.put(kind, new)
            finish(self.store, kind, key)
            return kept

    def _part(self, kind: Kind, new: Manifest, old: Manifest, subresource: str) -> Manifest:
        """Return the new object with only what an endpoint may change.

        https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
        """
        if subresource == "status":
            return {**copy_of(old), "status": new.get("status", {})}
        if subresource == "finalize":
            finalizers = (new.get("spec") or {}).get("finalizers") or []
            return {**copy_of(old), "spec": {**old["spec"], "finalizers": finalizers}}
        if not kind.custom and "status" in old:
            new["status"] = copy_of(old["status"])
        defaults.fill_in(kind, new)
        if kind is kinds.NAMESPACES:
            new["spec"]["finalizers"] = old["spec"].get("finalizers", [])
        return new

    def apply(
        self, kind: Kind, key: Key, applied: Manifest, *, manager: str, force: bool, dry: bool
    ) -> tuple[Manifest, bool]:
        """Carry out a server-side apply; return the object and whether it is new."""
        schema = self.schemas.of(kind)
        # https://github.com/kubernetes/kubernetes/issues/122480: real servers answer 500 here.
        problems = self.schemas.problems(kind, applied)
        if problems.unknown or problems.mistyped:
            where = f".{dotted(problems.unknown[0])}" if problems.unknown else ""
            what = "field not declared in schema" if where else problems.mistyped[0]
            subject = f"{key[0]}/{key[1]}; {kind.api_version}, Kind={kind.kind}"
            raise ApiError(
                500,
                "",
                f"failed to create typed patch object ({subject}): {where}: {what}".replace(
                    ": : ", ": "
                ),
            )
        with self.store.lock:
            live = self.store.get(kind, key)
            if live is None:
                admission.check_namespace(self.store, kind, applied)
            merged = managed_fields.apply(
                self.schemas, schema, live, applied, manager=manager, force=force
            )
            if live is None:
                return self.create(kind, merged, manager="", dry=dry), True
            wanted = applied["metadata"].get("resourceVersion")
            if wanted not in (None, live["metadata"]["resourceVersion"]):
                raise modified(kind, key[1])
            return self.replace(kind, key, merged, manager="", dry=dry), False


def _identified(kind: Kind, new: Manifest, old: Manifest, *, keep_owners: bool) -> Manifest:
    """Return the new state with the identity of the old; raise if it is of something else."""
    metadata, known = new["metadata"], old["metadata"]
    name = known["name"]
    if metadata.get("name", name) != name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL "
            f"({name})"
        )
    if metadata.get("resourceVersion") not in (None, "", known["resourceVersion"]):
        raise modified(kind, name)
    if metadata.get("uid") not in (None, known["uid"]):
        raise modified(kind, name)
    for field in _SERVER_SIDE:
        if field == "managedFields" and keep_owners:
            continue
        metadata.pop(field, None)
        if field in known:
            metadata[field] = known[field]
    return new


def _without_owners(manifest: Manifest) -> Manifest:
    metadata = {k: v for k, v in manifest["metadata"].items() if k != "managedFields"}
    return {**manifest, "metadata": metadata}

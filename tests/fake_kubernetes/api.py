"""From a request to an answer.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import base64
import json
import random
from collections import OrderedDict
from collections.abc import Mapping

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.deletion import delete
from tests.fake_kubernetes.discovery import Discovery
from tests.fake_kubernetes.errors import (
    ApiError,
    bad_request,
    expired,
    forbidden,
    forbidden_field,
    invalid,
    method_not_allowed,
    no_such_path,
    not_found,
    required,
)
from tests.fake_kubernetes.kinds import Kind, Kinds
from tests.fake_kubernetes.objects import Manifest, copy_of, without_nulls
from tests.fake_kubernetes.patching import merge_patch
from tests.fake_kubernetes.rbac import Attributes, Authorizer, refusal
from tests.fake_kubernetes.registry import Registry
from tests.fake_kubernetes.selectors import Selection, parse_fields, parse_labels
from tests.fake_kubernetes.store import Entry, Key
from tests.fake_kubernetes.watching import Watch
from tests.fake_kubernetes.wire import (
    APPLY,
    MERGE,
    OBJECTS,
    Request,
    Response,
    Target,
    agent,
    answer,
    field_validation,
    is_dry,
    number,
    read_body,
    version_of,
)


class Api:
    """Everything that the API answers, without faults and without identity."""

    def __init__(
        self, registry: Registry, installed: Kinds, *, version: str, bookmark_seconds: float
    ) -> None:
        self.registry = registry
        self.store = registry.store
        self._discovery = Discovery(installed, version)
        self._bookmark_seconds = bookmark_seconds
        self._pages: OrderedDict[str, tuple[int, list[Entry]]] = OrderedDict()
        self.logs: dict[Key, str] = {}
        self.bugs: list[Exception] = []
        self.refused: list[str] = []

    def handle(self, request: Request, target: Target, user: str, rights: Authorizer) -> Response:
        """Answer a request of a known user, or raise ApiError."""
        action = target.action
        if not action.resource:
            return self._discovery.answer(target.path)
        if not rights.allows(action):
            resource = Kind(action.group, "", "", action.resource)
            raise self._refuse(resource, user, action)
        if action.resource == "selfsubjectaccessreviews":
            return self._review(request, rights)
        kind = target.kind
        if kind is None or (kind.namespaced and not action.namespace and action.name):
            raise no_such_path()
        if action.subresource and action.subresource not in kind.subresources:
            raise no_such_path()
        return self._resource(kind, request, target, user, rights)

    def _resource(
        self, kind: Kind, request: Request, target: Target, user: str, rights: Authorizer
    ) -> Response:
        action = target.action
        key = (action.namespace if kind.namespaced else "", action.name)
        match action.verb:
            case "list":
                return self._list(kind, target)
            case "watch":
                return self._watch(kind, target)
            case "get":
                return self._get(kind, key, target)
            case "create":
                return self._create(kind, request, target)
            case "update":
                return self._update(kind, key, request, target)
            case "patch":
                return self._patch(kind, key, request, target, user, rights)
            case "delete" | "deletecollection":
                return self._delete(kind, key, request, target)
        raise method_not_allowed()

    # https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
    def _review(self, request: Request, rights: Authorizer) -> Response:
        review = read_body(request, OBJECTS)
        asked = (review.get("spec") or {}).get("resourceAttributes") or {}
        action = Attributes(
            asked.get("verb", ""),
            asked.get("group", ""),
            asked.get("resource", ""),
            asked.get("subresource", ""),
            asked.get("namespace", ""),
            asked.get("name", ""),
        )
        return answer({**review, "status": {"allowed": rights.allows(action)}}, 201)

    def _selection(self, kind: Kind, target: Target) -> Selection:
        return Selection(
            target.action.namespace if kind.namespaced else "",
            parse_labels(target.query.get("labelSelector", "")),
            parse_fields(kind, target.query.get("fieldSelector", "")),
        )

    def _get(self, kind: Kind, key: Key, target: Target) -> Response:
        if target.action.subresource == "log":
            return self._log(key, target.query)
        entry = self.store.entry(kind, key)
        if entry is None:
            raise not_found(kind, key[1])
        return Response(200, entry.body)

    def _list(self, kind: Kind, target: Target) -> Response:
        query = target.query
        selection = self._selection(kind, target)
        limit = number(query, "limit") or 0
        token = query.get("continue", "")
        wanted = version_of(query)
        if token:
            version, entries = self._page(token)
        else:
            entries, version = self.store.select(kind, selection)
            if wanted is not None and wanted > version:
                raise ApiError(
                    504, "Timeout", f"Too large resource version: {wanted}, current: {version}"
                )
        metadata: Manifest = {"resourceVersion": str(version)}
        if limit and len(entries) > limit:
            entries, rest = entries[:limit], entries[limit:]
            metadata["continue"] = self._keep_page(version, rest)
            if not selection.labels and not selection.fields:
                metadata["remainingItemCount"] = len(rest)
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        text = json.dumps(head, separators=(",", ":"))[:-1].encode()
        return Response(
            200, text + b',"items":[' + b",".join(entry.item for entry in entries) + b"]}"
        )

    # https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
    def _keep_page(self, version: int, rest: list[Entry]) -> str:
        token = base64.urlsafe_b64encode(
            json.dumps({"rv": version, "n": random.getrandbits(64)}).encode()
        ).decode()
        self._pages[token] = (version, rest)
        while len(self._pages) > 100:
            self._pages.popitem(last=False)
        return token

    def _page(self, token: str) -> tuple[int, list[Entry]]:
        try:
            version = int(json.loads(base64.urlsafe_b64decode(token))["rv"])
        except (ValueError, KeyError, TypeError) as problem:
            raise bad_request("continue key is not valid: illegal base64 data") from problem
        page = self._pages.get(token)
        if page is None or self.store.is_compacted(version):
            raise expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            )
        return version, page[1]

    def _watch(self, kind: Kind, target: Target) -> Response:
        query = target.query
        if "sendInitialEvents" in query:
            cause = forbidden_field(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is "
                "enabled",
            )
            raise invalid("ListOptions", "meta.k8s.io", "", [cause])
        selection = self._selection(kind, target)
        wanted = version_of(query) or None
        timeout = number(query, "timeoutSeconds")
        watch = Watch(
            self.store,
            kind,
            selection,
            version=wanted,
            # Real servers choose between 30 and 60 minutes.
            timeout=timeout if timeout is not None else random.uniform(1800, 3600),
            bookmarks=query.get("allowWatchBookmarks") in ("true", "1"),
            bookmark_seconds=self._bookmark_seconds,
        )
        return Response(200, watch=watch)

    # https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
    def _log(self, key: Key, query: Mapping[str, str]) -> Response:
        pod = self.store.get(kinds.PODS, key)
        if pod is None:
            raise not_found(kinds.PODS, key[1])
        containers = [c["name"] for c in pod["spec"]["containers"]]
        everything = containers + [c["name"] for c in pod["spec"].get("initContainers") or ()]
        container = query.get("container") or (containers[0] if len(containers) == 1 else "")
        if not container:
            raise bad_request(
                f"a container name must be specified for pod {key[1]}, choose one of: "
                f"[{' '.join(containers)}]"
            )
        if container not in everything:
            raise bad_request(f"container {container} is not valid for pod {key[1]}")
        status = pod.get("status", {})
        for state in (
            *(status.get("containerStatuses") or ()),
            *(status.get("initContainerStatuses") or ()),
        ):
            waiting = state["state"].get("waiting")
            if state["name"] == container and waiting and not state.get("lastState"):
                raise bad_request(
                    f'container "{container}" in pod "{key[1]}" is waiting to start: '
                    f"{waiting['reason']}"
                )
        lines = self.logs.get(key, "").splitlines(keepends=True)
        tail = number(query, "tailLines")
        return Response(
            200,
            "".join(lines if tail is None else lines[len(lines) - tail :] if tail else []).encode(),
            "text/plain",
        )

    def _create(self, kind: Kind, request: Request, target: Target) -> Response:
        if target.action.name or (kind.namespaced and not target.action.namespace):
            raise method_not_allowed()
        level = field_validation(target.query)
        manifest, warnings = self.registry.decode(
            kind, read_body(request, OBJECTS), target.action.namespace, level
        )
        manager = target.query.get("fieldManager") or agent(request)
        kept = self.registry.create(kind, manifest, manager=manager, dry=is_dry(target.query))
        return answer(kept, 201, tuple(warnings))

    def _update(self, kind: Kind, key: Key, request: Request, target: Target) -> Response:
        manifest, warnings = self.registry.decode(
            kind,
            read_body(request, OBJECTS),
            target.action.namespace if kind.namespaced else "",
            field_validation(target.query),
        )
        kept = self.registry.replace(
            kind,
            key,
            manifest,
            manager=target.query.get("fieldManager") or agent(request),
            subresource=target.action.subresource,
            dry=is_dry(target.query),
        )
        return answer(kept, 200, tuple(warnings))

    def _patch(
        self,
        kind: Kind,
        key: Key,
        request: Request,
        target: Target,
        user: str,
        rights: Authorizer,
    ) -> Response:
        query = target.query
        if request.content_type == APPLY:
            return self._apply(kind, key, request, target, user, rights)
        patch = read_body(request, (MERGE,))
        if "force" in query:
            cause = forbidden_field("force", "may not be specified for non-apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
        with self.store.lock:
            current = self.store.get(kind, key)
            if current is None:
                raise not_found(kind, key[1])
            patched, warnings = self.registry.decode(
                kind, merge_patch(copy_of(current), patch), key[0], field_validation(query)
            )
            if "resourceVersion" not in (patch.get("metadata") or {}):
                patched["metadata"].pop("resourceVersion", None)
            kept = self.registry.replace(
                kind,
                key,
                patched,
                manager=query.get("fieldManager") or agent(request),
                subresource=target.action.subresource,
                dry=is_dry(query),
            )
        return answer(kept, 200, tuple(warnings))

    def _apply(
        self,
        kind: Kind,
        key: Key,
        request: Request,
        target: Target,
        user: str,
        rights: Authorizer,
    ) -> Response:
        applied = read_body(request, (APPLY,))
        query = target.query
        manager = query.get("fieldManager")
        if not manager:
            cause = required("fieldManager", "is required for apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
        if target.action.subresource:
            raise method_not_allowed()
        if applied.get("apiVersion") != kind.api_version:
            raise bad_request(
                "Incorrect version specified in apply patch. Specified patch version: "
                f"{applied.get('apiVersion', '')}, expected: {kind.api_version}"
            )
        if applied.get("kind") != kind.kind:
            raise bad_request(f"expected kind {kind.kind}, but got {applied.get('kind', '')}")
        applied = without_nulls(applied)
        metadata = applied.setdefault("metadata", {})
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if metadata.setdefault("name", key[1]) != key[1]:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL "
                f"({key[1]})"
            )
        if kind.namespaced and metadata.setdefault("namespace", key[0]) != key[0]:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        self._may_create(kind, target, user, rights)
        kept, created = self.registry.apply(
            kind,
            key,
            applied,
            manager=manager,
            force=query.get("force") in ("true", "1"),
            dry=is_dry(query),
        )
        return answer(kept, 201 if created else 200)

    def _may_create(self, kind: Kind, target: Target, user: str, rights: Authorizer) -> None:
        """Demand ``create`` as well where an apply creates.

        https://kubernetes.io/docs/reference/using-api/server-side-apply/#rbac-and-permissions
        """
        action = target.action
        key = (action.namespace if kind.namespaced else "", action.name)
        wanted = Attributes("create", action.group, action.resource, "", action.namespace, "")
        if self.store.get(kind, key) is None and not rights.allows(wanted):
            raise self._refuse(kind, user, wanted)

    def _refuse(self, kind: Kind, user: str, action: Attributes) -> ApiError:
        why = refusal(user, action)
        self.refused.append(why)
        return forbidden(kind, action.name, why)

    def _delete(self, kind: Kind, key: Key, request: Request, target: Target) -> Response:
        if target.action.subresource:
            raise method_not_allowed()
        options = read_body(request, OBJECTS, empty=True)
        query = target.query
        if "propagationPolicy" in query:
            options["propagationPolicy"] = query["propagationPolicy"]
        if "gracePeriodSeconds" in query:
            options["gracePeriodSeconds"] = number(query, "gracePeriodSeconds")
        if key[1]:
            last, gone = delete(self.store, kind, key, options)
            if not gone or kind is kinds.PODS:
                return answer(last)
            details = {"name": key[1], "group": kind.group, "kind": kind.plural}
            details["uid"] = last["metadata"]["uid"]
            shown = {name: value for name, value in details.items() if value}
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            return answer({**status, "details": shown})
        if kind is kinds.NAMESPACES:
            raise method_not_allowed()
        selection = self._selection(kind, target)
        entries, version = self.store.select(kind, selection)
        items = [
            delete(
                self.store,
                kind,
                (
                    entry.manifest["metadata"].get("namespace", ""),
                    entry.manifest["metadata"]["name"],
                ),
                options,
            )[0]
            for entry in entries
        ]
        listing = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version}
        metadata = {"resourceVersion": str(version)}
        return answer({**listing, "metadata": metadata, "items": items})

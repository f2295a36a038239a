"""The one way to the API server: plain JSON over the official client's authentication and pool.

The client's typed models are left out: checking them costs more than the calls themselves.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from scheduler.backends.base import BackendUnavailable
from scheduler.backends.kubernetes.failures import failure, status_object
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.resources import RESOURCES, Resource
from syringe_project.kubernetes_environment import KubernetesEnvironment

logger = logging.getLogger(__name__)

FIELD_MANAGER = "syringe"
"""The name under which the server notes which fields are ours."""

# A field that the server does not know must not be dropped: it may be what keeps a lesson in.
_WRITE = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
_JSON = "application/json"
# JSON is YAML, and older servers take apply patches under this name only.
_APPLY = "application/apply-patch+yaml"
_CHUNK = 1 << 16

WATCH_GRACE_SECONDS = 2.0
"""What a watch may take to begin, and again to end after the time that was asked for."""

PAGE_SIZE = 500
"""Objects in one answer of a list by pages, as the official tools have it."""

_CONFIG_ERRORS = (
    ConfigException,
    OSError,
    yaml.YAMLError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)
"""What the loaders raise for files that are missing, unreadable or something else entirely."""


@dataclass(frozen=True, slots=True)
class ObjectList:
    """Objects as they were together at one resource version, from which to watch on."""

    items: Sequence[Manifest]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A change: ADDED, MODIFIED, DELETED, or BOOKMARK, which has only a resource version."""

    type: str
    object: Manifest


def load_api(settings: KubernetesEnvironment, *, connections: int) -> ApiClient:
    """Return a client by the settings, else by the pod's account, else by the usual kubeconfig.

    Raise BackendUnavailable where there is none. Nothing is retried or held back here: the
    scheduler does that, for whole steps.
    """
    configuration = Configuration(connection_pool_maxsize=connections, retries=False)
    configuration.keep_alive = True
    try:
        if settings.kubeconfig:
            _load_file(settings, configuration)
        else:
            try:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            except ConfigException:
                _load_file(settings, configuration)
        return ApiClient(configuration)
    except _CONFIG_ERRORS as error:
        where = settings.kubeconfig or "the pod's service account, KUBECONFIG or ~/.kube/config"
        raise BackendUnavailable(
            reason=f"no cluster is configured by {where}: {_first_line(error)}"
        ) from error


def _load_file(settings: KubernetesEnvironment, configuration: Configuration) -> None:
    load_kube_config(  # type: ignore[no-untyped-call]
        config_file=settings.kubeconfig or None,
        context=settings.context or None,
        client_configuration=configuration,
        # The file is its owner's.
        persist_config=False,
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def says(self, reason: str) -> bool:
        """Whether this is an error of this reason by an API server, not by a proxy before it."""
        return status_object(self.body).get("reason") == reason


class Cluster:
    """One cluster, for several threads at once.

    Every method makes one call, a ``list`` by pages one for each, and raises only
    BackendUnavailable or BackendRejected. Every call ends within the time limit.
    """

    def __init__(self, load: Callable[[], ApiClient], *, timeout_seconds: float) -> None:
        self._load = load
        self._timeout_seconds = timeout_seconds
        self._lock = Lock()
        self._loaded: ApiClient | None = None

    def apply(self, manifest: Manifest) -> Manifest:
        """Make the object be as described, whoever wrote it before; return what is stored."""
        metadata = manifest["metadata"]
        resource = RESOURCES[manifest["kind"]]
        answer = self._send(
            "PATCH",
            resource.path(namespace=metadata.get("namespace", ""), name=metadata["name"]),
            query={**_WRITE, "force": "true"},
            body=manifest,
            content_type=_APPLY,
        )
        return self._object(answer, f"applying {_title(manifest)}", resource, resource.kind)

    def create(self, manifest: Manifest) -> Manifest | None:
        """Return the new object, or None where one of this name exists."""
        resource = RESOURCES[manifest["kind"]]
        answer = self._send(
            "POST",
            resource.path(namespace=manifest["metadata"].get("namespace", "")),
            query=_WRITE,
            body=manifest,
        )
        if answer.says("AlreadyExists"):
            return None
        return self._object(answer, f"creating {_title(manifest)}", resource, resource.kind)

    def read(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """Return an object as it is now, None where there is none."""
        resource = RESOURCES[kind]
        answer = self._send("GET", resource.path(namespace=namespace, name=name))
        if answer.says("NotFound"):
            return None
        return self._object(answer, f"reading {kind} {name}", resource, kind)

    def list(self, kind: str, *, labels: str, paged: bool = False) -> ObjectList:
        """Return the objects with these labels in all namespaces.

        The read is consistent: what was created before the call is in the answer. One that is
        ``paged`` may take several calls, each with the whole time limit, and Expired is raised
        where the first is too long ago for the last.
        """
        resource = RESOURCES[kind]
        query = {"labelSelector": labels, **({"limit": str(PAGE_SIZE)} if paged else {})}
        items: list[Manifest] = []
        while True:
            answer = self._send("GET", resource.path(), query=query)
            found = self._object(answer, f"listing {resource.plural}", resource, f"{kind}List")
            metadata = found.get("metadata") or {}
            items += found.get("items") or ()
            if not (token := metadata.get("continue")):
                return ObjectList(items, str(metadata.get("resourceVersion", "")))
            query["continue"] = str(token)

    def delete(self, kind: str, name: str, namespace: str = "", *, uid: str) -> None:
        """Ask for the object of this ``uid`` to be deleted after all that belongs to it.

        Succeeds where it is gone; BackendUnavailable where another has taken its name.
        """
        resource = RESOURCES[kind]
        answer = self._send(
            "DELETE",
            resource.path(namespace=namespace, name=name),
            body={
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Foreground",
                "preconditions": {"uid": uid},
            },
        )
        if not answer.says("NotFound"):
            self._object(answer, f"deleting {kind} {name}", resource)

    def finalize(self, namespace: Manifest) -> None:
        """Let a Terminating namespace go, whatever its finalizers wait for."""
        resource = RESOURCES["Namespace"]
        name = namespace["metadata"]["name"]
        answer = self._send(
            "PUT",
            resource.path(name=name, subresource="finalize"),
            body={
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {**namespace["metadata"], "finalizers": []},
                "spec": {"finalizers": []},
            },
        )
        if not answer.says("NotFound"):
            self._object(answer, f"finalizing Namespace {name}", resource)

    def knows(self, kind: str) -> bool:
        """Say whether the cluster has this kind of object."""
        resource = RESOURCES[kind]
        answer = self._send("GET", resource.api_path)
        if answer.status == 404:
            return False
        found = self._object(answer, f"looking for {resource.plural}", None)
        return any(one.get("name") == resource.plural for one in found.get("resources") or ())

    def version(self) -> tuple[int, int]:
        """Return the major and minor version of the API server."""
        found = self._object(self._send("GET", "/version"), "asking for the version", None)
        try:
            # Some providers write the minor version as "29+".
            return int(found["major"]), int(str(found["minor"]).rstrip("+"))
        except (KeyError, ValueError) as error:
            raise BackendUnavailable(reason="the API server does not say its version") from error

    def may(self, verb: str, resource: Resource, subresource: str = "") -> bool:
        """Say whether this account has a right in every namespace."""
        review = RESOURCES["SelfSubjectAccessReview"]
        attributes = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "subresource": subresource,
        }
        answer = self._send(
            "POST",
            review.path(),
            body={
                "apiVersion": review.api_version,
                "kind": review.kind,
                "spec": {"resourceAttributes": attributes},
            },
        )
        found = self._object(answer, "asking for our rights", review)
        return (found.get("status") or {}).get("allowed") is True

    def watch(
        self, kind: str, *, labels: str, resource_version: str, timeout_seconds: int
    ) -> Iterator[WatchEvent]:
        """Yield what changes after a list's resource version, until the time is over.

        Raise Expired where the version is too old to go on from, BackendUnavailable soon after
        that time where the server does not end the stream. Closing the iterator ends the call.
        """
        resource = RESOURCES[kind]
        action = f"watching {resource.plural}"
        # Until then, silence between two events is all right.
        longest = timeout_seconds + WATCH_GRACE_SECONDS
        end = time.monotonic() + WATCH_GRACE_SECONDS + longest
        response = self._open(
            "GET",
            resource.path(),
            query={
                "labelSelector": labels,
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": resource_version,
                "timeoutSeconds": str(timeout_seconds),
            },
            limits=(min(self._timeout_seconds, WATCH_GRACE_SECONDS), longest),
        )
        try:
            if response.status != 200:
                answer = _Answer(response.status, response.headers, response.read(_CHUNK))
                self._object(answer, action, resource)
            for line in _lines(response, end):
                yield _event(line, action, resource)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _not_reached(error) from error
        finally:
            response.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = _JSON,
    ) -> _Answer:
        end = time.monotonic() + self._timeout_seconds
        response = self._open(method, path, query=query, body=body, content_type=content_type)
        try:
            parts = []
            # The limits of sockets are per packet, so a trickle would keep them for ever.
            while part := response.read1(_CHUNK):
                parts.append(part)
                if time.monotonic() > end:
                    raise BackendUnavailable(reason="the API server's answer takes too long")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _not_reached(error) from error
        finally:
            # Only a response that was read to its end gives its connection back.
            response.close()
        return _Answer(response.status, response.headers, b"".join(parts))

    def _open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = _JSON,
        limits: tuple[float, float] | None = None,
    ) -> urllib3.HTTPResponse:
        api = self._api()
        headers = {**api.default_headers, "Accept": _JSON}
        if body is not None:
            headers["Content-Type"] = content_type
        url = f"{api.configuration.host}{path}"
        if query:
            url += f"?{urlencode(query)}"
        try:
            api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        except _CONFIG_ERRORS as error:
            self._forget(api)
            raise BackendUnavailable(
                reason=f"the cluster's credentials are not readable: {_first_line(error)}"
            ) from error
        try:
            response: urllib3.HTTPResponse = api.rest_client.request(  # type: ignore[no-untyped-call]
                method,
                url,
                headers=headers,
                body=body,
                _request_timeout=limits or (self._timeout_seconds, self._timeout_seconds),
            ).response
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise _not_reached(error) from error
        if response.status == 401:
            # Credentials may have been replaced in the file that they were read from.
            self._forget(api)
        return response

    def _api(self) -> ApiClient:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _forget(self, api: ApiClient) -> None:
        with self._lock:
            if self._loaded is api:
                self._loaded = None

    @staticmethod
    def _object(
        answer: _Answer, action: str, resource: Resource | None, kind: str = ""
    ) -> Manifest:
        if not answer.is_success:
            raise failure(action, resource, answer.status, answer.headers, answer.body)
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        # Taken for an empty list, any web server's page would make all lessons vanish.
        if not isinstance(found, dict) or (kind and found.get("kind") != kind):
            raise BackendUnavailable(reason=f"{action}: the answer is no {kind or 'object'}")
        return found


def _title(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _not_reached(error: Exception) -> BackendUnavailable:
    text = error.reason if isinstance(error, ApiException) else str(error)
    return BackendUnavailable(
        reason=f"the API server cannot be reached: {' '.join(str(text).split())[:200]}"
    )


def _lines(response: urllib3.HTTPResponse, end: float) -> Iterator[bytes]:
    rest = b""
    _limit(response, end)
    while part := response.read1(_CHUNK):
        *lines, rest = (rest + part).split(b"\n")
        yield from filter(None, lines)
        _limit(response, end)


def _limit(response: urllib3.HTTPResponse, end: float) -> None:
    """Let the next packet come until ``end``: a socket's own limit begins anew with each."""
    remaining = end - time.monotonic()
    if remaining <= 0:
        raise BackendUnavailable(reason="the API server does not end a watch")
    sock = getattr(response.connection, "sock", None)
    if sock is not None:
        sock.settimeout(remaining)


def _event(line: bytes, action: str, resource: Resource) -> WatchEvent:
    try:
        event = json.loads(line)
        kind, found = event["type"], event["object"]
    except (ValueError, TypeError, KeyError) as error:
        raise BackendUnavailable(reason=f"{action}: not an event") from error
    if kind == "ERROR":
        raise failure(
            action, resource, int(found.get("code") or 500), {}, json.dumps(found).encode()
        )
    return WatchEvent(kind, found)

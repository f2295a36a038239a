"""The version, health, and what is installed.

https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

from tests.fake_kubernetes.errors import no_such_path
from tests.fake_kubernetes.kinds import Kinds
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.wire import Response, answer

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Discovery:
    """What anybody who is known may ask."""

    def __init__(self, installed: Kinds, version: str) -> None:
        self._installed = installed
        self._version = version

    def answer(self, path: str) -> Response:
        """Answer a path outside resources."""
        major, minor = self._version.split(".")
        if path == "/version":
            version = {
                "major": major,
                "minor": minor,
                "gitVersion": f"v{self._version}.0",
                "gitCommit": "0" * 40,
                "gitTreeState": "clean",
                "buildDate": "2024-01-01T00:00:00Z",
                "goVersion": "go1.22.0",
                "compiler": "gc",
                "platform": "linux/amd64",
            }
            return answer(version)
        if path in ("/readyz", "/livez", "/healthz"):
            return Response(200, b"ok", "text/plain; charset=utf-8")
        found = self._listing(path.strip("/"))
        if found is None:
            raise no_such_path()
        return answer(found)

    def _listing(self, path: str) -> Manifest | None:
        """Return what is installed at a path, or None where nothing is."""
        if path == "api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        groups = sorted({(k.group, k.version) for k in self._installed if k.group})
        if path == "apis":
            listed = []
            for group, version in groups:
                place = {"groupVersion": f"{group}/{version}", "version": version}
                listed.append({"name": group, "versions": [place], "preferredVersion": place})
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
        group_version = path.removeprefix("apis/").removeprefix("api/")
        resources = [
            {
                "name": kind.plural,
                "singularName": kind.kind.lower(),
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": _VERBS,
            }
            for kind in self._installed
            if kind.api_version == group_version
        ]
        if not resources:
            return None
        listing = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version}
        return {**listing, "resources": resources}

"""Server-side apply, patches and replacement.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_kubernetes import FakeCluster
from tests.integration.fake_kubernetes.conftest import (
    APPLY,
    MERGE,
    Manifest,
    Raw,
    namespace,
    pod,
)


def service(*ports: int, **labels: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "here", "labels": labels},
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": f"p{number}", "port": number} for number in ports],
        },
    }


def test_an_apply_creates_then_changes_then_changes_nothing(raw: Raw) -> None:
    created = raw.apply(service(80, app="a"))
    changed = raw.apply(service(80, 81, app="a"))
    again = raw.apply(service(80, 81, app="a"))

    assert (created.status, changed.status, again.status) == (201, 200, 200)
    assert [port["port"] for port in changed.body["spec"]["ports"]] == [80, 81]
    assert again.body == changed.body
    owner = created.body["metadata"]["managedFields"][0]
    assert (owner["manager"], owner["operation"]) == ("syringe", "Apply")
    assert owner["fieldsV1"]["f:metadata"] == {"f:labels": {"f:app": {}}}
    assert 'k:{"port":80,"protocol":"TCP"}' in owner["fieldsV1"]["f:spec"]["f:ports"]


def test_what_is_no_longer_applied_goes(raw: Raw) -> None:
    raw.apply(service(80, 81, app="a", tier="b"))
    raw.call(
        "PATCH",
        "/api/v1/namespaces/here/services/web",
        {"metadata": {"labels": {"hand": "made"}}},
        kind=MERGE,
    )

    reply = raw.apply(service(81, app="a"))

    assert reply.status == 200, reply.text
    left = reply.body
    assert left["metadata"]["labels"] == {"app": "a", "hand": "made"}
    assert [port["port"] for port in left["spec"]["ports"]] == [81]
    assert left["spec"]["clusterIP"] == "None"


def test_managers_conflict_over_different_values_only(raw: Raw) -> None:
    raw.apply(namespace("shared", owner="a", same="x"), manager="first")

    refused = raw.apply(namespace("shared", owner="b", same="x"), manager="second")
    forced = raw.apply(namespace("shared", owner="b", same="x"), manager="second", force="true")
    first = raw.apply(namespace("shared", owner="a", same="x"), manager="first")

    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    assert refused.body["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "first"',
            "field": ".metadata.labels.owner",
        }
    ]
    assert forced.body["metadata"]["labels"]["owner"] == "b"
    assert first.status == 409


def test_an_update_takes_fields_from_an_apply(raw: Raw) -> None:
    raw.apply(namespace("shared", owner="a"))
    raw.call(
        "PATCH",
        "/api/v1/namespaces/shared",
        {"metadata": {"labels": {"owner": "b"}}},
        kind=MERGE,
        fieldManager="hand",
    )

    reply = raw.apply(namespace("shared", owner="a"))

    assert reply.status == 409
    assert 'conflict with "hand"' in reply.body["message"]


def test_elements_of_keyed_lists_are_merged(raw: Raw) -> None:
    def containers(image: str, **more: Any) -> Manifest:
        return pod(containers=[{"name": "main", "image": image, **more}])

    raw.apply(containers("one:1", env=[{"name": "A", "value": "1"}]))

    reply = raw.apply(containers("two:2", env=[{"name": "A", "value": "1"}]))

    container = reply.body["spec"]["containers"][0]
    assert (reply.status, container["image"], container["env"][0]["value"]) == (200, "two:2", "1")
    assert reply.body["metadata"]["generation"] == 2
    assert raw.apply(containers("two:2", env=[{"name": "A", "value": "2"}])).status == 422


def test_unknown_fields_fail_an_apply_as_they_do_for_real(raw: Raw) -> None:
    """https://github.com/kubernetes/kubernetes/issues/122480"""
    reply = raw.apply(pod(conteiners=[]))

    assert (reply.status, "reason" in reply.body) == (500, False)
    assert reply.body["message"] == (
        "failed to create typed patch object (here/pod; v1, Kind=Pod): .spec.conteiners: "
        "field not declared in schema"
    )


PATH = "/api/v1/namespaces/shared"


@pytest.mark.parametrize(
    ("body", "query", "kind", "code", "text"),
    [
        (namespace("shared"), {}, APPLY, 422, "fieldManager: Required value"),
        (namespace("shared"), {"force": "true"}, MERGE, 422, "non-apply patch"),
        (namespace("shared"), {"fieldManager": "m"}, "text/plain", 415, "unknown format"),
        (namespace("other"), {"fieldManager": "m"}, APPLY, 400, "does not match the name"),
        ("a: [", {"fieldManager": "m"}, APPLY, 400, "parse error"),
        ("- a", {"fieldManager": "m"}, APPLY, 400, "not an object"),
        ({"apiVersion": "v1", "kind": "Pod"}, {"fieldManager": "m"}, APPLY, 400, "expected kind"),
        ({"kind": "Namespace"}, {"fieldManager": "m"}, APPLY, 400, "Incorrect version"),
    ],
)
def test_malformed_applies(
    raw: Raw, body: object, query: dict[str, str], kind: str, code: int, text: str
) -> None:
    reply = raw.call("PATCH", PATH, body, kind=kind, **query)

    assert reply.status == code
    assert text in reply.body["message"]


def test_an_apply_may_be_yaml(raw: Raw) -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shared\n"

    assert raw.call("PATCH", PATH, text, kind=APPLY, fieldManager="m").status == 201


def test_a_dry_run_keeps_nothing(raw: Raw) -> None:
    assert raw.apply(namespace("shared"), dryRun="All").status == 201
    assert raw.create(namespace("shared"), dryRun="All").status == 201
    assert raw.call("GET", PATH).status == 404


def test_replacing_needs_the_current_version(raw: Raw, cluster: FakeCluster) -> None:
    created = raw.create(namespace("shared")).body
    raw.apply(namespace("shared", a="b"))

    stale = raw.call("PUT", PATH, created)
    fresh = raw.call("PUT", PATH, {**raw.get(created), "metadata": {"name": "shared"}})

    assert (stale.status, stale.body["reason"]) == (409, "Conflict")
    assert "the object has been modified" in stale.body["message"]
    assert fresh.status == 200


def test_status_is_written_apart(raw: Raw) -> None:
    raw.create(service(80))
    path = "/api/v1/namespaces/here/services/web"
    change = {
        "metadata": {"labels": {"x": "y"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    }

    main = raw.call("PATCH", path, change, kind=MERGE).body
    status = raw.call(
        "PATCH", f"{path}/status", {**change, "metadata": {"labels": {"z": "z"}}}, kind=MERGE
    ).body

    assert (main["metadata"]["labels"], main["status"]) == ({"x": "y"}, {"loadBalancer": {}})
    assert status["metadata"]["labels"] == {"x": "y"}
    assert status["status"] == change["status"]

"""Label selectors."""

from __future__ import annotations

import pytest

from tests.fake_kubernetes.errors import ApiError
from tests.fake_kubernetes.selectors import Selection, parse_labels
from tests.integration.fake_kubernetes.conftest import Raw, pod

LABELS = {"a": "1", "example.com/b": "two"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("a", True),
        ("!a", False),
        ("c", False),
        ("!c", True),
        ("a=1", True),
        ("a==1", True),
        ("a=", False),
        ("a!=1", False),
        ("c!=1", True),
        ("a in (0, 1)", True),
        ("a in (0)", False),
        ("a notin (1,2)", False),
        ("c notin (1)", True),
        ("example.com/b in (two),a", True),
        ("example.com/b=two,!a", False),
        ("a>0", True),
        ("a<1", False),
        ("in in (in)", False),
    ],
)
def test_selectors_select(selector: str, matches: bool) -> None:
    manifest = {"metadata": {"name": "x", "labels": LABELS}}

    assert Selection(labels=parse_labels(selector)).matches(manifest) is matches


@pytest.mark.parametrize(
    "selector",
    ["a in 1", "a in (1", "a b", "a=b=c", ",", "a,", "=1", "!", "a in", "a=b c", "-a", "a=-",
     f"a={'x' * 64}", "/a", "a>b", "(a)", "a!", "UPPER/"],
)  # fmt: skip
def test_nonsense_is_refused(selector: str, raw: Raw) -> None:
    reply = raw.call("GET", "/api/v1/pods", labelSelector=selector)

    assert (reply.status, reply.body["reason"]) == (400, "BadRequest")
    with pytest.raises(ApiError):
        parse_labels(selector)


def test_field_selectors(raw: Raw) -> None:
    for name in ("one", "two"):
        raw.create(pod(name))

    reply = raw.call("GET", "/api/v1/pods", fieldSelector="metadata.name!=one")
    unknown = raw.call("GET", "/api/v1/pods", fieldSelector="spec.volumes=x")

    assert [item["metadata"]["name"] for item in reply.body["items"]] == ["two"]
    assert unknown.status == 400

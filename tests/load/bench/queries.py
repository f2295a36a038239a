"""Counting the queries of requests; runs inside a stack."""

import json
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext


def count_queries(*, requests: list[dict[str, Any]]) -> list[int]:
    """Return for each request (``Ask.as_json``) how many queries its second sending makes.

    The first brings along what a process keeps.
    """
    client = Client(headers={"host": "localhost"})
    counts = []
    for request in requests:
        _send(client, request)
        with CaptureQueriesContext(connection) as captured:
            _send(client, request)
        counts.append(len(captured))
    return counts


def _send(client: Client, request: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {request['secret']}"} if request["secret"] else None
    response = client.generic(
        request["method"],
        request["path"],
        _content(request["body"]),
        content_type="application/json",
        headers=headers,
    )
    if response.status_code >= 300:
        raise AssertionError(f"{request['path']}: {response.status_code}")


def _content(body: Any) -> bytes:
    return json.dumps(body).encode() if body is not None else b""

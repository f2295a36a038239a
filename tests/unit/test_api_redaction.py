"""Logs show where a request went, never what would open it."""

import json
import logging
from uuid import UUID

import pytest
import structlog

from livelessons.exp.ids import exp_id
from syringe_project.observability.logs import logging_config
from syringe_project.observability.redaction import without_capabilities

LESSON = UUID("0a0b0c0d-0000-4000-8000-00000000000f")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Not Found: /exp/livelesson/{exp_id(LESSON)}", f"/exp/livelesson/{LESSON.hex}..."),
        ("GET /presentations/Zm9v-YmFy_x/page.css", "/presentations/.../page.css"),
        ("/socket.io/?host=syringe&userpassword=Zm9v&EIO=3", "userpassword=...&EIO=3"),
        ("GET /socket.io/?EIO=3&sid=Zm9v-_x&t=1", "/socket.io/?EIO=3&sid=...&t=1"),
        ("GET /bundles/5e5e?signature=Zm9v-_x", "/bundles/5e5e?signature=..."),
        ("Cookie: syringe_session=abc-_123; a=b", "syringe_session=...; a=b"),
        ("Authorization: Bearer abc-_123", "Bearer ..."),
        (f"/api/v1/livelessons/{LESSON}", str(LESSON)),
    ],
)
def test_what_opens_something_is_taken_out(text, shown):
    assert without_capabilities(text).endswith(shown)


def test_every_line_is_cleaned(rf):
    formatter = logging_config(level="INFO")["formatters"]["json"]
    options = {name: value for name, value in formatter.items() if name != "()"}
    path = f"/exp/livelesson/{exp_id(LESSON)}"
    record = logging.makeLogRecord(
        {"name": "django.request", "msg": "Oops: %s", "args": (path,), "request": rf.get(path)}
    )

    line = structlog.stdlib.ProcessorFormatter(**options).format(record)

    assert exp_id(LESSON) not in line
    assert json.loads(line)["message"] == f"Oops: /exp/livelesson/{LESSON.hex}..."

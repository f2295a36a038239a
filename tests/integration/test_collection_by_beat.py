"""Collection as it really runs: beat sends, a worker of its own queue acts."""

import json

from tests.stack import Stack, wait_until

FAKE = "scheduler.backends.fake.FakeBackend"

START = """
import django; django.setup()
from livelessons.services import session_create
from scheduler.services import lesson_start
from lessons.models import CurrentLesson
slug = CurrentLesson.objects.first().slug
session, _ = session_create(source_address="192.0.2.1")
lesson_start(session=session, slug=slug)
"""

LOOK = """
import django, json; django.setup()
from livelessons.models import LiveLesson
from scheduler.models import FakeEnvironment
row = LiveLesson.objects.get()
gone = not FakeEnvironment.objects.filter(deleting_at=None).exists()
print(json.dumps([row.state, row.end_reason, gone]))
"""


def test_an_unused_livelesson_disappears_by_itself():
    with Stack(
        backend=FAKE, env={"SYRINGE_IDLE_TIMEOUT_SECONDS": "1"}, without={"web", "gateway"}
    ) as stack:
        stack.manage("import_curriculum", "curriculum/sample")
        stack.python(START)

        wait_until(
            lambda: json.loads(stack.python(LOOK)) == ["DELETED", "expired", True],
            seconds=60,
            what="the end of the livelesson",
        )

"""Collection as it really runs: beat sends, a worker of its own queue acts."""

from tests.databases import rows
from tests.stack import FAKE, Stack
from tests.waiting import wait_until

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
SELECT state, end_reason,
    NOT EXISTS (SELECT FROM scheduler_fakeenvironment WHERE deleting_at IS NULL)
FROM livelessons_livelesson
"""


def test_an_unused_livelesson_disappears_by_itself():
    with Stack(
        backend=FAKE, env={"SYRINGE_IDLE_TIMEOUT_SECONDS": "1"}, without={"web", "gateway"}
    ) as stack:
        stack.manage("import_curriculum", "curriculum/sample")
        stack.python(START)

        wait_until(
            lambda: rows(stack.env["SYRINGE_DATABASE_URL"], LOOK) == [("DELETED", "expired", True)],
            what="the end of the livelesson",
        )

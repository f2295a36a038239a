"""Between every two writes of the scheduler stands a failpoint, so that tests can kill it there."""

import socketserver
import threading
from collections.abc import Iterator

import pytest
from django.utils import timezone

from livelessons.models import LiveLesson
from livelessons.states import State
from scheduler.failpoints import Failpoint
from scheduler.reconciler import reconcile
from scheduler.services import lesson_start, live_lesson_end, live_lesson_restart, stage_change
from scheduler.sweep import due_sweep
from tests.conftest import endpoint_dict
from tests.waiting import wait_until
from tests.write_log import WriteLog, writes_logged


@pytest.fixture
def log() -> Iterator[WriteLog]:
    with writes_logged() as log:
        yield log


class Banner(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-test\r\n")


@pytest.fixture
def ssh_address() -> Iterator[str]:
    """Return host:port of something that greets as an SSH server does."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Banner) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def settle(log: WriteLog, live_lesson: LiveLesson, state: State) -> None:
    def arrived() -> bool:
        log.paused = True
        LiveLesson.objects.filter(next_look_at__isnull=False).update(next_look_at=timezone.now())
        log.paused = False
        due_sweep()
        reconcile([live_lesson.pk])
        live_lesson.refresh_from_db()
        return live_lesson.state == state

    wait_until(arrived, what=f"{state}, not {live_lesson.state}")


@pytest.mark.django_db(transaction=True)
def test_every_two_writes_have_a_failpoint_between_them(
    make_lesson, make_session, settings, log, ssh_address
):
    settings.SYRINGE_FAKE_SCRIPT = f'{{"fail_attempts": [1], "address": "{ssh_address}"}}'
    stage = {"guide_type": "markdown", "configurations": {"linux1": "configs/linux1.py"}}
    lesson = make_lesson(
        stages=[stage, stage], endpoints=[endpoint_dict(configuration_type="python")]
    )
    session = make_session()
    log.clear()

    live_lesson = lesson_start(session=session, slug=lesson.slug).live_lesson
    settle(log, live_lesson, State.READY)
    stage_change(live_lesson=live_lesson, stage=1)
    settle(log, live_lesson, State.READY)
    live_lesson_restart(live_lesson=live_lesson)
    settle(log, live_lesson, State.READY)
    live_lesson_end(live_lesson=live_lesson)
    settle(log, live_lesson, State.DELETED)

    # Where endpoints answer is written by a thread of its own.
    assert log.unparted_within_threads == []
    assert log.failpoints == set(Failpoint)

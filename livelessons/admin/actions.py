"""What operators may do to one row: each says what it did, or raises why it did nothing."""

from django.http import HttpRequest

from livelessons import services as records
from livelessons.models import LiveLesson, LiveSession
from livelessons.states import LIVE, Desired, EndReason, State
from scheduler.services import live_lesson_end, live_lesson_extend, live_lesson_retry, lock_break
from syringe_project.administration import NothingToDo

ENDING = "It is ending or has ended."


def holder_of(request: HttpRequest) -> str:
    """Return what an action's lock says of the operator who asked for it."""
    return f"operator {request.user.get_username()}"


def end(live_lesson: LiveLesson, *, holder: str) -> str:
    """End a livelesson, or tear down one that failed."""
    if live_lesson.desired == Desired.GONE:
        raise NothingToDo(why=ENDING)
    live_lesson_end(live_lesson=live_lesson, reason=EndReason.OPERATOR, holder=holder)
    return "Ending"


def extend(live_lesson: LiveLesson) -> str:
    """Let a livelesson that runs live longer."""
    if live_lesson.desired == Desired.GONE or live_lesson.state not in LIVE:
        raise NothingToDo(why=ENDING)
    live_lesson_extend(live_lesson=live_lesson)
    return f"Ends not before {live_lesson.expires_at:%Y-%m-%d %H:%M} UTC unless unused"


def retry(live_lesson: LiveLesson, *, holder: str) -> str:
    """Give a livelesson a fresh environment, or a failed one a successor."""
    failed = live_lesson.state == State.FAILED
    if not failed and (live_lesson.desired == Desired.GONE or live_lesson.state not in LIVE):
        raise NothingToDo(why=ENDING)
    running = live_lesson_retry(live_lesson=live_lesson, holder=holder)
    if running.pk == live_lesson.pk:
        return "Starting anew with a fresh environment"
    return f"Its session has the livelesson {running.pk} in its place"


def break_lock(live_lesson: LiveLesson, *, holder: str) -> str:
    """Remove the action lock of a livelesson and have it looked at."""
    if live_lesson.state == State.DELETED:
        raise NothingToDo(why=ENDING)
    if not lock_break(live_lesson=live_lesson, holder=holder):
        raise NothingToDo(why="There was no lock; it is looked at anew.")
    return "Lock broken"


def session_persist(session: LiveSession, *, persistent: bool) -> str:
    """Spare a session and its livelessons from garbage collection, or no longer."""
    records.session_persist(session=session, persistent=persistent)
    if persistent:
        return "The session is spared from collection"
    return "The session is collected when its time comes"


def livelessons_of_session_end(session: LiveSession, *, holder: str) -> str:
    """End every livelesson that a session still wants."""
    wanted = session.livelessons.filter(desired=Desired.RUNNING).exclude(state=State.DELETED)
    rows = list(wanted.defer("spec", "log_tail"))
    if not rows:
        raise NothingToDo(why="It has no livelessons.")
    for row in rows:
        end(row, holder=holder)
    return f"Ending {len(rows)} livelessons"

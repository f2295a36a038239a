"""Records of sessions and livelessons. Asking for work is ``scheduler.services``' business."""

from livelessons.services.leases import leases_release, leases_take, live_lessons_move
from livelessons.services.livelessons import (
    live_lesson_create,
    live_lesson_extend,
    live_lesson_touch,
    live_lesson_wish,
    live_lessons_look,
    touch_if_stale,
)
from livelessons.services.locks import lock_break, lock_take
from livelessons.services.openings import objectives_restart, objectives_wake
from livelessons.services.sessions import (
    learner_link,
    session_close,
    session_create,
    session_persist,
    session_touch,
)

__all__ = [
    "learner_link",
    "leases_release",
    "leases_take",
    "live_lesson_create",
    "live_lesson_extend",
    "live_lesson_touch",
    "live_lesson_wish",
    "live_lessons_look",
    "live_lessons_move",
    "lock_break",
    "lock_take",
    "objectives_restart",
    "objectives_wake",
    "session_close",
    "session_create",
    "session_persist",
    "session_touch",
    "touch_if_stale",
]

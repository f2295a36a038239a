"""Ids of livelessons in ``/exp``, where the id is all that a request shows.

The public id is in logs and events, so here it is followed by a code that only the secret key
can make, and is refused without it.
"""

from uuid import UUID

from livelessons.errors import LiveLessonNotFound
from syringe_project.signing import MAC_BYTES, mac, mac_fits

_DOMAIN = "exp-livelesson"
_ID_LENGTH = 32
_LENGTH = _ID_LENGTH + 2 * MAC_BYTES


def exp_id(live_lesson_id: UUID) -> str:
    """Return the id that ``/exp`` hands out for a livelesson."""
    return live_lesson_id.hex + mac(_DOMAIN, live_lesson_id.bytes).hex()


def live_lesson_id_of(text: str) -> UUID:
    """Read an id back; raise LiveLessonNotFound for everything that ``exp_id`` did not make."""
    if len(text) != _LENGTH:
        raise LiveLessonNotFound
    try:
        live_lesson_id = UUID(text[:_ID_LENGTH])
        code = bytes.fromhex(text[_ID_LENGTH:])
    except ValueError:
        raise LiveLessonNotFound from None
    # One id, one spelling: UUID() and fromhex() accept more than exp_id() writes.
    if not mac_fits(_DOMAIN, live_lesson_id.bytes, code) or exp_id(live_lesson_id) != text:
        raise LiveLessonNotFound
    return live_lesson_id

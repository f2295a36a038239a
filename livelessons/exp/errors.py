"""The sentences and numbers that the existing front end shows and expects."""

from enum import IntEnum

from django.http import HttpResponse

from lessons.errors import CollectionNotFound, LessonNotFound
from livelessons.errors import (
    InvalidStage,
    LessonNotStartable,
    LiveLessonBusy,
    LiveLessonNotFound,
    TooManyLiveLessons,
    TooManySessions,
)
from syringe_project.api import foreseen_answer, retry_after_of, status_of
from syringe_project.errors import SyringeError, Unavailable
from syringe_project.json_bodies import json_bytes


class Code(IntEnum):
    """The gRPC codes in use, which the body repeats beside the sentence."""

    OTHER = 2
    INVALID = 3
    NOT_FOUND = 5


class ExpError(Exception):
    """An answer of ``/exp`` that is an error; ``retry_after`` is in seconds."""

    def __init__(
        self, status: int, code: Code, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


def invalid(message: str) -> ExpError:
    """Return the error of a request that makes no sense as it stands."""
    return ExpError(400, Code.INVALID, message)


# Two not-found sentences carry the code 2 and not 5, as learners' pages have always had it.
_SENTENCES: dict[type[SyringeError], tuple[Code, str]] = {
    LessonNotFound: (Code.NOT_FOUND, "Unable to find lesson {slug}"),
    CollectionNotFound: (Code.NOT_FOUND, "Collection not found"),
    InvalidStage: (Code.INVALID, "Invalid stage ID for this lesson"),
    LiveLessonBusy: (
        Code.OTHER,
        "LiveLesson is currently busy. Can't make changes yet. Try later",
    ),
    LiveLessonNotFound: (Code.OTHER, "livelesson not found"),
    LessonNotStartable: (Code.OTHER, "Unable to initialize new livelesson"),
    TooManyLiveLessons: (
        Code.OTHER,
        "This session address has exceeded the maximum number of liveLessons",
    ),
    TooManySessions: (
        Code.OTHER,
        "This IP address has exceeded the maximum number of liveSessions",
    ),
    Unavailable: (
        Code.OTHER,
        "Sorry, this lesson is having some problems. Please try again later",
    ),
}
_CODES = {400: Code.INVALID, 404: Code.NOT_FOUND}


def exp_error(error: SyringeError) -> ExpError:
    """Say a foreseen failure in this front end's words."""
    status = status_of(error)
    retry_after = retry_after_of(error)
    for kind, (code, sentence) in _SENTENCES.items():
        if isinstance(error, kind):
            message = sentence.format_map(error.context)
            return ExpError(status, code, message, retry_after=retry_after)
    return ExpError(status, _CODES.get(status, Code.OTHER), str(error), retry_after=retry_after)


def error_response(error: ExpError) -> HttpResponse:
    """Return the answer that carries the error."""
    body = {"error": error.message, "code": error.code, "message": error.message}
    response = HttpResponse(json_bytes(body), status=error.status, content_type="application/json")
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return foreseen_answer(response)

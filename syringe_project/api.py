"""From a foreseen failure to an HTTP answer."""

import logging
from typing import Any, NamedTuple, TypeVar

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import exception_handler as framework_handler

from syringe_project.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    SyringeError,
    TooMany,
    Unavailable,
)

logger = logging.getLogger(__name__)

DATABASE_ERRORS = (OperationalError, InterfaceError)
"""The database is away or out of time: what a restart of it looks like from here."""


_Response = TypeVar("_Response", bound=HttpResponse)


class _Answer(NamedTuple):
    status: int
    retry_after: int | None


_ANSWERS: dict[type[SyringeError], _Answer] = {
    Invalid: _Answer(400, None),
    Forbidden: _Answer(403, None),
    NotFound: _Answer(404, None),
    Conflict: _Answer(409, None),
    TooMany: _Answer(429, 60),
    Unavailable: _Answer(503, 10),
}
_PUBLIC_CONTEXT = ("action", "field", "missing")


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    template = "The database cannot be used now."


def foreseen(error: Exception) -> SyringeError:
    """Say one of ``DATABASE_ERRORS`` as a failure that Syringe foresaw, which others are."""
    if isinstance(error, SyringeError):
        return error
    logger.error("database unavailable: %s", type(error).__name__)
    return DatabaseUnavailable()


def status_of(error: SyringeError) -> int:
    """Return the HTTP status of the error's category."""
    return _answer(error).status


def retry_after_of(error: SyringeError) -> int | None:
    """Return after how many seconds the same request may succeed, where that is known."""
    seconds = error.context.get("retry_after")
    return seconds if isinstance(seconds, int) else _answer(error).retry_after


def _answer(error: SyringeError) -> _Answer:
    for category, answer in _ANSWERS.items():
        if isinstance(error, category):
            return answer
    return _Answer(500, None)


def problem(detail: str, code: str, **more: object) -> dict[str, object]:
    """Return the body of an error of ``/api/v1``."""
    return {"detail": detail, "code": code, **more}


def foreseen_answer(response: _Response) -> _Response:
    """Keep Django from logging an answer that is meant to be an error.

    A busy livelesson is no fault of ours to report, and addresses of ``/exp`` hold ids that open
    something.
    """
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 (no public way)
    return response


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer foreseen failures and the framework's own in one form; leave bugs alone."""
    if isinstance(exc, (SyringeError, *DATABASE_ERRORS)):
        error = foreseen(exc)
        shown = {name: error.context[name] for name in _PUBLIC_CONTEXT if name in error.context}
        response = Response(problem(str(error), error.code, **shown), status=status_of(error))
        retry_after = retry_after_of(error)
        if retry_after is not None:
            response["Retry-After"] = str(retry_after)
        return foreseen_answer(response)
    framework = framework_handler(exc, context)
    if framework is not None:
        # Http404 and PermissionDenied of Django come back as the framework's own, in the data.
        detail = framework.data.get("detail", "") if isinstance(framework.data, dict) else ""
        codes = exc.get_codes() if isinstance(exc, APIException) else None
        code = codes if isinstance(codes, str) else getattr(detail, "code", "invalid")
        framework.data = problem(str(detail), code)
    return framework


def api_not_found(request: HttpRequest, path: str = "") -> JsonResponse:
    """Answer for addresses below ``/api`` that do not exist."""
    return JsonResponse(problem("There is nothing at this address.", "not_found"), status=404)

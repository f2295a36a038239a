"""What every address of ``/exp`` has in common: one method, JSON in and out, no redirects."""

from collections.abc import Callable
from functools import wraps

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from livelessons.exp.errors import Code, ExpError, error_response, exp_error, invalid
from syringe_project.api import DATABASE_ERRORS, foreseen
from syringe_project.errors import SyringeError
from syringe_project.json_bodies import json_object

View = Callable[..., HttpResponse]


def exp_endpoint(method: str) -> Callable[[View], View]:
    """Serve one method, and every failure in the form that the front end reads.

    Bodies come as text/plain, which needs no preflight, and no cookie is looked at, so neither
    CSRF nor an operator's login of the same origin is any concern here.
    """
    methods = (method, "HEAD", "OPTIONS") if method == "GET" else (method, "OPTIONS")
    allow = ", ".join(methods)

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def endpoint(request: HttpRequest, **path: str) -> HttpResponse:
            if request.method not in methods:
                response = error_response(ExpError(405, Code.OTHER, "Method Not Allowed"))
                response["Allow"] = allow
                return response
            if request.method == "OPTIONS":
                return HttpResponse(headers={"Allow": allow})
            try:
                return view(request, **path)
            except ExpError as exc:
                return error_response(exc)
            except (SyringeError, *DATABASE_ERRORS) as exc:
                return error_response(exp_error(foreseen(exc)))

        return endpoint

    return decorate


def answer(body: bytes, *, cacheable: bool = False) -> HttpResponse:
    """Return JSON; what is about one learner is never stored on the way."""
    response = HttpResponse(body, content_type="application/json")
    if not cacheable:
        response["Cache-Control"] = "no-store"
    return response


def read_body(request: HttpRequest) -> dict[str, object]:
    """Read the request's body; raise ExpError unless it is a JSON object or nothing."""
    try:
        return json_object(request.body)
    except RequestDataTooBig:
        raise ExpError(413, Code.INVALID, "The body is too large") from None
    except (ValueError, UnreadablePostError) as exc:
        raise invalid(str(exc)) from exc


def text_field(body: dict[str, object], name: str) -> str:
    """Return a text of the body, or "" for a missing one; raise ExpError for anything else."""
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(f"{name} is not a string")
    return value


def integer_field(body: dict[str, object], name: str) -> int:
    """Return a number of the body, also given as text; 0 for a missing one."""
    value = body.get(name)
    if value is None:
        return 0
    if isinstance(value, bool):
        raise invalid(f"{name} is not an integer")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, str) and len(value) <= 11:
        try:
            return int(value)
        except ValueError:
            pass
    raise invalid(f"{name} is not an integer")


@csrf_exempt
def unknown_address(request: HttpRequest) -> HttpResponse:
    """Answer for every other address below ``/exp``, whatever the method."""
    return error_response(ExpError(404, Code.NOT_FOUND, "Not Found"))

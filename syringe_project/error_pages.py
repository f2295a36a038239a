"""Failures outside any view, in the form that the address's callers read."""

import re

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views import defaults

from livelessons.exp.errors import Code, ExpError, error_response
from syringe_project.api import problem

_EXP = re.compile(r"/(acore/)?exp(/|$)")
_API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    page = _json_page(request, 400, Code.INVALID, "invalid", "The request cannot be understood.")
    return page or defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    page = _json_page(request, 403, Code.OTHER, "forbidden", "This is not allowed.")
    return page or defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    page = _json_page(request, 404, Code.NOT_FOUND, "not_found", "There is nothing here.")
    return page or defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    page = _json_page(request, 500, Code.OTHER, "internal", "Something went wrong inside.")
    return page or defaults.server_error(request)


def _json_page(
    request: HttpRequest, status: int, exp_code: Code, code: str, say: str
) -> HttpResponse | None:
    if _EXP.match(request.path_info):
        return error_response(ExpError(status, exp_code, say))
    if request.path_info.startswith(_API):
        return JsonResponse(problem(say, code), status=status)
    return None

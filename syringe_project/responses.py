"""Answers of reads: JSON that is made already, with ETag and 304."""

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request


def json_response(body: bytes, status: int = 200) -> HttpResponse:
    """Return JSON about one caller, which nobody on the way keeps."""
    response = HttpResponse(body, status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    return response


def not_modified(request: Request, etag: str) -> HttpResponseBase | None:
    """Return 304 when the caller holds what ``etag`` names, else None."""
    if "HTTP_IF_NONE_MATCH" not in request.META:
        return None
    response = get_conditional_response(request, etag=etag)
    if response is not None:
        response["ETag"] = etag
    return response


def tagged_response(body: bytes, etag: str, *, private: bool) -> HttpResponse:
    """Return JSON that the caller may keep but has to ask about each time."""
    response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache" if private else "no-cache"
    return response

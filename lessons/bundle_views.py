"""The bundle service: lessons' folders for the pods that hold an address of ``bundle_links``."""

import logging
from collections.abc import Iterator

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from lessons.bundle_links import BundleLinkRefused, bundle_link_check
from lessons.errors import BundleNotFound
from lessons.selectors import PIECE_BYTES, bundle_piece, bundle_size

logger = logging.getLogger(__name__)


@require_safe
def bundle(request: HttpRequest, sha256: str) -> HttpResponseBase:
    """Send one bundle to whoever has its signed address."""
    try:
        bundle_link_check(
            sha256=sha256, query=request.META.get("QUERY_STRING", ""), now=timezone.now()
        )
        response = _empty(sha256) if request.method == "HEAD" else _whole(sha256)
    except BundleLinkRefused as exc:
        return _text(403, str(exc))
    except BundleNotFound as exc:
        return _text(404, str(exc))
    except (OperationalError, InterfaceError) as exc:
        logger.error("database unavailable: %s", type(exc).__name__)
        return _text(503, "The database cannot be used now; try again.")
    response["Content-Type"] = "application/gzip"
    response["ETag"] = f'"{sha256}"'
    response["Cache-Control"] = "private"
    return response


def health(request: HttpRequest) -> HttpResponse:
    """Answer that the process serves requests; the database's state is not its own."""
    return _text(200, "ok")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _text(404, "There is nothing here.")


def server_error(request: HttpRequest) -> HttpResponse:
    return _text(500, "Something went wrong; try again.")


def _empty(sha256: str) -> HttpResponse:
    return HttpResponse(headers={"Content-Length": str(bundle_size(sha256))})


def _whole(sha256: str) -> StreamingHttpResponse:
    # The first piece is read before the answer begins, so that what fails has a status.
    size, first = bundle_piece(sha256, offset=0)
    return StreamingHttpResponse(
        _pieces(sha256, size, first), headers={"Content-Length": str(size)}
    )


def _pieces(sha256: str, size: int, first: bytes) -> Iterator[bytes]:
    yield first
    for offset in range(PIECE_BYTES, size, PIECE_BYTES):
        _, piece = bundle_piece(sha256, offset=offset)
        yield piece


def _text(status: int, sentence: str) -> HttpResponse:
    response = HttpResponse(
        f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8"
    )
    response["Cache-Control"] = "no-store"
    return response

"""What callers are told while web is away, each in the form that web itself has for them."""

import io
import re
from typing import cast

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse

from gateway.asgi import Scope, Send, respond, respond_problem
from gateway.forwarding import UpstreamAway
from livelessons.exp.errors import error_response, exp_error


async def answer_web_away(scope: Scope, send: Send, away: UpstreamAway) -> None:
    """Answer a request that could not be passed on."""
    if not re.match(settings.CORS_URLS_REGEX, scope["path"]):
        await respond_problem(
            send,
            status=502,
            detail=f"{away} Try again in a moment.",
            code=away.code,
            headers=[(b"retry-after", b"5")],
        )
        return
    response = _exp_answer(scope, away)
    await respond(
        send,
        status=response.status_code,
        body=response.content,
        content_type=response.headers["Content-Type"],
        headers=[
            (name.lower().encode(), value.encode())
            for name, value in response.items()
            if name not in {"Content-Type", "Content-Length"}
        ],
    )


def _exp_answer(scope: Scope, away: UpstreamAway) -> HttpResponse:
    """Return the error with the headers without which a page of another origin cannot read it."""

    def refuse(request: HttpRequest) -> HttpResponse:
        return error_response(exp_error(away))

    # As no coroutine function is behind it, the middleware answers at once.
    return cast("HttpResponse", CorsMiddleware(refuse)(ASGIRequest(scope, io.BytesIO())))

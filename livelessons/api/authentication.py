"""Who calls ``/api/v1``: the holder of a session's secret, as bearer token or cookie."""

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from livelessons.errors import SessionNotFound
from livelessons.models import LiveSession
from livelessons.selectors import session_by_secret
from livelessons.session_secrets import is_secret
from syringe_project.errors import Forbidden

COOKIE = "syringe_session"


class JsonRequired(Forbidden):
    """A browser sends cookies with forms of any site, but asks before it sends them JSON."""

    code = "json_required"
    template = "With a cookie, changes need the content type application/json."


class SessionHolder:
    """The caller. Most requests need the secret only, so the session is read when asked for."""

    is_authenticated = True

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def session(self) -> LiveSession:
        """Return the session; raise AuthenticationFailed when there is none (any more)."""
        try:
            return session_by_secret(self.secret)
        except SessionNotFound as exc:
            raise AuthenticationFailed(str(exc), code=exc.code) from exc


def holder_of(request: Request) -> SessionHolder:
    """Return who calls; only for views with ``HasSession``."""
    holder: object = request.user
    assert isinstance(holder, SessionHolder)  # noqa: S101 (the permission ensured it)
    return holder


class SessionAuthentication(BaseAuthentication):
    """Reads the secret; whether it opens anything shows in the query that uses it."""

    def authenticate(self, request: Request) -> tuple[SessionHolder, None] | None:
        scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            secret = request.COOKIES.get(COOKIE, "")
            if not secret:
                return None
            media_type = (request.content_type or "").partition(";")[0].strip().lower()
            if request.method not in SAFE_METHODS and media_type != "application/json":
                raise JsonRequired
        secret = secret.strip()
        if not is_secret(secret):
            raise AuthenticationFailed(SessionNotFound.template, code=SessionNotFound.code)
        return SessionHolder(secret), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="syringe"'


class HasSession(BasePermission):
    """Refuses callers who show no secret."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        holder: object = request.user
        return isinstance(holder, SessionHolder)


def set_session_cookie(response: HttpResponse, secret: str) -> None:
    """Let a browser keep the secret out of its scripts' reach."""
    response.set_cookie(
        COOKIE,
        secret,
        max_age=settings.SYRINGE_SESSION_TIMEOUT_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=settings.SYRINGE_PUBLIC_URL.startswith("https://"),
    )


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes both ways in OpenAPI."""

    target_class = "livelessons.api.authentication.SessionAuthentication"
    name = ["sessionBearer", "sessionCookie"]

    def get_security_definition(self, auto_schema: object) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "The session's secret."},
            {"type": "apiKey", "in": "cookie", "name": COOKIE},
        ]

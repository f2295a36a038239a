"""``/api/v1/sessions``."""

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from livelessons.api.authentication import (
    HasSession,
    SessionAuthentication,
    holder_of,
    set_session_cookie,
)
from livelessons.api.documents import (
    SESSION_EXAMPLE,
    UNAUTHENTICATED,
    NewSessionDocument,
    SessionDocument,
)
from livelessons.models import LiveSession
from livelessons.services import session_create, session_touch
from livelessons.snapshots import time_text
from livelessons.source_address import request_source_address
from syringe_project.api_documents import problem
from syringe_project.json_bodies import json_bytes
from syringe_project.responses import json_response

_TAGS = ["sessions"]


def _session(session: LiveSession) -> dict[str, object]:
    learner = session.learner
    return {
        "id": str(session.pk),
        "persistent": session.persistent,
        "created_at": time_text(session.created_at),
        "learner": {"id": str(learner.pk), "display_name": learner.display_name}
        if learner is not None
        else None,
    }


class SessionListView(APIView):
    @extend_schema(
        operation_id="sessions_create",
        summary="Open a session",
        description="The secret is shown this once. Browsers also get it as a cookie.",
        tags=_TAGS,
        request=None,
        auth=[],
        responses={
            201: OpenApiResponse(
                NewSessionDocument,
                examples=[
                    OpenApiExample(
                        "session", SESSION_EXAMPLE | {"secret": "rX3kGq0uJ1v5m8mD1o7b2yT4c9E"}
                    )
                ],
            ),
            429: problem(
                "The address has as many as it may",
                "too_many_sessions",
                "This address already has 50 sessions, which is the limit.",
            ),
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        session, secret = session_create(source_address=request_source_address(request))
        response = json_response(json_bytes(_session(session) | {"secret": secret}), 201)
        response["Location"] = "/api/v1/sessions/me"
        set_session_cookie(response, secret)
        return response


class OwnSessionView(APIView):
    authentication_classes = [SessionAuthentication]
    permission_classes = [HasSession]

    @extend_schema(
        operation_id="sessions_read_own",
        summary="Describe the caller's session",
        tags=_TAGS,
        responses={
            200: OpenApiResponse(
                SessionDocument, examples=[OpenApiExample("session", SESSION_EXAMPLE)]
            ),
            401: UNAUTHENTICATED,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        session = holder_of(request).session()
        session_touch(session=session)
        return json_response(json_bytes(_session(session)))

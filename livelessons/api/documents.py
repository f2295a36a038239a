"""What the OpenAPI description says of sessions and livelessons; nothing is rendered by these."""

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from lessons.models import Presentation, Stage
from livelessons.states import Action, Desired, EndReason, State
from scheduler.backends.base import Phase, ReasonCode
from syringe_project.api_documents import ProblemDocument, problem


class LearnerDocument(serializers.Serializer[object]):
    id = serializers.UUIDField()
    display_name = serializers.CharField(allow_blank=True)


class SessionDocument(serializers.Serializer[object]):
    id = serializers.UUIDField(help_text="Public: it opens nothing.")
    persistent = serializers.BooleanField(help_text="Spared by garbage collection.")
    created_at = serializers.DateTimeField()
    learner = LearnerDocument(allow_null=True)


class NewSessionDocument(SessionDocument):
    secret = serializers.CharField(help_text="Shown this once.")


class StartDocument(serializers.Serializer[object]):
    lesson = serializers.CharField(help_text="The lesson's slug.")
    stage = serializers.IntegerField(
        required=False,
        allow_null=True,
        help_text="Counts from 0. Without it, a running livelesson stays where it is and a new "
        "one begins at 0.",
    )


class StageChangeDocument(serializers.Serializer[object]):
    stage = serializers.IntegerField(help_text="Counts from 0.")


class ReasonDocument(serializers.Serializer[object]):
    code = serializers.ChoiceField(choices=[code.value for code in ReasonCode if code])
    text = serializers.CharField(allow_blank=True)


class LivePresentationDocument(serializers.Serializer[object]):
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=Presentation.Type.choices)
    port = serializers.IntegerField()
    path = serializers.CharField(
        help_text="Below the installation's address: a WebSocket for `ssh`, a page for `http`. "
        "A page that has a host name of its own is named by its whole address."
    )


class LiveEndpointDocument(serializers.Serializer[object]):
    name = serializers.CharField()
    image = serializers.CharField()
    phase = serializers.ChoiceField(choices=["", *(phase.value for phase in Phase)])
    reachable = serializers.BooleanField()
    presentations = LivePresentationDocument(many=True)


class GuideDocument(serializers.Serializer[object]):
    type = serializers.ChoiceField(choices=Stage.GuideType.choices)
    contents = serializers.CharField(allow_blank=True, help_text="Markdown of the stage.")
    path = serializers.CharField(
        allow_blank=True,
        help_text="Page of the stage's notebook, as a presentation's; empty for Markdown and where "
        "notebooks are not run.",
    )


class LiveLessonSummaryDocument(serializers.Serializer[object]):
    id = serializers.UUIDField()
    lesson = serializers.CharField(help_text="The lesson's slug.")
    state = serializers.ChoiceField(choices=State.values)
    stage = serializers.IntegerField(help_text="Where it is.")
    desired = serializers.ChoiceField(choices=Desired.values)
    desired_stage = serializers.IntegerField(help_text="Where it is going.")
    stages = serializers.IntegerField(help_text="How many the lesson has.")
    running_action = serializers.ChoiceField(
        choices=Action.values,
        allow_null=True,
        help_text="While one runs, others are refused with 409.",
    )
    reason = ReasonDocument(allow_null=True, help_text="Why it waits or failed.")
    attempt = serializers.IntegerField(help_text="Grows with every fresh environment.")
    healthy_tests = serializers.IntegerField()
    total_tests = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    ready_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(help_text="It ends then at the latest.")
    ended_at = serializers.DateTimeField(allow_null=True)
    end_reason = serializers.ChoiceField(
        choices=[reason.value for reason in EndReason if reason], allow_null=True
    )
    version = serializers.IntegerField(help_text="Grows with every change shown here.")


class LiveLessonDocument(LiveLessonSummaryDocument):
    guide = GuideDocument()
    endpoints = LiveEndpointDocument(many=True)


class LiveLessonListDocument(serializers.Serializer[object]):
    livelessons = LiveLessonSummaryDocument(many=True)


class BusyDocument(ProblemDocument):
    action = serializers.CharField(help_text="What runs.")


_ID = "9f6b2c64-2c0f-4b7e-9c53-7a1d3f0c8e11"
SESSION_EXAMPLE = {
    "id": "b1a4de0e-8d0c-4f0a-8e59-0d6a3d5f6c21",
    "persistent": False,
    "created_at": "2030-01-01T12:00:00Z",
    "learner": None,
}
SUMMARY_EXAMPLE = {
    "id": _ID,
    "lesson": "linux-basics",
    "state": "BOOTING",
    "stage": 0,
    "desired": "running",
    "desired_stage": 0,
    "stages": 2,
    "running_action": "start",
    "reason": None,
    "attempt": 1,
    "healthy_tests": 0,
    "total_tests": 1,
    "created_at": "2030-01-01T12:00:00Z",
    "ready_at": None,
    "expires_at": "2030-01-01T18:00:00Z",
    "ended_at": None,
    "end_reason": None,
    "version": 3,
}
LIVE_LESSON_EXAMPLE = SUMMARY_EXAMPLE | {
    "state": "READY",
    "running_action": None,
    "healthy_tests": 1,
    "ready_at": "2030-01-01T12:00:01Z",
    "version": 6,
    "guide": {"type": "markdown", "contents": "# Look around\n", "path": ""},
    "endpoints": [
        {
            "name": "linux1",
            "image": "utility",
            "phase": "running",
            "reachable": True,
            "presentations": [
                {
                    "name": "cli",
                    "type": "ssh",
                    "port": 22,
                    "path": f"/terminals/{_ID}/linux1/cli",
                }
            ],
        }
    ],
}

UNAUTHENTICATED = problem(
    "No session, or none any more", "session_not_found", "There is no such session."
)
NOT_YOURS = problem(
    "Unknown, or another session's", "livelesson_not_found", "There is no such livelesson."
)
BUSY = OpenApiResponse(
    BusyDocument,
    "Another action runs; `Retry-After` says when to ask again",
    [
        OpenApiExample(
            "livelesson_busy",
            {
                "detail": "The livelesson is busy: stage_change is running.",
                "code": "livelesson_busy",
                "action": "stage_change",
            },
        )
    ],
)


def live_lesson_response(description: str = "") -> OpenApiResponse:
    """Describe the answer of an action."""
    return OpenApiResponse(
        LiveLessonSummaryDocument,
        description,
        [OpenApiExample("livelesson", SUMMARY_EXAMPLE)],
    )

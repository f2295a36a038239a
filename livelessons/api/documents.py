"""What the OpenAPI description says of sessions and livelessons; nothing is rendered by these."""

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from lessons.models import Presentation, Stage
from livelessons.states import Action, Desired, EndReason, ObjectiveState, State
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


class ObjectiveDocument(serializers.Serializer[object]):
    slug = serializers.CharField(help_text="Unique in its stage.")
    description = serializers.CharField()
    optional = serializers.BooleanField(help_text="It does not count for the stage.")
    needs = serializers.ListField(
        child=serializers.CharField(), help_text="Objectives that have to be passed first."
    )
    state = serializers.ChoiceField(
        choices=ObjectiveState.choices,
        help_text="`checking` until the first check ends, or one that was asked for; later ones "
        "show their result only. `error`: the check itself is broken.",
    )
    message = serializers.CharField(
        allow_blank=True,
        help_text="What the last check had to say to the learner, or that the machine is silent.",
    )
    attempts = serializers.IntegerField(help_text="Checks that passed or failed.")
    checked_at = serializers.DateTimeField(allow_null=True)
    passed_at = serializers.DateTimeField(allow_null=True)
    hints = serializers.ListField(
        child=serializers.CharField(), help_text="Those that were earned by trying."
    )


class ObjectivesDocument(serializers.Serializer[object]):
    checking = serializers.BooleanField(help_text="Somebody checks objectives.")
    summary = serializers.CharField(help_text="How many that count are passed.")
    complete = serializers.BooleanField(help_text="All that count are passed.")
    complete_message = serializers.CharField(
        allow_null=True, help_text="What the author has to say then."
    )
    items = ObjectiveDocument(many=True)


class LiveLessonSummaryDocument(serializers.Serializer[object]):
    id = serializers.UUIDField()
    lesson = serializers.CharField(help_text="The lesson's slug.")
    state = serializers.ChoiceField(choices=State.values)
    stage = serializers.IntegerField(help_text="Where it is.")
    desired = serializers.ChoiceField(choices=Desired.values)
    desired_stage = serializers.IntegerField(help_text="Where it is going.")
    stages = serializers.IntegerField(help_text="How many the lesson has.")
    open_stages = serializers.IntegerField(
        help_text="How many of them, from the first, can be had now; those behind a gate open when "
        "the objectives of the stage before are reached, or where nobody could reach them."
    )
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
    version = serializers.IntegerField(
        help_text="Grows with every change shown here, except that checks which find the same as "
        "before are only counted."
    )


class LiveLessonDocument(LiveLessonSummaryDocument):
    guide = GuideDocument()
    objectives = ObjectivesDocument(allow_null=True, help_text="Of the stage, where it has any.")
    endpoints = LiveEndpointDocument(many=True)


class LiveLessonListDocument(serializers.Serializer[object]):
    livelessons = LiveLessonSummaryDocument(many=True)


class BusyDocument(ProblemDocument):
    action = serializers.CharField(help_text="What runs.")


class BusyOrGatedDocument(ProblemDocument):
    action = serializers.CharField(required=False, help_text="What runs.")
    missing = serializers.ListField(
        required=False,
        child=serializers.CharField(),
        help_text="Slugs of the objectives that are to be reached first.",
    )


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
    "open_stages": 1,
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
    "objectives": {
        "checking": True,
        "summary": "0 of 1",
        "complete": False,
        "complete_message": None,
        "items": [
            {
                "slug": "make-notes",
                "description": "Make the file notes.txt",
                "optional": False,
                "needs": [],
                "state": "failed",
                "message": "There is no notes.txt yet.",
                "attempts": 4,
                "checked_at": "2030-01-01T12:01:00Z",
                "passed_at": None,
                "hints": ["Try `touch`."],
            }
        ],
    },
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
_BUSY_EXAMPLE = OpenApiExample(
    "livelesson_busy",
    {
        "detail": "The livelesson is busy: stage_change is running.",
        "code": "livelesson_busy",
        "action": "stage_change",
    },
)
_GATED_EXAMPLE = OpenApiExample(
    "stage_gated",
    {
        "detail": "This stage opens when these objectives are reached: Make the file notes.txt.",
        "code": "stage_gated",
        "missing": ["make-notes"],
    },
)
BUSY = OpenApiResponse(
    BusyDocument,
    "Another action runs; `Retry-After` says when to ask again",
    [_BUSY_EXAMPLE],
)
BUSY_OR_GATED = OpenApiResponse(
    BusyOrGatedDocument,
    "Another action runs, `Retry-After` says when to ask again; or objectives are to be reached "
    "first",
    [_BUSY_EXAMPLE, _GATED_EXAMPLE],
)


def live_lesson_response(description: str = "") -> OpenApiResponse:
    """Describe the answer of an action."""
    return OpenApiResponse(
        LiveLessonSummaryDocument,
        description,
        [OpenApiExample("livelesson", SUMMARY_EXAMPLE)],
    )

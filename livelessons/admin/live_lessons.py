"""What is running, for operators: to look at in full and to act on through the services."""

from functools import partial

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

from lessons.models import Lesson
from livelessons.admin import actions
from livelessons.admin.actions import holder_of
from livelessons.admin.filters import ActionRunningFilter, ReasonFilter
from livelessons.models import (
    LiveEndpoint,
    LiveLesson,
    LiveLessonChange,
    LiveLessonLock,
    LiveObjective,
    LiveSession,
)
from livelessons.states import LIVE
from syringe_project.administration import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    masked_json,
    page_link,
    preformatted,
)

LARGE_COLUMNS = ("spec", "log_tail", "reason")
"""What lists of livelessons do without."""


class LiveEndpointInline(ReadOnlyInline):
    model = LiveEndpoint
    fields = [
        "name",
        "phase",
        "reachable",
        "reason_code",
        "message",
        "host",
        "ports",
        "attempt",
        "log",
    ]
    readonly_fields = ["log"]

    @admin.display(description="log tail")
    def log(self, endpoint: LiveEndpoint) -> SafeString | str:
        return preformatted(endpoint.log_tail)


class LiveObjectiveInline(ReadOnlyInline):
    model = LiveObjective
    fields = [
        "stage",
        "slug",
        "state",
        "message",
        "attempts",
        "errors",
        "checked_at",
        "next_check_at",
        "checker",
        "claimed_until",
        "output",
    ]
    readonly_fields = ["output"]

    @admin.display(description="output")
    def output(self, objective: LiveObjective) -> SafeString | str:
        return preformatted(objective.detail)


class LockInline(ReadOnlyInline):
    model = LiveLessonLock
    fields = ["action", "holder", "created_at", "expires_at"]


class HistoryInline(ReadOnlyInline):
    model = LiveLessonChange
    verbose_name_plural = "history"
    fields = ["at", "state", "stage", "attempt", "reason_code", "reason"]


@admin.register(LiveLesson)
class LiveLessonAdmin(ReadOnlyAdmin):
    list_display = [
        "slug",
        "short_id",
        "state",
        "reason_code",
        "stage_wished",
        "action_running",
        "session_link",
        "attempt",
        "age",
        "unused_for",
        "ends",
    ]
    list_filter = [
        "state",
        "desired",
        ActionRunningFilter,
        ReasonFilter,
        "end_reason",
        "environment_gone",
        "session__persistent",
        "created_at",
    ]
    search_fields = ["slug", "session__source_address", "session__learner__display_name"]
    uuid_search_fields = ["id", "session_id", "session__learner_id"]
    date_hierarchy = "created_at"
    actions = ["end", "extend", "persist", "unpersist", "retry", "break_lock"]
    inlines = [LiveEndpointInline, LiveObjectiveInline, LockInline, HistoryInline]
    fieldsets = [
        (None, {"fields": ["id", "slug", "lesson_link", "session_link", "age"]}),
        ("Wished", {"fields": ["desired", "desired_stage", "desired_restarts", "generation"]}),
        (
            "Found",
            {
                "fields": [
                    "state",
                    "state_since",
                    "stage",
                    "reason_code",
                    "reason",
                    "healthy_tests",
                    "total_tests",
                    "completed_stages",
                    "end_reason",
                    "environment_gone",
                    "log",
                ]
            },
        ),
        (
            "Times",
            {"fields": ["created_at", "ready_at", "last_active_at", "expires_at", "ended_at"]},
        ),
        (
            "Scheduler",
            {
                "fields": [
                    "backend",
                    "attempt",
                    "start_attempts",
                    "restarts",
                    "configuration_run",
                    "failures",
                    "reachable_since",
                    "observed_generation",
                    "next_look_at",
                    "lease_until",
                    "lease_generation",
                    "version",
                ]
            },
        ),
        ("Runtime description", {"classes": ["collapse"], "fields": ["masked_spec"]}),
    ]
    readonly_fields = ["id", "lesson_link", "session_link", "age", "log", "masked_spec"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[LiveLesson]:
        live_lessons: QuerySet[LiveLesson] = super().get_queryset(request)
        return live_lessons.select_related("session", "lock").defer(*LARGE_COLUMNS)

    @admin.display(description="id", ordering="id")
    def short_id(self, live_lesson: LiveLesson) -> str:
        return str(live_lesson.pk)[:8]

    @admin.display(description="stage", ordering="stage")
    def stage_wished(self, live_lesson: LiveLesson) -> str:
        if live_lesson.stage == live_lesson.desired_stage:
            return str(live_lesson.stage)
        return f"{live_lesson.stage} → {live_lesson.desired_stage}"

    @admin.display(description="action", ordering="lock__action", empty_value="-")
    def action_running(self, live_lesson: LiveLesson) -> str | None:
        lock = getattr(live_lesson, "lock", None)
        if lock is None:
            return None
        expired = lock.expires_at <= timezone.now()
        return f"{lock.get_action_display()}{' (expired)' if expired else ''}"

    @admin.display(description="session", ordering="session")
    def session_link(self, live_lesson: LiveLesson) -> SafeString:
        name = str(live_lesson.session_id)[:8]
        persistent = " (persistent)" if live_lesson.session.persistent else ""
        return page_link(LiveSession, live_lesson.session_id, f"{name}{persistent}")

    @admin.display(description="lesson")
    def lesson_link(self, live_lesson: LiveLesson) -> SafeString:
        return page_link(Lesson, live_lesson.lesson_id, live_lesson.slug)

    @admin.display(ordering="created_at")
    def age(self, live_lesson: LiveLesson) -> str:
        until = live_lesson.ended_at or timezone.now()
        return timesince(live_lesson.created_at, until, depth=1)

    @admin.display(ordering="last_active_at")
    def unused_for(self, live_lesson: LiveLesson) -> str:
        return timesince(live_lesson.last_active_at, depth=1) if _lives(live_lesson) else "-"

    @admin.display(ordering="expires_at")
    def ends(self, live_lesson: LiveLesson) -> str:
        if _lives(live_lesson):
            return f"in {timeuntil(live_lesson.expires_at, depth=1)}"
        return f"ended: {live_lesson.end_reason}" if live_lesson.end_reason else "ended"

    @admin.display(description="log tail")
    def log(self, live_lesson: LiveLesson) -> SafeString | str:
        return preformatted(live_lesson.log_tail)

    @admin.display(description="runtime description")
    def masked_spec(self, live_lesson: LiveLesson) -> SafeString | str:
        return masked_json(live_lesson.spec)

    @admin.action(description="End", permissions=["change"])
    def end(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(actions.end, holder=holder_of(request)))

    @admin.action(description="Extend the lifetime", permissions=["change"])
    def extend(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, actions.extend)

    @admin.action(description="Persist the session", permissions=["change"])
    def persist(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(_persist, persistent=True))

    @admin.action(description="Persist the session no longer", permissions=["change"])
    def unpersist(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(_persist, persistent=False))

    @admin.action(description="Retry with a fresh environment", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(actions.retry, holder=holder_of(request)))

    @admin.action(description="Break the lock", permissions=["change"])
    def break_lock(self, request: HttpRequest, queryset: QuerySet[LiveLesson]) -> None:
        self.act_on_each(request, queryset, partial(actions.break_lock, holder=holder_of(request)))


def _lives(live_lesson: LiveLesson) -> bool:
    return live_lesson.state in LIVE


def _persist(live_lesson: LiveLesson, *, persistent: bool) -> str:
    return actions.session_persist(live_lesson.session, persistent=persistent)
